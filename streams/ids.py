"""What an id may be that somebody gives: it becomes part of keys, addresses and metrics."""

import re
from collections.abc import Iterator
from dataclasses import fields

from schemas.records import Origin

LONGEST = 128
_SHOWN = 40
_ID = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.:@/+=|-]{{0,{LONGEST - 1}}}")
_TIMES = frozenset({"event_time", "deadline"})


def problems(**ids: str | None) -> Iterator[str]:
    """Yield what is wrong with ids, by their names; an absent one is right."""
    for name, value in ids.items():
        if value is not None and not _ID.fullmatch(value):
            yield f"{name} must be 1 to {LONGEST} of the characters A-Z a-z 0-9 _ . : @ / + = | -, not {shown(value)}"


def origin_problems(origin: Origin) -> Iterator[str]:
    """Yield what is wrong with the ids of an origin."""
    return problems(**{field.name: getattr(origin, field.name) for field in fields(origin) if field.name not in _TIMES})


def shown(value: str) -> str:
    """Quote a value somebody sent: ASCII only, cut short."""
    return ascii(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")
