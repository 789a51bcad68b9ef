"""Clips and live speech for tests of the pipeline: text stands for audio, see `tests.fakes.speech`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from schemas.records import AudioChunk, Origin
from tests.given import NOON, an_origin

QUESTION = "Who wrote Frankenstein?"


def spoken_by(number: int, *, session_id: str | None = None, tenant: str = "default") -> Origin:
    origin = an_origin(f"request-{number}", session_id=session_id, tenant=tenant)
    return replace(origin, deadline=NOON + timedelta(seconds=90))


def a_clip(
    number: int,
    text: str = QUESTION,
    *,
    chunks: int = 3,
    session_id: str | None = None,
    intent: str = "question",
    speak: bool = False,
) -> list[AudioChunk]:
    """Return the chunks of a clip, in order."""
    content = text.encode()
    size = max(1, -(-len(content) // chunks))
    parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    return [
        AudioChunk(
            origin=spoken_by(number, session_id=session_id),
            clip_id=f"clip-{number}",
            sequence=position,
            last=position == len(parts) - 1,
            codec="wav",
            content=part,
            intent=intent,
            speak=speak,
        )
        for position, part in enumerate(parts)
    ]


def a_stream(number: int, frames: Sequence[bytes], *, last: bool = True) -> list[AudioChunk]:
    """Return the frames of a live stream."""
    return [
        AudioChunk(
            origin=spoken_by(number, session_id=f"talk-{number}"),
            clip_id=f"stream-{number}",
            sequence=position,
            last=last and position == len(frames) - 1,
            live=True,
            codec="pcm_s16le",
            content=frame,
        )
        for position, frame in enumerate(frames)
    ]
