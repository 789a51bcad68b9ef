"""What of a model's words is believed, how sure that is, and what a transcript goes on as."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from agents.transcribe.curve import CURVES
from schemas.ids import result_id
from schemas.records import AudioChunk, Origin, Proposal, Result, SpeechRequest, Status, TextQuery, Transcript, Word
from streams import ids
from streams.degradations import TRANSCRIPT_DOUBTFUL
from streams.errors import AudioInvalid, NothingHeard, RequestInvalid, TranscriptDoubtful
from streams.settings import TranscribeSettings
from streams.speech import Heard, Segment, turn

INTENTS = ("question", "proposal", "transcript")
LIVE_CODEC, LIVE_RATE_HZ = "pcm_s16le", 16_000
MOST_CHUNKS = 16_384  # 16 MiB in chunks of 1 KiB

# Whisper writes fluent text for silence, music and noise. What tells it from speech: it says itself that nobody spoke, it is
# unsure, or it turns in circles. The first two thresholds and the compression are those of its authors, a little stricter.
NO_SPEECH = 0.6
UNSURE = -0.8
LOOP_COMPRESSION = 2.4
LOOP_TIMES = 4
LOOP_WORDS = 8
MOST_WORDS_PER_S = 9.0
SHORTEST_RATED_S = 0.5
# Ends of videos it was trained on, written where nobody speaks.
PHANTOMS = frozenset(
    {
        "you", "thank you", "thanks for watching", "thank you for watching", "thank you very much", "bye", "okay", "so",
        "please subscribe", "subtitles by the amara.org community", "the end", "music", "applause",
    }
)  # fmt: skip
PHANTOM_NO_SPEECH, PHANTOM_UNSURE = 0.3, -0.6
STRAIGHT = ((0.0, 0.0), (1.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """What is left of a model's words. `discarded` says why the rest was not believed."""

    segments: tuple[Segment, ...]
    discarded: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words, single spaced."""
        return " ".join(segment.text.strip() for segment in self.segments if segment.text.strip())

    @property
    def words(self) -> tuple[Word, ...]:
        """The words with their times."""
        return tuple(word for segment in self.segments for word in segment.words)


def check(chunk: AudioChunk) -> None:
    """Refuse a chunk that cannot belong to anything.

    Raises:
        AudioInvalid: with all problems.
    """
    problems = [*ids.origin_problems(chunk.origin), *ids.problems(clip_id=chunk.clip_id)]
    if not 0 <= chunk.sequence < MOST_CHUNKS and not chunk.live:
        problems.append(f"sequence must be 0 to {MOST_CHUNKS - 1:,}, not {chunk.sequence:,}")
    if chunk.intent not in INTENTS:
        problems.append(f"intent must be one of {', '.join(INTENTS)}, not {chunk.intent[:40]!a}")
    if chunk.live and (chunk.codec, chunk.sample_rate_hz) != (LIVE_CODEC, LIVE_RATE_HZ):
        problems.append(f"live speech must be {LIVE_CODEC} at {LIVE_RATE_HZ:,} Hz, mono")
    if chunk.live and len(chunk.content) % 2:
        problems.append("a frame of live speech must be whole samples of two bytes")
    if problems:
        raise AudioInvalid(problems)


def believed(heard: Heard) -> Believed:
    """Leave out what the model invented where nobody spoke, and the turns of its loops."""
    kept: list[Segment] = []
    discarded: list[str] = []
    for segment in heard.segments:
        reason = _invented(segment)
        if reason:
            discarded.append(reason)
            continue
        straight = _straightened(segment)
        if straight is not segment:
            discarded.append("repetition")
            if segment.no_speech > NO_SPEECH:
                continue  # a song without words: a model that repeats itself is sure of every word
        kept.append(straight)
    return Believed(segments=tuple(kept), discarded=tuple(discarded))


def confidence(segments: Sequence[Segment]) -> float:
    """Return exp of the mean log probability of all tokens, 0 to 1; 0 for no words.

    Neither the probability of the language nor that of silence says how well the words were understood.
    """
    tokens = sum(segment.tokens for segment in segments)
    if not tokens:
        return 0.0
    mean = sum(segment.avg_logprob * segment.tokens for segment in segments) / tokens
    return min(1.0, math.exp(mean))


def calibrated(raw: float, model: str) -> float:
    """Return the share of words to be expected right at this raw confidence; itself for a model without a curve."""
    curve = CURVES.get(model, STRAIGHT)
    for (low, at_low), (high, at_high) in pairwise(curve):
        if raw <= high:
            return at_low + (at_high - at_low) * (raw - low) / (high - low)
    return curve[-1][1]


def transcript(
    chunk: AudioChunk, heard: Heard, told: Believed, settings: TranscribeSettings, *, duration_s: float
) -> Transcript:
    """Return what was heard in a whole clip."""
    sure = calibrated(confidence(told.segments), heard.model)
    return Transcript(
        origin=chunk.origin,
        clip_id=chunk.clip_id,
        final=True,
        text=told.text,
        language=heard.language,
        confidence=sure,
        words=told.words,
        duration_s=duration_s,
        model=heard.model,
        stable_chars=len(told.text),
        doubtful=sure < settings.doubtful_below,
        discarded=told.discarded,
    )


def refusal(said: Transcript, settings: TranscribeSettings) -> RequestInvalid | None:
    """Return why a final transcript cannot go on; None when it can."""
    if not said.text:
        why = f" ({', '.join(said.discarded)})" if said.discarded else ""
        return NothingHeard([f"no speech was heard in {said.duration_s:.1f} s of audio{why}"])
    if said.confidence < settings.refuse_below:
        return TranscriptDoubtful(
            [f"the speech was understood with a confidence of {said.confidence:.2f}; say it again, nearer or slower"]
        )
    return None


def text_query(said: Transcript, chunk: AudioChunk) -> TextQuery:
    """Return the transcript as a question."""
    return TextQuery(
        origin=said.origin,
        query=said.text,
        domain=chunk.domain,
        task=chunk.task,
        speak=chunk.speak,
        language=said.language,
        confidence=said.confidence,
        doubtful=said.doubtful,
    )


def proposal(said: Transcript) -> Proposal:
    """Return the transcript as something Sophia may consider."""
    return Proposal(
        origin=said.origin,
        proposal_id=f"{said.clip_id}:{said.origin.request_id}",
        raw_text=said.text,
        confidence=said.confidence,
        model=said.model,
        provider="speech",
        metadata={"clip_id": said.clip_id, "language": said.language, "duration_s": f"{said.duration_s:.3f}"},
        source="transcript",
    )


def result(said: Transcript) -> Result:
    """Return the end of a request that wanted the words and no answer."""
    degradations = (TRANSCRIPT_DOUBTFUL,) if said.doubtful else ()
    return Result(
        origin=said.origin,
        result_id=result_id(said.origin.request_id),
        status=Status.DEGRADED if degradations else Status.OK,
        text=said.text,
        degradations=degradations,
        confidence=said.confidence,
    )


def utterance_origin(origin: Origin, sequence: int, number: int = 0) -> Origin:
    """Return who asks with one utterance of a live stream: a request of its own, the same whenever it is heard again."""
    again = f"-{number}" if number else ""
    return replace(
        origin,
        request_id=f"{origin.request_id}.{sequence}{again}",
        session_id=origin.session_id or origin.request_id,
    )


def silence(origin: Origin) -> SpeechRequest:
    """Return the order to stop speaking: somebody has begun to talk."""
    return SpeechRequest(origin=origin, text="", turn=turn(origin))


def _invented(segment: Segment) -> str:
    text = segment.text.strip().strip(".!?,[]()♪* ").casefold()
    took_s = segment.end_s - segment.start_s
    if segment.no_speech > NO_SPEECH and segment.avg_logprob < UNSURE:
        return "no_speech"
    if not text:
        return "no_words"
    if text in PHANTOMS and (segment.no_speech > PHANTOM_NO_SPEECH or segment.avg_logprob < PHANTOM_UNSURE):
        return "phantom"
    if (
        took_s >= SHORTEST_RATED_S
        and len(text.split()) / took_s > MOST_WORDS_PER_S
        and segment.compression > LOOP_COMPRESSION
    ):
        return "repetition"
    return ""


def _straightened(segment: Segment) -> Segment:
    """Return the segment with what it says again and again said once."""
    said = segment.text.split()
    for length in range(1, LOOP_WORDS + 1):
        for start in range(len(said) - length * LOOP_TIMES + 1):
            phrase = [word.casefold().strip(".,!?") for word in said[start : start + length]]
            times = _times([word.casefold().strip(".,!?") for word in said[start:]], phrase)
            if times >= LOOP_TIMES:
                again = slice(start + length, start + length * times)
                words = list(segment.words)
                if len(words) == len(said):
                    del words[again]
                del said[again]
                return _straightened(replace(segment, text=" ".join(said), words=tuple(words)))
    return segment


def _times(words: Sequence[str], phrase: Sequence[str]) -> int:
    times = 0
    while words[times * len(phrase) : (times + 1) * len(phrase)] == phrase:
        times += 1
    return times
