"""What voice stages ask of the outside: protocols and the values they exchange. `streams.clients` implements them; tests fake them.

Audio between stages and clients is always mono, signed 16 bit, little endian, 16,000 samples a second, unless it says otherwise.
"""

from dataclasses import dataclass
from typing import Protocol

from schemas.records import Origin, Word

RATE_HZ = 16_000
SAMPLE_BYTES = 2
BYTES_PER_S = RATE_HZ * SAMPLE_BYTES


def seconds(pcm: bytes) -> float:
    """Return the length of audio between stages."""
    return len(pcm) / BYTES_PER_S


def turn(origin: Origin) -> int:
    """Return the turn of a conversation a request is: milliseconds, so that every service numbers turns the same way."""
    return round(origin.event_time.timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a model wrote for one stretch of speech, and how it rates it."""

    text: str
    start_s: float
    end_s: float
    tokens: int
    avg_logprob: float  # mean natural log of the probabilities of the tokens
    no_speech: float  # probability that nobody spoke, 0 to 1
    compression: float  # length of the text by its length compressed; loops compress well
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a model made of some audio. `speech` are the stretches, in seconds, in which somebody speaks."""

    segments: tuple[Segment, ...]
    speech: tuple[tuple[float, float], ...]
    language: str
    model: str


class Decoder(Protocol):
    """Files to audio."""

    async def decode(self, content: bytes, *, codec: str, sample_rate_hz: int) -> bytes:
        """Return the audio of a whole file.

        Raises:
            AudioInvalid: it is damaged, of another kind than `codec` says, too long, or empty.
        """


class Recognizer(Protocol):
    """Audio to words."""

    async def listen(self, pcm: bytes, *, language: str | None = None) -> Heard:
        """Return what is said; nothing but the stretches of speech when there are none.

        Raises:
            SpeechUnavailable: the model cannot answer now.
            AudioInvalid: no model for this language is installed.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A spoken text: mono, signed 16 bit, little endian."""

    pcm: bytes
    sample_rate_hz: int


class SpeechEngine(Protocol):
    """Words to audio: one rung of the ladder."""

    name: str

    async def speak(self, text: str, *, voice: str | None = None) -> Spoken:
        """Return the text spoken. Who is cancelled leaves; what an engine has begun it may speak to its end, for nobody.

        Raises:
            SpeechUnavailable: try again or elsewhere.
            ProviderRefused: this engine will never speak this text.
        """
