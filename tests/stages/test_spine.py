"""Each stage of the spine as it is wired: one record in, what it sends, and what a failure leaves behind."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from agents.admit import agent as admit
from agents.compose import agent as compose
from agents.deliver import agent as deliver
from agents.embed import agent as embed
from agents.evaluate import agent as evaluate
from agents.index import agent as index
from agents.publish import agent as publish
from agents.publish import rules as publish_rules
from agents.rank import agent as rank
from agents.retrieve import agent as retrieve
from agents.route import agent as route
from agents.watch import agent as watch
from schemas.records import (
    CircuitState,
    Command,
    CommandAction,
    Feedback,
    KnowledgeDocument,
    Origin,
    Ranking,
    Status,
    Turn,
)
from streams.clients.answers import answers_of
from streams.clients.cache import LruCache
from streams.clients.memory_gate import MemoryGate
from streams.errors import (
    DataForgeRefused,
    DataForgeUnavailable,
    NoProviderLeft,
    PipelineError,
    ProviderUnavailable,
    RequestInvalid,
    StoreUnavailable,
)
from streams.retry import FOR_EVER
from streams.settings import Settings
from tests.clock import FixedClock
from tests.fakes.app import FakeApp
from tests.fakes.model import STOP, ScriptedModel
from tests.fakes.ports import LetterEncoder, RememberedEffects, ScriptedSink, ScriptedStore
from tests.fakes.tokenizer import WordsTokenizer
from tests.given import (
    NOON,
    PASSAGE,
    a_chunk,
    a_context,
    a_prompt,
    a_request,
    a_text_query,
    a_verdict,
    an_answer,
    an_embedding,
    an_evaluation,
    an_origin,
)
from topology.topics import Topics

SETTINGS = Settings()
TOPICS = Topics.of(SETTINGS.kafka)
DOWN = StoreUnavailable("the vector store did not answer")


@pytest.fixture
def app() -> FakeApp:
    return FakeApp()


def attach_retrieve(app: FakeApp, store: ScriptedStore, clock: FixedClock, *open_circuits: str) -> None:
    circuits = {
        name: CircuitState(dependency=name, open_until=NOON + timedelta(seconds=9), as_of=NOON, counted={})
        for name in open_circuits
    }
    retrieve.attach(
        app.app,
        reads=TOPICS.embeddings,
        writes=TOPICS.contexts,
        results=TOPICS.results,
        outcomes=TOPICS.outcomes,
        packs=None,
        pack_cache=LruCache(most_entries=1, most_bytes=1, time=lambda: 0.0),
        invalidations={},
        static_packs={},
        store=store,
        profiles=None,
        circuits=circuits,
        clock=clock,
        encoder=LetterEncoder(),
        attacks={},
        settings=SETTINGS.retrieve,
        dataforge=SETTINGS.dataforge,
        screening=SETTINGS.screen,
    )


def attach_deliver(app: FakeApp, clock: FixedClock, sink: ScriptedSink[Feedback]) -> None:
    deliver.attach(
        app.app,
        reads=TOPICS.feedback,
        outcomes=TOPICS.outcomes,
        effects=TOPICS.effects,
        memory=RememberedEffects(),
        sink=sink,
        circuits={},
        clock=clock,
        settings=SETTINGS.dataforge,
    )


def attach_route(app: FakeApp, clock: FixedClock, *models: ScriptedModel, champion: str | None = None) -> None:
    cell = "literary/analysis"
    route.attach(
        app.app,
        reads=TOPICS.prompts,
        writes=TOPICS.answers,
        tokens=TOPICS.tokens,
        decisions=TOPICS.decisions,
        outcomes=TOPICS.outcomes,
        effects=TOPICS.effects,
        speech_requests=TOPICS.speech_requests,
        memory=RememberedEffects(),
        answers=answers_of(SETTINGS, clock),
        encoder=LetterEncoder(),
        models=models,
        champions={cell: Ranking(cell=cell, champion=champion, counted={})},
        circuits={},
        clock=clock,
        settings=SETTINGS.route,
        caching=SETTINGS.cache,
        speaking=SETTINGS.synthesize,
    )


def attach_rank(app: FakeApp, **circuits: CircuitState) -> None:
    rank.attach(
        app.app,
        reads=TOPICS.verdicts,
        commands=TOPICS.commands,
        writes=TOPICS.standings,
        circuits=circuits,
        settings=SETTINGS.rank,
    )


class NoHistory:
    def before(self, origin: Origin) -> Sequence[Turn]:
        return ()


def attach_admit(app: FakeApp, clock: FixedClock) -> None:
    admit.attach(
        app.app,
        reads=TOPICS.texts,
        writes=TOPICS.requests,
        duplicates=TOPICS.duplicates,
        gate=MemoryGate(window_s=60.0, duplicate_ms=500.0),
        encoder=LetterEncoder(),
        attacks={},
        history=NoHistory(),
        clock=clock,
        settings=SETTINGS.admit,
        screening=SETTINGS.screen,
    )


async def test_admit_passes_a_good_query_on_and_refuses_a_bad_one(app: FakeApp, clock: FixedClock) -> None:
    attach_admit(app, clock)

    await app.put(TOPICS.texts, a_text_query("Who wrote it?"))
    with pytest.raises(RequestInvalid):
        await app.put(TOPICS.texts, a_text_query(""))

    assert [request.query for request in app.of(TOPICS.requests)] == ["Who wrote it?"]


async def test_embed_adds_the_vector_of_the_query(app: FakeApp) -> None:
    embed.attach(app.app, reads=TOPICS.requests, writes=TOPICS.embeddings, encoder=LetterEncoder())

    await app.put(TOPICS.requests, a_request("aaa"))

    (embedding,) = app.of(TOPICS.embeddings)
    assert (embedding.model, len(embedding.vector)) == ("letters", 26)
    assert embedding.vector[0] == max(embedding.vector)


async def test_retrieve_searches_for_the_tenant_and_reports_the_call(app: FakeApp, clock: FixedClock) -> None:
    store = ScriptedStore(PASSAGE)
    attach_retrieve(app, store, clock)

    await app.put(TOPICS.embeddings, an_embedding(a_request(origin=an_origin(tenant="acme"))))

    (context,), (outcome,) = app.of(TOPICS.contexts), app.of(TOPICS.outcomes)
    assert (store.tenants, [chunk.kept for chunk in context.chunks]) == (["acme"], [True])
    assert (outcome.dependency, outcome.ok) == ("vector_store", True)


async def test_retrieve_goes_on_degraded_when_the_store_is_down(app: FakeApp, clock: FixedClock) -> None:
    attach_retrieve(app, ScriptedStore(error=DOWN), clock)

    await app.put(TOPICS.embeddings, an_embedding())

    assert app.of(TOPICS.contexts)[0].degradations == ("vector_store_unavailable", "no_context")
    assert [(o.ok, o.error_code) for o in app.of(TOPICS.outcomes)] == [(False, "store_unavailable")]


async def test_retrieve_leaves_a_store_with_an_open_circuit_alone(app: FakeApp, clock: FixedClock) -> None:
    store = ScriptedStore(PASSAGE)
    attach_retrieve(app, store, clock, "vector_store")

    await app.put(TOPICS.embeddings, an_embedding())

    assert app.of(TOPICS.contexts)[0].degradations == ("vector_store_unavailable", "no_context")
    assert (store.tenants, app.of(TOPICS.outcomes)) == ([], [])


async def test_compose_writes_a_prompt_for_the_window_of_the_model(app: FakeApp) -> None:
    compose.attach(
        app.app,
        reads=TOPICS.contexts,
        writes=TOPICS.prompts,
        tokenizer=WordsTokenizer(),
        window_tokens=400,
        settings=SETTINGS.compose,
    )

    await app.put(TOPICS.contexts, a_context(a_chunk(), a_chunk("w " * 400, chunk_id="long#0")))

    (prompt,) = app.of(TOPICS.prompts)
    assert [chunk.reason for chunk in prompt.chunks] == ["relevant", "over_budget"]
    assert prompt.tokens <= 400 - prompt.request.max_tokens


async def test_route_asks_the_champion_and_streams_what_it_says(app: FakeApp, clock: FixedClock) -> None:
    attach_route(
        app,
        clock,
        ScriptedModel("first", "No.", STOP, clock=clock),
        ScriptedModel("second", "Mary ", "Shelley.", STOP, clock=clock),
        champion="second",
    )

    await app.put(TOPICS.prompts, a_prompt(request=a_request(model=None, origin=an_origin("r3"))))

    (answer,) = app.of(TOPICS.answers)
    assert (answer.text, answer.decision.reasons) == ("Mary Shelley.", ("champion",))
    assert "".join(event.content for event in app.of(TOPICS.tokens)) == "Mary Shelley."
    assert [outcome.dependency for outcome in app.of(TOPICS.outcomes)] == ["second"]
    assert [(d.decision_id, d.chosen, d.chain) for d in app.of(TOPICS.decisions)] == [
        ("r3", "second", ("second", "first"))
    ]


async def test_route_reports_failed_calls_even_when_the_request_fails(app: FakeApp, clock: FixedClock) -> None:
    """Outputs of a handler that raises are not sent; without its outcomes the circuit would never open."""
    attach_route(app, clock, ScriptedModel("first", ProviderUnavailable("down"), clock=clock))

    with pytest.raises(NoProviderLeft):
        await app.put(TOPICS.prompts, a_prompt())

    assert {(o.dependency, o.ok) for o in app.of(TOPICS.outcomes)} == {("first", False)}
    assert app.of(TOPICS.tokens)[-1].type.value == "error"
    assert app.of(TOPICS.answers) == []
    assert [decision.chosen for decision in app.of(TOPICS.decisions)] == ["first"]


async def test_evaluate_judges_and_tells_the_champions(app: FakeApp, clock: FixedClock) -> None:
    evaluate.attach(
        app.app,
        reads=TOPICS.answers,
        writes=TOPICS.evaluations,
        verdicts=TOPICS.verdicts,
        outcomes=TOPICS.outcomes,
        judges=(),
        circuits={},
        clock=clock,
        settings=SETTINGS.evaluate,
    )

    await app.put(TOPICS.answers, an_answer("Mary Shelley wrote Frankenstein.", a_chunk()))

    (evaluation,), (verdict,) = app.of(TOPICS.evaluations), app.of(TOPICS.verdicts)
    assert evaluation.passed
    assert (verdict.model, verdict.score) == ("first", evaluation.overall)


async def test_publish_ends_the_request_and_leaves_feedback_and_speech(app: FakeApp, clock: FixedClock) -> None:
    publish.attach(
        app.app,
        reads=TOPICS.evaluations,
        results=TOPICS.results,
        feedback=TOPICS.feedback,
        speech_requests=TOPICS.speech_requests,
        proposals=TOPICS.proposals,
        clock=clock,
    )
    answer = an_answer("Mary Shelley.", a_chunk(), request=a_request(speak=True))

    await app.put(TOPICS.evaluations, an_evaluation(answer))

    assert [result.status for result in app.of(TOPICS.results)] == [Status.OK]
    assert [feedback.chunk_ids for feedback in app.of(TOPICS.feedback)] == [("frankenstein#0",)]
    assert [speech.text for speech in app.of(TOPICS.speech_requests)] == ["Mary Shelley."]
    assert [proposal.raw_text for proposal in app.of(TOPICS.proposals)] == ["Mary Shelley."]


async def test_rank_keeps_the_table_and_repeats_it_for_views(app: FakeApp) -> None:
    attach_rank(app)

    await app.put(TOPICS.verdicts, a_verdict("first"))
    await app.put(TOPICS.commands, a_command(CommandAction.PROMOTE, "literary/analysis", "second"))
    await app.put(TOPICS.commands, a_command(CommandAction.FORCE_OPEN, "first"))

    assert [ranking.champion for ranking in app.of(TOPICS.standings)] == [None, "second"]
    assert app.tables["champions"].rows == {"literary/analysis": app.of(TOPICS.standings)[-1]}


async def test_rank_crowns_nobody_whose_circuit_is_open(app: FakeApp) -> None:
    attach_rank(app, first=CircuitState(dependency="first", open_until=NOON, as_of=NOON, counted={}))

    for number in range(SETTINGS.rank.min_samples + 1):
        await app.put(TOPICS.verdicts, a_verdict("first", number / 10))

    assert {ranking.champion for ranking in app.of(TOPICS.standings)} == {None}


async def test_watch_keeps_the_table_and_repeats_it_for_views(app: FakeApp, clock: FixedClock) -> None:
    watch.attach(
        app.app, reads=TOPICS.outcomes, commands=TOPICS.commands, writes=TOPICS.circuit_states, settings=SETTINGS.watch
    )
    failing = FakeApp()
    attach_retrieve(failing, ScriptedStore(error=DOWN), clock)
    for number in range(SETTINGS.watch.failure_threshold):
        await failing.put(TOPICS.embeddings, an_embedding(a_request(origin=an_origin(f"request-{number}"))))

    for outcome in failing.of(TOPICS.outcomes):
        await app.put(TOPICS.outcomes, outcome)
    await app.put(TOPICS.commands, a_command(CommandAction.PROMOTE, "literary/analysis", "second"))

    states = app.of(TOPICS.circuit_states)
    assert [state.open_until is not None for state in states] == [False, False, False, False, True]
    assert app.tables["circuits"].rows == {"vector_store": states[-1]}


async def test_index_stores_a_document_and_forgets_it(app: FakeApp, clock: FixedClock) -> None:
    store = ScriptedStore()
    attach_index(app, store, clock)
    document = KnowledgeDocument(document_id="moon", title="Moon", text="It is far. " * 100, updated_at=NOON)

    await app.put(TOPICS.knowledge, document)
    stored = [chunk.chunk_id for chunk in store.documents["moon"]]
    await app.delete(TOPICS.knowledge, "moon")

    assert stored == ["moon#0", "moon#1"]
    assert store.documents == {}
    assert [(i.subject, i.reason) for i in app.of(TOPICS.invalidations)] == [
        ("document:moon", "updated"), ("document:moon", "deleted"),
    ]  # fmt: skip


async def test_index_makes_an_empty_document_an_empty_one(app: FakeApp, clock: FixedClock) -> None:
    store = ScriptedStore()
    attach_index(app, store, clock)

    await app.put(TOPICS.knowledge, KnowledgeDocument(document_id="d", title="t", text=" ", updated_at=NOON))

    assert store.documents == {"d": []}


async def test_while_the_store_is_down_a_document_waits_and_no_cache_hears_of_it(
    app: FakeApp, clock: FixedClock
) -> None:
    attach_index(app, ScriptedStore(error=DOWN), clock)

    with pytest.raises(StoreUnavailable):
        await app.put(TOPICS.knowledge, KnowledgeDocument(document_id="d", title="t", text="x", updated_at=NOON))

    assert app.of(TOPICS.invalidations) == []
    assert app.patience_s["index"] == FOR_EVER


async def test_deliver_hands_feedback_over_and_reports_the_call(app: FakeApp, clock: FixedClock) -> None:
    sink = ScriptedSink[Feedback]()
    attach_deliver(app, clock, sink)
    feedback = a_feedback()

    await app.put(TOPICS.feedback, feedback)

    assert sink.delivered == [feedback]
    assert [(o.dependency, o.ok) for o in app.of(TOPICS.outcomes)] == [("dataforge_feedback", True)]


@pytest.mark.parametrize(
    ("error", "counts"), [(DataForgeUnavailable("down"), True), (DataForgeRefused("bad contract"), False)]
)
async def test_deliver_leaves_failures_to_the_engine_and_reports_them(
    app: FakeApp, clock: FixedClock, error: PipelineError, counts: bool
) -> None:
    attach_deliver(app, clock, ScriptedSink(error))

    with pytest.raises(type(error)):
        await app.put(TOPICS.feedback, a_feedback())

    assert [(o.ok, o.error_code) for o in app.of(TOPICS.outcomes)] == [(not counts, error.code)]
    assert app.patience_s["deliver"] == FOR_EVER


def attach_index(app: FakeApp, store: ScriptedStore, clock: FixedClock) -> None:
    index.attach(
        app.app,
        reads=TOPICS.knowledge,
        invalidations=TOPICS.invalidations,
        encoder=LetterEncoder(),
        store=store,
        clock=clock,
        settings=SETTINGS.index,
    )


def a_feedback() -> Feedback:
    evaluation = an_evaluation()
    return publish_rules.feedback(evaluation, publish_rules.result(evaluation, NOON))


def a_command(action: CommandAction, subject: str, model: str | None = None) -> Command:
    return Command(
        command_id=f"{action}-{subject}",
        subject=subject,
        action=action,
        model=model,
        issued_by="ops",
        reason="test",
        at=NOON,
    )
