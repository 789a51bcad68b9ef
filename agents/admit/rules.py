"""What a query must be to be admitted. The text is normalised to NFC and changed in no other way."""

import math
import re
import unicodedata
from collections.abc import Iterator

from schemas.records import Domain, Origin, Request, Strategy, Task, TextQuery
from streams import ids
from streams.errors import RequestInvalid
from streams.settings import AdmitSettings

MAX_TEMPERATURE = 2.0

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Explicit bidirectional formatting: a person then reads another text than a model does. Marks (LRM, RLM, ALM) may stay.
_BIDIRECTIONAL = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
# Tag characters spell invisible text; only as part of a flag do they stand for something that can be seen.
_TAG = re.compile(r"(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0000-\U000e007f]")
_INVISIBLE = frozenset({"Cf", "Cc", "Zs", "Zl", "Zp", "Mn", "Cn", "Co"})


def admitted(query: TextQuery, settings: AdmitSettings) -> Request:
    """Return the request with defaults filled in.

    Raises:
        RequestInvalid: with all problems of the query.
    """
    text = unicodedata.normalize("NFC", query.query)
    problems = [*_text_problems(text, settings), *_choice_problems(query), *_number_problems(query, settings)]
    problems += [*_id_problems(query), *_time_problems(query.origin, settings)]
    if problems:
        raise RequestInvalid(problems)
    return Request(
        origin=query.origin,
        query=text,
        domain=Domain(query.domain or Domain.GENERAL),
        task=Task(query.task or Task.ANALYSIS),
        context_pack_id=query.context_pack_id,
        strategy=Strategy(query.strategy) if query.strategy is not None else None,
        model=query.model,
        temperature=query.temperature,
        max_tokens=query.max_tokens,
        strict=query.strict,
        speak=query.speak,
        confidence=query.confidence,
        doubtful=query.doubtful,
    )


def _text_problems(text: str, settings: AdmitSettings) -> Iterator[str]:
    if len(text) > settings.max_query_chars:
        yield f"query has {len(text):,} characters; at most {settings.max_query_chars:,} are taken"
        return
    if all(unicodedata.category(character) in _INVISIBLE for character in text):
        yield "query has no visible character"
    for kind, pattern in (("control", _CONTROL), ("bidirectional formatting", _BIDIRECTIONAL), ("invisible tag", _TAG)):
        found = pattern.search(text)
        if found is not None:
            yield f"query holds the {kind} character U+{ord(found.group()):04X} at position {found.start()}"


def _choice_problems(query: TextQuery) -> Iterator[str]:
    choices = (
        ("domain", query.domain, tuple(Domain)),
        ("task", query.task, tuple(Task)),
        ("strategy", query.strategy, tuple(Strategy)),
    )
    for name, value, allowed in choices:
        if value is not None and value not in allowed:
            yield f"{name} must be one of {', '.join(allowed)}, not {ids.shown(value)}"


def _number_problems(query: TextQuery, settings: AdmitSettings) -> Iterator[str]:
    if not (math.isfinite(query.temperature) and 0.0 <= query.temperature <= MAX_TEMPERATURE):
        yield f"temperature must be 0 to {MAX_TEMPERATURE:g}, not {query.temperature:g}"
    if not 1 <= query.max_tokens <= settings.max_tokens:
        yield f"max_tokens must be 1 to {settings.max_tokens:,}, not {query.max_tokens:,}"
    if query.confidence is not None and not 0.0 <= query.confidence <= 1.0:
        yield f"confidence must be 0 to 1, not {query.confidence:g}"


def _id_problems(query: TextQuery) -> Iterator[str]:
    yield from ids.origin_problems(query.origin)
    yield from ids.problems(context_pack_id=query.context_pack_id, model=query.model)
    if query.language is not None and not _LANGUAGE.fullmatch(query.language):
        yield f"language must be a BCP 47 tag, not {ids.shown(query.language)}"


def _time_problems(origin: Origin, settings: AdmitSettings) -> Iterator[str]:
    allowed_s = (origin.deadline - origin.event_time).total_seconds()
    if allowed_s <= 0:
        yield f"deadline {origin.deadline.isoformat()} is not after event_time {origin.event_time.isoformat()}"
    elif allowed_s > settings.max_deadline_s:
        yield f"deadline is {allowed_s:,.0f} s after event_time; at most {settings.max_deadline_s:,.0f} s are taken"
