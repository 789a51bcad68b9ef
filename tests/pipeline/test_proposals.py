"""What is proposed reaches Sophia: texts, speech and facts of answers, with their facts, vectors and provenance, once each."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from schemas.ids import embedding_id
from schemas.records import Analysis, Entity, Origin, Proposal, Status
from streams.clients.hashing import Hashing
from streams.clients.language.registry import analyst_of
from streams.clients.models.extractive import Extractive
from streams.clients.sophia import Sophia
from streams.language import Analyst
from streams.settings import AnalyseSettings, ProposeSettings, Settings, SophiaSettings, WatchSettings
from tests.clock import FixedClock
from tests.given import NOON, an_origin
from tests.loopback.sophia import TOKEN, Fault, LoopbackSophia, loopback_sophia
from tests.pipeline.voices import a_clip
from tests.pipeline.world import FRANKENSTEIN, SETTINGS, a_question, outside
from topology.memory import MemoryPipeline
from topology.units import Unit

PROPOSING = replace(SETTINGS, propose=ProposeSettings(answers="on"), sophia=SophiaSettings(), watch=WatchSettings())
SAID = "Mary Shelley wrote Frankenstein in Geneva."


@pytest.fixture
async def sophia() -> AsyncIterator[LoopbackSophia]:
    async with loopback_sophia() as serving:
        yield serving


@pytest.fixture
async def sink(sophia: LoopbackSophia) -> AsyncIterator[Sophia]:
    made = Sophia(SophiaSettings(url=sophia.url, token=TOKEN))
    yield made
    await made.close()


@pytest.fixture
async def analyst() -> AsyncIterator[Analyst]:
    """The real one: spaCy and its English model."""
    made = analyst_of(AnalyseSettings())
    await made.start()
    yield made
    await made.close()


class NamingAnalyst:
    """An `Analyst` that finds a person in every text, and what she did."""

    async def analyse(self, origin: Origin, text: str, *, operations: Sequence[str] | None = None) -> Analysis:
        relation = {"subject": "Mary Shelley", "relation": "write", "object": "Frankenstein", "sentence": text}
        return Analysis(
            origin=origin,
            language="en",
            sentences=(text,),
            tokens=(),
            entities=(Entity(text="Mary Shelley", label="PERSON", start=0, end=12),),
            model="naming",
            findings=(json.dumps({"operation": "relations", "relations": [relation]}),),
        )


def in_memory(
    clock: FixedClock,
    sink: Sophia | None,
    analyst: Analyst | None = None,
    *,
    settings: Settings = PROPOSING,
    chance: Random | None = None,
) -> MemoryPipeline:
    ports = outside(Extractive(), clock=clock, proposal_sink=sink)
    if analyst is not None:
        ports = replace(ports, analyst=analyst)
    return MemoryPipeline(settings, ports, clock=clock, chance=chance)


def a_proposal(number: int, text: str = SAID, *, session_id: str | None = None) -> Proposal:
    origin = an_origin(f"request-{number}", session_id=session_id)
    return Proposal(origin=origin, proposal_id=f"p{number}", raw_text=text, confidence=0.7, metadata={})


def stated(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    names = {node["id"]: node["name"] for node in body["nodes"]}
    return [(names[edge["source"]], edge["relation"], names[edge["target"]]) for edge in body["edges"]]


async def test_a_spoken_note_becomes_a_transcript_a_vector_and_a_proposal_with_its_facts(
    clock: FixedClock, sophia: LoopbackSophia, sink: Sophia, analyst: Analyst
) -> None:
    """Media ingest of the first design, from the chunks of a clip to Sophia."""
    async with in_memory(clock, sink, analyst) as pipeline:
        for chunk in a_clip(1, SAID, intent="proposal"):
            await pipeline.put(pipeline.topics.audio, chunk)
        await pipeline.settle()

        (said,) = pipeline.records(pipeline.topics.transcripts)
        (result,) = pipeline.records(pipeline.topics.results)
        assert (result.status, result.text) == (Status.OK, SAID)
        (body,) = sophia.proposals.values()
        assert (body["raw_text"], body["confidence"]) == (SAID, said.confidence)
        assert (body["llm_provider"], body["model"]) == ("speech", said.model)
        assert ("Mary Shelley", "write", "Frankenstein") in stated(body)
        assert {("Mary Shelley", "PERSON"), ("Geneva", "GPE")} <= {(n["name"], n["type"]) for n in body["nodes"]}
        assert body["embedding"]["embedding_id"] == embedding_id(Hashing.name, SAID)
        assert (body["embedding"]["dimension"], len(body["embedding"]["vector"])) == (Hashing.dimension,) * 2
        assert body["metadata"]["clip_id"] == said.clip_id
        assert {"source": "transcript", "confidence_by": "recognition", "facts_by": "en_core_web_sm"}.items() <= body[
            "provenance"
        ].items()
        assert pipeline.records(pipeline.topics.texts) == []
        assert pipeline.dead_letters == []
        assert sophia.problems == []


async def test_facts_of_a_good_answer_are_proposed_with_what_it_rests_on(
    clock: FixedClock, sophia: LoopbackSophia, sink: Sophia
) -> None:
    async with in_memory(clock, sink, NamingAnalyst()) as pipeline:
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.settle()
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.put(pipeline.topics.texts, a_question(2, "What is the capital of Mars?"))
        await pipeline.settle()

        ended = {result.origin.request_id: result for result in pipeline.records(pipeline.topics.results)}
        assert ended["request-1"].status is Status.OK
        assert ended["request-2"].sources == ()
        assert set(sophia.proposals) == {"answer:request-1"}
        body = sophia.proposals["answer:request-1"]
        assert body["confidence"] == ended["request-1"].overall
        assert ("Mary Shelley", "write", "Frankenstein") in stated(body)
        assert (body["metadata"]["chunk_ids"], body["metadata"]["query"]) == (
            "frankenstein#0",
            "Who wrote Frankenstein?",
        )
        assert (body["model"], body["provenance"]["confidence_by"]) == ("extractive", "evaluation")


async def test_what_a_producer_extracted_is_passed_on_and_what_it_cannot_mean_is_buried(
    clock: FixedClock, sophia: LoopbackSophia, sink: Sophia
) -> None:
    given = replace(a_proposal(1), nodes=('{"name": "Mary"}',), model="own", provider="lab", metadata={"page": "7"})
    senseless = replace(a_proposal(2), nodes=("nonsense",), confidence=2.0)
    async with in_memory(clock, sink) as pipeline:
        await pipeline.put(pipeline.topics.proposals, given)
        await pipeline.put(pipeline.topics.proposals, senseless)
        await pipeline.settle()

        assert set(sophia.proposals) == {"p1"}
        body = sophia.proposals["p1"]
        assert (body["nodes"], body["edges"], body["metadata"]) == ([{"name": "Mary"}], [], {"page": "7"})
        assert (body["model"], body["llm_provider"], body["provenance"]["facts_by"]) == ("own", "lab", "producer")
        assert len(pipeline.dead_letters) == 1


async def test_sophia_down_for_ten_minutes_gets_everything_once_in_order_of_the_conversation(
    clock: FixedClock, sophia: LoopbackSophia, sink: Sophia
) -> None:
    sophia.down = lambda: clock.now() < NOON + timedelta(minutes=10)
    async with in_memory(clock, sink, chance=Random(5)) as pipeline:
        for number in range(40):
            await pipeline.put(pipeline.topics.proposals, a_proposal(number, session_id=f"talk-{number % 4}"))
        await pipeline.settle()

        assert len(sophia.order) == len(sophia.proposals) == 40
        for talk in range(4):
            mine = [one for one in sophia.order if int(one[1:]) % 4 == talk]
            assert mine == [f"p{number}" for number in range(talk, 40, 4)]
        assert set(sophia.came.values()) == {1}
        assert sophia.calls < 40 + 60, "the circuit keeps calls back"
        assert clock.now() >= NOON + timedelta(minutes=10)
        assert pipeline.dead_letters == []


async def test_every_fault_that_may_pass_is_outlasted_and_what_is_refused_is_buried(
    clock: FixedClock, sophia: LoopbackSophia, sink: Sophia
) -> None:
    passing = [
        Fault.SERVER_ERROR, Fault.CLOSED, Fault.MALFORMED, Fault.MISSING_FIELDS, Fault.MISSHAPEN, Fault.EMPTY, Fault.HALF,
    ]  # fmt: skip
    sophia.fail_next(*passing, Fault.UNPROCESSABLE, Fault.NOT_ACCEPTED)
    async with in_memory(clock, sink) as pipeline:
        for number in range(5):
            await pipeline.put(pipeline.topics.proposals, a_proposal(number, session_id="talk"))
            await pipeline.settle()

        assert set(sophia.proposals) == {"p2", "p3", "p4"}
        codes = {
            value for letter in pipeline.dead_letters for name, value in letter.headers if name.endswith("error-code")
        }
        assert (len(pipeline.dead_letters), codes) == (2, {b"sophia_refused"})


async def test_submit_killed_again_and_again_submits_everything_under_its_one_id(
    clock: FixedClock, sophia: LoopbackSophia, sink: Sophia
) -> None:
    async with in_memory(clock, sink, chance=Random(1)) as pipeline:
        for number in range(12):
            await pipeline.put(pipeline.topics.proposals, a_proposal(number))
        for _ in range(8):
            await pipeline.settle(9)
            pipeline.crash(Unit.DELIVERY)
        await pipeline.settle()
        came = dict(sophia.came)
        pipeline.crash(Unit.DELIVERY)
        await pipeline.settle()

        assert set(sophia.proposals) == {f"p{number}" for number in range(12)}
        assert dict(sophia.came) == came, "what is known to be submitted is not submitted again"


async def test_without_a_sophia_proposals_wait_on_their_topic_and_answers_are_not_proposed(clock: FixedClock) -> None:
    quiet = replace(PROPOSING, propose=ProposeSettings(answers="auto"))
    async with in_memory(clock, None, settings=quiet) as pipeline:
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.settle()
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.put(pipeline.topics.proposals, a_proposal(1))
        await pipeline.settle()

        (waiting,) = pipeline.records(pipeline.topics.sophia_proposals)
        assert waiting.proposal_id == "p1"
        assert not quiet.proposes_answers
        assert replace(quiet, sophia=SophiaSettings(url="http://sophia")).proposes_answers
