"""What is said in one breath, which rung says it, and which turn has the floor."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from schemas.records import SpeechChunk, SpeechRequest, SpokenTurn
from streams.breaths import UNSPEAKABLE, opening
from streams.settings import SynthesizeSettings
from streams.speech import RATE_HZ, Spoken
from streams.topic import whose
from streams.words import sentences

TEXT = "text"
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
DEPENDENCY = "speech"

_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]\n]{0,300})\]\([^)\s]{0,2000}\)")
_REFERENCE = re.compile(r"\s?\[\d{1,3}(?:,\s?\d{1,3}){0,8}\]")
_ADDRESS = re.compile(r"https?://\S+")
_MARKS = re.compile(r"(?m)^\s{0,3}(?:[-*+]|\#{1,6}|>|\d+\.)\s+|[*_`~|]+")
_BEFORE = ". "  # stands for what was said before: a number or a dash after it begins no line
_BREAK = re.compile(r"(?<=[,;:\u2013\u2014])\s|\s")


def sentences_to_say(text: str, settings: SynthesizeSettings, *, begins: int = 0) -> Sequence[str]:
    """Return what is said, one breath after the other: no markup, no addresses, nothing too long, the first one short.

    What goes on after the first `begins` breaths of an answer has at least an empty one, so that the answer has a last one.
    """
    plain = _FENCE.sub(" ", f"{_BEFORE}{text}" if begins else text)
    plain = _LINK.sub(r"\1", plain)
    plain = _ADDRESS.sub(" ", _REFERENCE.sub("", plain))
    plain = _MARKS.sub("", UNSPEAKABLE.sub("", plain))
    said = (" ".join(sentence.split()) for sentence in sentences(plain))
    breaths = [part for sentence in said for part in _breaths(sentence, settings.max_chars)]
    if breaths and not begins:
        breaths = [*opening(breaths[0], settings.first_chars), *breaths[1:]]
    return [part for part in breaths if any(map(str.isalnum, part))] or [""] * bool(begins)


def unspoken(key: str) -> SpokenTurn:
    """Return a conversation in which nothing was spoken."""
    tenant, session_id = whose(key)
    return SpokenTurn(tenant=tenant, session_id=session_id, as_of=NEVER, counted={})


def forgotten(known: SpokenTurn, at: datetime, settings: SynthesizeSettings) -> bool:
    """Tell whether nothing was spoken in a conversation for so long that no request of it is still on its way."""
    return at - known.as_of > timedelta(seconds=settings.turns_s)


def dependency(engine: str) -> str:
    """Return the name of an engine's circuit."""
    return f"{DEPENDENCY}:{engine}"


def chunk(
    request: SpeechRequest,
    said: Sequence[str],
    sequence: int,
    spoken: Spoken | None,
    engine: str,
    degradations: Sequence[str],
) -> SpeechChunk:
    """Return one spoken sentence, or its text when nothing could speak it."""
    return SpeechChunk(
        origin=request.origin,
        sequence=request.begins + sequence,
        last=request.ends and sequence == len(said) - 1,
        turn=request.turn,
        text=said[sequence],
        content=b"" if spoken is None else spoken.pcm,
        sample_rate_hz=RATE_HZ if spoken is None else spoken.sample_rate_hz,
        engine=engine,
        degradations=tuple(degradations),
    )


def _breaths(sentence: str, longest: int) -> Sequence[str]:
    """Cut a long sentence after a comma or, failing that, between words."""
    parts: list[str] = []
    while len(sentence) > longest:
        breaks = [found.start() for found in _BREAK.finditer(sentence, longest // 3, longest)]
        commas = [at for at in breaks if sentence[at - 1] in ",;:\u2013\u2014"]
        at = (commas or breaks or [longest])[-1]
        parts.append(sentence[:at].strip())
        sentence = sentence[at:].strip()
    return [*parts, sentence] if sentence else parts
