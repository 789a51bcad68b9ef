"""How an answer is judged."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluate import rules
from agents.evaluate.judged import declines
from schemas.records import Answer, Chunk, Evaluation, ScoreStatus, Task
from streams.settings import EvaluateSettings
from tests.given import NOON, a_chunk, a_request, an_answer

SETTINGS = EvaluateSettings(pass_mark=0.5)
NAMES = ("relevance", "correctness", "coherence", "policy_compliance", "context_overlap")
SHELLEY = a_chunk(
    "Mary Shelley wrote Frankenstein; or, The Modern Prometheus. She began it in the wet summer of 1816 at Lake "
    "Geneva, and it was published on 1 January 1818."
)
OCTOPUS = a_chunk(
    "An octopus has three hearts: two pump blood through the gills, and one pumps it through the rest of the body.",
    title="Octopus",
)


def judged(text: str, *chunks: Chunk, query: str = "Who wrote Frankenstein?", task: Task = Task.ANALYSIS) -> Evaluation:
    return rules.evaluation(an_answer(text, *chunks, request=a_request(query, task=task)), SETTINGS)


def score(evaluation: Evaluation, name: str) -> float:
    return next(s.value for s in evaluation.scores if s.name == name)


def skipped(evaluation: Evaluation) -> set[str]:
    return {s.name for s in evaluation.scores if s.status is ScoreStatus.SKIPPED}


def test_five_scores_in_a_fixed_order_and_their_weighted_mean() -> None:
    evaluation = judged("Mary Shelley wrote Frankenstein.", SHELLEY)

    assert tuple(s.name for s in evaluation.scores) == NAMES == tuple(rules.WEIGHTS)
    assert evaluation.overall == pytest.approx(sum(rules.WEIGHTS[s.name] * s.value for s in evaluation.scores))
    assert evaluation.evaluator == "rules/2"
    assert sum(rules.WEIGHTS.values()) == pytest.approx(1.0)


def test_an_answer_out_of_the_passages_passes() -> None:
    evaluation = judged("Mary Shelley wrote Frankenstein. She began it in 1816.", SHELLEY)

    assert evaluation.passed
    assert evaluation.overall > 0.9


def test_a_short_answer_is_as_relevant_as_the_passage_it_draws_on() -> None:
    assert score(judged("Mary Shelley.", SHELLEY), "relevance") == 1.0


def test_an_answer_about_something_else_is_not_relevant() -> None:
    assert score(judged("Bananas grow in tropical countries.", SHELLEY), "relevance") == 0.0


def test_what_the_passages_do_not_say_is_not_correct() -> None:
    invented = judged("Percy Florence composed it together with Goethe in Weimar.", SHELLEY)

    assert score(invented, "correctness") < 0.2
    assert not invented.passed


def test_a_wrong_number_takes_the_support_of_its_sentence() -> None:
    right = judged("Mary Shelley began it in 1816.", SHELLEY)
    wrong = judged("Mary Shelley began it in 1817.", SHELLEY)

    assert score(right, "correctness") == 1.0
    assert score(wrong, "correctness") == 0.0


def test_a_number_of_the_question_needs_no_support() -> None:
    evaluation = judged("In 1815 Mary Shelley had not begun.", SHELLEY, query="Had it been begun in 1815?")

    assert score(evaluation, "correctness") > 0.5


def test_a_number_in_digits_is_supported_by_the_word() -> None:
    evaluation = judged("The octopus has 3 hearts.", OCTOPUS, query="How many hearts does an octopus have?")

    assert score(evaluation, "correctness") == 1.0


def test_an_invented_sentence_weighs_by_its_length() -> None:
    evaluation = judged("Mary Shelley wrote Frankenstein. Goethe translated every chapter into Latin verse.", SHELLEY)

    assert 0.2 < score(evaluation, "correctness") < 0.5


def test_declining_is_right_where_nothing_was_found() -> None:
    evaluation = judged("The context holds no answer.")

    assert (score(evaluation, "correctness"), score(evaluation, "relevance")) == (1.0, 1.0)
    assert skipped(evaluation) == {"context_overlap"}
    assert evaluation.passed
    assert evaluation.overall == pytest.approx(1.0)


def test_declining_is_no_merit_where_nobody_could_look() -> None:
    answer = replace(an_answer("The context holds no answer."), degradations=("vector_store_unavailable", "no_context"))

    evaluation = rules.evaluation(answer, SETTINGS)

    assert score(evaluation, "relevance") == 0.0
    assert skipped(evaluation) == {"correctness", "context_overlap"}
    assert evaluation.overall == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("degradations", "task", "tells"),
    [
        ((), Task.ANALYSIS, True),
        (("context_pack_stale",), Task.ANALYSIS, True),
        (("vector_store_unavailable", "no_context"), Task.ANALYSIS, False),
        (("vector_store_unavailable", "no_context"), Task.GENERATION, True),
    ],
)
def test_champions_learn_nothing_from_an_answer_that_lacked_its_passages(
    degradations: tuple[str, ...], task: Task, tells: bool
) -> None:
    answer = an_answer("Mary Shelley.", request=a_request(task=task))

    assert rules.tells_of_the_model(replace(answer, degradations=degradations)) is tells


def test_declining_is_right_as_far_as_the_passages_are_about_something_else() -> None:
    hardly_relevant = replace(OCTOPUS, relevance=0.36)

    evaluation = judged("The context holds no answer.", hardly_relevant, query="What is the capital city of Peru?")

    assert score(evaluation, "correctness") == pytest.approx(0.64)
    assert evaluation.passed


def test_declining_is_wrong_where_a_paraphrase_of_the_question_was_found() -> None:
    near = replace(OCTOPUS, relevance=0.9)

    assert not judged("The context holds no answer.", near, query="Count the blood pumps of a cephalopod").passed


def test_declining_is_wrong_where_a_passage_holds_the_answer() -> None:
    evaluation = judged("The context holds no answer.", SHELLEY)

    assert score(evaluation, "correctness") == 0.0
    assert not evaluation.passed


def test_answering_without_passages_is_unfounded_unless_free_text_was_asked_for() -> None:
    claimed = judged("Manchester City won the match.", query="Who won the match?")
    poem = judged("The sea is wide. The moon is high.", query="A poem about the sea and moon", task=Task.GENERATION)

    assert score(claimed, "correctness") == 0.0
    assert not claimed.passed
    assert skipped(poem) == {"correctness", "context_overlap"}
    assert poem.passed


@pytest.mark.parametrize(
    "text",
    [
        "The context holds no answer.",
        "The passages do not contain this information.",
        "I don't know.",
        "This cannot be answered from the context.",
        "I cannot answer that.",
        "The answer is not in the passage.",
        "The provided text does not mention it.",
    ],
)
def test_the_ways_of_declining_are_known(text: str) -> None:
    assert declines(text)


@pytest.mark.parametrize(
    "text", ["", "Mary Shelley.", "He does not pass. The text goes on.", "The context holds no answer. " + "But " * 80]
)
def test_an_answer_is_not_taken_for_declining(text: str) -> None:
    assert not declines(text)


def test_repetition_is_incoherent() -> None:
    once = judged("The answer to this question is here.")
    often = judged("The answer to this question is here. " * 20)

    assert score(once, "coherence") == 1.0
    assert score(often, "coherence") < 0.2


def test_fragments_are_less_coherent_than_sentences_and_lists_are_not() -> None:
    assert score(judged("mary shelley wrote"), "coherence") == pytest.approx(0.7)
    assert score(judged("- Mary Shelley\n- Lord Byron"), "coherence") == 1.0


@pytest.mark.parametrize("leak", ["ember-0123456789ab", "EMBER 0123456789AB", "e.m.b.e.r.0123456789ab"])
def test_a_leaked_canary_is_a_breach_in_any_spelling(leak: str) -> None:
    evaluation = judged(f"Mary Shelley wrote Frankenstein. {leak}", SHELLEY)

    assert score(evaluation, "policy_compliance") == 0.0
    assert not evaluation.passed
    assert rules.verdict(evaluation).score == 0.0


def test_words_of_the_prompt_do_not_pass() -> None:
    evaluation = judged("Mary Shelley.\n--- end of passages 7c41e9", SHELLEY)

    assert score(evaluation, "policy_compliance") == 0.5
    assert not evaluation.passed
    assert rules.verdict(evaluation).score > 0


@pytest.mark.parametrize("text", ["", " ", "...", "\U0001f642"])
def test_an_answer_without_a_word_does_not_pass(text: str) -> None:
    evaluation = judged(text, SHELLEY)

    assert score(evaluation, "policy_compliance") == 0.0
    assert not evaluation.passed


def test_a_quotation_overlaps_more_than_a_paraphrase() -> None:
    quoted = judged("She began it in the wet summer of 1816 at Lake Geneva.", SHELLEY)
    told = judged("The writer Shelley started during summer near Geneva.", SHELLEY)

    assert score(quoted, "context_overlap") == 1.0
    assert score(told, "context_overlap") < 0.5


def test_dropped_passages_support_nothing() -> None:
    assert score(judged("Mary Shelley wrote it.", replace(SHELLEY, kept=False)), "correctness") == 0.0


def test_an_endless_answer_loses_relevance() -> None:
    text = "Mary Shelley wrote Frankenstein. " * 1000

    assert score(judged(text, SHELLEY), "relevance") < 0.2


def test_a_verdict_belongs_to_the_cell_and_the_event_time() -> None:
    verdict = rules.verdict(judged("Mary Shelley.", SHELLEY))

    assert (verdict.cell, verdict.model, verdict.at) == ("literary/analysis", "first", NOON)
    assert (verdict.verdict_id, verdict.latency_ms, verdict.cost_usd) == ("request-1/rules/2", 120.0, 0.25)


@given(st.text(max_size=400), st.text(max_size=200), st.text(min_size=1, max_size=80), st.sampled_from(list(Task)))
def test_any_answer_gets_scores_between_0_and_1(text: str, passage: str, query: str, task: Task) -> None:
    for answer in (
        an_answer(text, a_chunk(passage), request=a_request(query, task=task)),
        an_answer(text, request=a_request(query, task=task)),
    ):
        evaluation: Evaluation = rules.evaluation(answer, SETTINGS)
        assert tuple(s.name for s in evaluation.scores) == NAMES
        assert all(0.0 <= s.value <= 1.0 for s in evaluation.scores)
        assert 0.0 <= evaluation.overall <= 1.0
        assert 0.0 <= rules.verdict(evaluation).score <= 1.0
        assert not (evaluation.passed and score(evaluation, "policy_compliance") < 1.0)


@given(st.text(max_size=200))
def test_the_same_answer_is_judged_the_same(text: str) -> None:
    answer: Answer = an_answer(text, SHELLEY)

    assert rules.evaluation(answer, SETTINGS) == rules.evaluation(answer, SETTINGS)
