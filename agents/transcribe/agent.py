"""Wiring of transcribe."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from agents.transcribe import rules
from agents.transcribe.clips import MOST_CLIPS, Clips, room_mb
from agents.transcribe.live import MOST_HELD, MOST_STREAMS, LiveStreams
from schemas.records import AudioChunk, Proposal, Result, SpeechRequest, TextQuery, Transcript
from streams.app import App
from streams.deadletter import failed_result
from streams.emit import Emit
from streams.ports import Clock
from streams.settings import TranscribeSettings
from streams.speech import Decoder, Recognizer, seconds
from streams.topic import Topic

S = TypeVar("S")

# Of one partition: what clips and streams can hold at most, so that it never stands still with nothing that ends.
HANDLERS = MOST_CLIPS + MOST_STREAMS * MOST_HELD
BESIDE_CLIPS_MB = 16.0


class Send(Protocol):
    """`Emit`, or `Emit.now`."""

    def __call__(self, topic: Topic[S], record: S) -> None:
        """Send a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """Where a final transcript goes."""

    texts: Topic[TextQuery]
    proposals: Topic[Proposal]
    results: Topic[Result]

    def send(self, said: Transcript, chunk: AudioChunk, send: Send) -> None:
        """Send a transcript where its chunk wants it; what is not asked ends here."""
        if chunk.intent == "question":
            send(self.texts, rules.text_query(said, chunk))
            return
        if chunk.intent == "proposal":
            send(self.proposals, rules.proposal(said))
        send(self.results, rules.result(said))


def attach(
    app: App,
    *,
    reads: Topic[AudioChunk],
    texts: Topic[TextQuery],
    transcripts: Topic[Transcript],
    proposals: Topic[Proposal],
    results: Topic[Result],
    speech_requests: Topic[SpeechRequest],
    decoder: Decoder,
    recognizer: Recognizer,
    clock: Clock,
    settings: TranscribeSettings,
) -> None:
    """Make transcripts of clips and live speech; they go on as questions, as proposals, or end there."""
    onward = Onward(texts=texts, proposals=proposals, results=results)

    def uttered(said: Transcript, chunk: AudioChunk, emit: Emit) -> None:
        if (refused := rules.refusal(said, settings)) is None:
            onward.send(said, chunk, emit.now)
        else:
            emit.now(results, failed_result(said.origin, refused, clock.now()))

    def silenced(chunk: AudioChunk, emit: Emit) -> None:
        emit.now(speech_requests, rules.silence(chunk.origin))

    clips = Clips(settings)
    live = LiveStreams(recognizer, settings, on_speech=silenced, on_utterance=uttered, transcripts=transcripts)

    @app.stage(
        reads,
        name="transcribe",
        ordered=False,
        in_flight=HANDLERS,
        in_flight_mb=room_mb(settings) + BESIDE_CLIPS_MB,
    )
    async def transcribe(chunk: AudioChunk, emit: Emit) -> None:
        if chunk.live:
            await live.hear(chunk, emit)
            return
        content = await clips.content(chunk, emit)
        if content is None:
            return
        pcm = await decoder.decode(content, codec=chunk.codec, sample_rate_hz=chunk.sample_rate_hz)
        heard = await recognizer.listen(pcm, language=chunk.language)
        said = rules.transcript(chunk, heard, rules.believed(heard), settings, duration_s=seconds(pcm))
        emit.now(transcripts, said)
        if (refused := rules.refusal(said, settings)) is not None:
            raise refused
        onward.send(said, chunk, emit)
