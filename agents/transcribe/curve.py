"""The share of words that are right at a raw confidence, by model, with straight lines between. Written by `make hear`."""

from collections.abc import Mapping

CURVES: Mapping[str, tuple[tuple[float, float], ...]] = {
    "whisper-tiny.en": (
        (0.0, 0.0),
        (0.213, 0.076),
        (0.278, 0.132),
        (0.31, 0.17),
        (0.338, 0.233),
        (0.391, 0.279),
        (0.453, 0.409),
        (0.485, 0.505),
        (0.511, 0.545),
        (0.537, 0.655),
        (0.559, 0.709),
        (0.586, 0.719),
        (0.616, 0.767),
        (0.652, 0.896),
        (0.683, 0.922),
        (0.714, 0.965),
        (0.748, 0.981),
        (1.0, 0.981),
    ),
}
