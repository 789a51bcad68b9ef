"""What a producer and a consumer see of the whole pipeline. `tests/broker` runs the same suite on a real broker."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from schemas.codec import RecordUndecodable
from schemas.ids import result_id
from schemas.records import Feedback, Result, Status, Strategy, TextQuery
from schemas.registry import LockedIds, serde
from streams.clients.models.echo import Echo
from streams.clients.models.extractive import Extractive
from streams.errors import (
    DataForgeUnavailable,
    PipelineError,
    ProviderRefused,
    ProviderUnavailable,
    StoreUnavailable,
    Transient,
)
from streams.topic import Topic
from streams.tracing import header
from tests.clock import FixedClock
from tests.fakes.model import STOP, ScriptedModel
from tests.fakes.ports import ScriptedSink, ScriptedStore
from tests.given import a_text_query, a_verdict
from tests.pipeline.world import (
    FRANKENSTEIN,
    CrashingModel,
    Deploy,
    HashingEncoder,
    Pipeline,
    UnevenModel,
    a_question,
    outside,
)

SCORES = ["relevance", "correctness", "coherence", "policy_compliance", "context_overlap"]


def down(name: str, clock: FixedClock) -> ScriptedModel:
    return ScriptedModel(name, ProviderUnavailable(f"{name} is down"), clock=clock)


def only_result(pipeline: Pipeline) -> Result:
    (result,) = pipeline.records(pipeline.topics.results)
    return result


async def a_question_as_bytes(topic: Topic[TextQuery]) -> bytes:
    ids = LockedIds()
    await ids.start({f"{topic.name}-value": TextQuery})
    return serde(ids, topic.name, TextQuery).encode(a_text_query())


async def test_a_question_becomes_an_answer_with_its_sources_and_five_scores(deploy: Deploy, clock: FixedClock) -> None:
    async with deploy(outside(Extractive(), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.settle()

        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        result = only_result(pipeline)
        assert (result.status, result.text) == (Status.OK, "Mary Shelley wrote Frankenstein.")
        assert [source.document_id for source in result.sources] == ["frankenstein"]
        assert [score.name for score in result.scores] == SCORES
        assert result.result_id == result_id("request-1")
        assert len(pipeline.records(pipeline.topics.tokens)) >= 3
        assert pipeline.dead_letters == []


async def test_every_record_of_a_conversation_has_its_key_and_its_partition(deploy: Deploy, clock: FixedClock) -> None:
    async with deploy(outside(Echo(), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1, session_id="talk"))
        await pipeline.settle()

        topics = pipeline.topics
        path: list[Topic[Any]] = [
            topics.texts,
            topics.requests,
            topics.embeddings,
            topics.contexts,
            topics.prompts,
            topics.answers,
        ]
        path += [topics.evaluations, topics.results]
        places = {(stored.key, stored.partition) for topic in path for stored in pipeline.stored(topic)}
        assert len(places) == 1
        assert {key for key, _ in places} == {b"default#talk"}


async def test_a_malformed_request_is_rejected_with_every_problem(deploy: Deploy, clock: FixedClock) -> None:
    async with deploy(outside(Echo(), clock=clock)) as pipeline:
        sent = TextQuery(origin=a_question(1).origin, query="", domain="cooking", temperature=9.0, max_tokens=0)
        await pipeline.put(pipeline.topics.texts, sent)
        await pipeline.settle()

        result = only_result(pipeline)
        assert result.status is Status.REJECTED
        assert [error.message.split()[0] for error in result.errors] == ["query", "domain", "temperature", "max_tokens"]
        assert {error.error_code for error in result.errors} == {"request_invalid"}
        assert pipeline.records(pipeline.topics.requests) == []
        assert pipeline.dead_letters == []


async def test_a_damaged_record_becomes_a_dead_letter_and_its_request_ends(deploy: Deploy, clock: FixedClock) -> None:
    """Who asked is read from the front of the record, whatever became of its end."""
    async with deploy(outside(Echo(), clock=clock)) as pipeline:
        damaged = (await a_question_as_bytes(pipeline.topics.texts))[:-20]
        await pipeline.put_bytes(pipeline.topics.texts, damaged, key=b"\xff", headers=[("from", b"\x00\xfe")])
        await pipeline.settle()

        (letter,) = pipeline.dead_letters
        assert (letter.value, letter.key) == (damaged, b"\xff")
        assert header(letter.headers, "from") == b"\x00\xfe"
        assert header(letter.headers, "__streams.errors.exception") == RecordUndecodable.__name__.encode()
        assert header(letter.headers, "forgestream.stage") == b"admit"
        result = only_result(pipeline)
        assert (result.origin.request_id, result.status) == ("request-1", Status.FAILED)
        assert [error.error_code for error in result.errors] == ["undecodable"]


async def test_bytes_of_every_kind_stop_no_topic(deploy: Deploy, clock: FixedClock) -> None:
    """Garbage, nothing at all and an unknown schema on every input; the question behind them is answered."""
    async with deploy(outside(Echo(), clock=clock)) as pipeline:
        topics = pipeline.topics
        garbage: Sequence[bytes | None] = [b"", b"\x00", b"garbage", b"\x00\xff\xff\xff\xff\x00", None]
        inputs: Sequence[Topic[Any]] = [topics.texts, topics.commands, topics.prompts, topics.verdicts]
        for topic in inputs:
            for value in garbage:
                await pipeline.put_bytes(topic, value, key=b"default#request-1")

        await pipeline.put(topics.texts, a_question(1))
        await pipeline.settle()

        assert only_result(pipeline).status in {Status.OK, Status.DEGRADED}
        # three units read commands
        assert len(pipeline.dead_letters) == len(garbage) * (len(inputs) + 2)
        letters = Counter(letter.value for letter in pipeline.dead_letters)
        assert letters == dict.fromkeys(garbage, len(inputs) + 2)


async def test_a_request_past_its_deadline_expires_and_asks_no_model(deploy: Deploy, clock: FixedClock) -> None:
    model = ScriptedModel("first", "too late", STOP, clock=clock)
    async with deploy(outside(model, clock=clock)) as pipeline:
        clock.advance(120)
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        assert only_result(pipeline).status is Status.EXPIRED
        assert model.asked == []
        assert pipeline.dead_letters == []


async def test_a_failing_provider_is_followed_by_the_next(deploy: Deploy, clock: FixedClock) -> None:
    refusing = ScriptedModel("second", ProviderRefused("no"), clock=clock)
    async with deploy(outside(down("first", clock), refusing, Echo("third"), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        result = only_result(pipeline)
        assert (result.status, result.text) == (Status.DEGRADED, "Who wrote Frankenstein?")
        assert "model_fallback" in result.degradations
        assert result.decision is not None
        assert result.decision.rejected == {"first": "provider_unavailable", "second": "provider_refused"}
        calls = [(outcome.dependency, outcome.ok) for outcome in pipeline.records(pipeline.topics.outcomes)]
        assert {("first", False), ("second", True), ("third", True)} <= set(calls)


async def test_when_no_provider_is_left_the_request_fails_and_leaves_a_dead_letter(
    deploy: Deploy, clock: FixedClock
) -> None:
    async with deploy(outside(down("first", clock), down("second", clock), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        result = only_result(pipeline)
        assert (result.status, result.text) == (Status.FAILED, "")
        assert [error.error_code for error in result.errors] == ["no_provider_left"]
        (letter,) = pipeline.dead_letters
        assert header(letter.headers, "forgestream.error-code") == b"no_provider_left"
        assert letter.value == pipeline.stored(pipeline.topics.prompts)[0].value


async def test_a_bug_of_a_handler_fails_its_request_and_no_other(deploy: Deploy, clock: FixedClock) -> None:
    async with deploy(outside(CrashingModel("broken"), Echo("sound"), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()
        await pipeline.put(pipeline.topics.texts, a_text_query("And then?", origin=a_question(2).origin))
        await pipeline.settle()

        results = pipeline.records(pipeline.topics.results)
        assert {result.origin.request_id: result.status for result in results} == {
            "request-1": Status.FAILED,
            "request-2": Status.FAILED,
        }
        assert {error.error_code for result in results for error in result.errors} == {"handler_failed"}
        stacks = [header(letter.headers, "__streams.errors.stacktrace") for letter in pipeline.dead_letters]
        assert all(stack and b"ZeroDivisionError" in stack for stack in stacks)


async def test_without_the_vector_store_the_answer_is_degraded(deploy: Deploy, clock: FixedClock) -> None:
    store = ScriptedStore(error=StoreUnavailable("the store is down"))
    async with deploy(outside(Echo(), clock=clock, store=store)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.put(pipeline.topics.texts, a_question(2, strict=True))
        await pipeline.settle()

        results = {result.origin.request_id: result for result in pipeline.records(pipeline.topics.results)}
        assert results["request-1"].status is Status.DEGRADED
        assert "vector_store_unavailable" in results["request-1"].degradations
        assert (results["request-2"].status, results["request-2"].text) == (Status.FAILED, "")
        assert "vector_store" in pipeline.table("circuits")


async def test_a_transient_failure_is_tried_again(deploy: Deploy, clock: FixedClock) -> None:
    encoder = HashingEncoder(Transient("busy"), Transient("still busy"))
    async with deploy(outside(Echo(), clock=clock, encoder=encoder)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        assert only_result(pipeline).text == "Who wrote Frankenstein?"
        assert pipeline.dead_letters == []


async def test_a_conversation_is_answered_in_its_order(deploy: Deploy, clock: FixedClock) -> None:
    """Although the model takes longer for some questions than for those after them."""
    questions = [a_question(number, f"Question {number}?", session_id=f"talk-{number % 3}") for number in range(30)]
    async with deploy(outside(UnevenModel(), clock=clock)) as pipeline:
        for question in questions:
            await pipeline.put(pipeline.topics.texts, question)
        await pipeline.settle()

        answered: defaultdict[str | None, list[str]] = defaultdict(list)
        for result in pipeline.records(pipeline.topics.results):
            answered[result.origin.session_id].append(result.origin.request_id)
        assert answered == {f"talk-{talk}": [f"request-{number}" for number in range(talk, 30, 3)] for talk in range(3)}


async def test_two_identical_questions_are_both_answered(deploy: Deploy, clock: FixedClock) -> None:
    async with deploy(outside(Echo(), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.put(pipeline.topics.texts, a_question(2))
        await pipeline.settle()

        results = pipeline.records(pipeline.topics.results)
        assert {result.origin.request_id for result in results} == {"request-1", "request-2"}
        assert len({result.result_id for result in results}) == 2
        assert {result.text for result in results} == {"Who wrote Frankenstein?"}


async def test_a_request_sent_twice_has_one_result_id(deploy: Deploy, clock: FixedClock) -> None:
    async with deploy(outside(Echo(), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        assert {result.result_id for result in pipeline.records(pipeline.topics.results)} == {result_id("request-1")}


async def test_verdicts_make_a_champion(deploy: Deploy, clock: FixedClock) -> None:
    async with deploy(outside(Echo("first"), Echo("second"), clock=clock)) as pipeline:
        for score in (0.9, 0.8):
            await pipeline.put(pipeline.topics.verdicts, a_verdict("second", score))
        await pipeline.settle()

        ranking = pipeline.table("champions")["literary/analysis"]
        assert (ranking.champion, [standing.samples for standing in ranking.standings]) == ("second", [2])
        assert pipeline.records(pipeline.topics.standings)[-1] == ranking


async def test_judged_answers_are_counted_in_their_cell(deploy: Deploy, clock: FixedClock) -> None:
    async with deploy(outside(Echo(), clock=clock)) as pipeline:
        for number in range(5):
            await pipeline.put(pipeline.topics.texts, a_question(number))
        await pipeline.settle()

        (standing,) = pipeline.table("champions")["general/analysis"].standings
        assert (standing.model, standing.samples) == ("echo", 5)


async def test_an_open_circuit_spares_the_provider(deploy: Deploy, clock: FixedClock) -> None:
    """After three failures `first` is asked no more; the first worker to see that may be a moment late."""
    first = down("first", clock)
    async with deploy(outside(first, Echo("second"), clock=clock)) as pipeline:
        for number in range(12):
            question = replace(a_question(number, session_id="talk"), strategy=Strategy.COST_OPTIMIZED)
            await pipeline.put(pipeline.topics.texts, question)
            await pipeline.settle()

        state = pipeline.table("circuits")["first"]
        last = pipeline.records(pipeline.topics.results)[-1]
        assert state.open_until is not None
        assert 3 <= len(first.asked) < 12
        assert last.decision is not None
        assert (last.decision.model, last.decision.rejected) == ("second", {"first": "circuit_open"})


async def test_feedback_reaches_the_sink_once_it_is_back(deploy: Deploy, clock: FixedClock) -> None:
    sink = RecoveringSink(DataForgeUnavailable("down"), failures=2)
    async with deploy(outside(Echo(), clock=clock, sink=sink)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        (feedback,) = sink.delivered
        assert (feedback.origin.request_id, feedback.output) == ("request-1", "Who wrote Frankenstein?")
        assert pipeline.dead_letters == []
        calls = [call for call in pipeline.records(pipeline.topics.outcomes) if call.dependency == "dataforge_feedback"]
        assert [call.ok for call in calls] == [False] * 2 + [True]


class RecoveringSink(ScriptedSink[Feedback]):
    """Fails some times, then takes everything."""

    def __init__(self, error: DataForgeUnavailable, *, failures: int) -> None:
        super().__init__(error)
        self._failures = failures

    async def deliver(self, batch: Sequence[Feedback]) -> Sequence[PipelineError | None]:
        if self._failures == 0:
            self.error = None
        self._failures -= 1
        return await super().deliver(batch)
