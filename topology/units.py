"""What is deployed, scaled and restarted together: one unit is one Faust app and one consumer group."""

from enum import StrEnum


class Unit(StrEnum):
    """Which stages a unit has is said in `topology.graph`, and shown by `forgestream topology`."""

    INTAKE = "intake"
    INFERENCE = "inference"
    LEARNING = "learning"
    DELIVERY = "delivery"
    VOICE = "voice"


def group(unit: Unit, prefix: str) -> str:
    """Return the consumer group of a unit; its tables' changelogs carry the same name."""
    return f"{prefix}forgestream-{unit}"
