"""The share of words that are right at a raw confidence, by model, with straight lines between. Written by `make hear`."""

from collections.abc import Mapping

CURVES: Mapping[str, tuple[tuple[float, float], ...]] = {
    "whisper-tiny.en": (
        (0.0, 0.0),
        (0.231, 0.092),
        (0.313, 0.164),
        (0.359, 0.231),
        (0.388, 0.289),
        (0.417, 0.341),
        (0.46, 0.435),
        (0.507, 0.533),
        (0.537, 0.634),
        (0.578, 0.72),
        (0.627, 0.772),
        (0.656, 0.887),
        (0.68, 0.898),
        (0.699, 0.932),
        (0.738, 0.976),
        (1.0, 0.976),
    ),
}
