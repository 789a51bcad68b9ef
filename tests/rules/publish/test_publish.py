"""What a request ends with."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agents.publish import rules
from schemas.ids import result_id
from schemas.records import Answer, Evaluation, Status
from tests.given import NOON, a_chunk, a_request, an_answer, an_evaluation, an_origin

LATER = NOON + timedelta(seconds=1)


def an_answer_to(*, strict: bool = False, speak: bool = False, degradations: tuple[str, ...] = ()) -> Answer:
    request = a_request(strict=strict, speak=speak)
    return an_answer("Mary Shelley.", a_chunk(), request=request, degradations=degradations)


def test_an_answer_is_published_with_everything_it_rests_on() -> None:
    evaluation = an_evaluation()

    result = rules.result(evaluation, NOON)

    assert (result.status, result.text, result.errors) == (Status.OK, evaluation.answer.text, ())
    assert [source.chunk_id for source in result.sources] == ["frankenstein#0"]
    assert (result.scores, result.overall, result.evaluator) == (evaluation.scores, 0.9, "rules/2")
    assert (result.decision, result.prompt_version) == (evaluation.answer.decision, "literary/1")
    assert (result.input_tokens, result.output_tokens, result.cost_usd) == (50, 6, 0.25)
    assert result.result_id == result_id("request-1")


def test_only_kept_passages_are_sources() -> None:
    answer = an_answer("x", a_chunk(kept=False), a_chunk(chunk_id="other#0"))

    assert [source.chunk_id for source in rules.result(an_evaluation(answer), NOON).sources] == ["other#0"]


def test_what_could_not_be_had_makes_a_result_degraded() -> None:
    result = rules.result(an_evaluation(an_answer_to(degradations=("vector_store_unavailable",))), NOON)

    assert (result.status, result.degradations) == (Status.DEGRADED, ("vector_store_unavailable",))
    assert result.text == "Mary Shelley."


def test_an_answer_that_did_not_pass_is_degraded() -> None:
    result = rules.result(an_evaluation(passed=False), NOON)

    assert (result.status, result.degradations) == (Status.DEGRADED, ("evaluation_not_passed",))


@pytest.mark.parametrize("passed", [True, False])
def test_a_strict_request_gets_no_degraded_answer(passed: bool) -> None:
    answer = an_answer_to(strict=True, degradations=("model_fallback",) if passed else ())

    result = rules.result(an_evaluation(answer, passed=passed), NOON)

    assert (result.status, result.text) == (Status.FAILED, "")
    assert [(error.error_code, error.timestamp) for error in result.errors] == [("strict_refused", NOON)]
    assert result.scores


def test_a_strict_request_gets_a_good_answer() -> None:
    assert rules.result(an_evaluation(an_answer_to(strict=True)), NOON).status is Status.OK


def test_an_answer_that_breaks_policy_is_not_shown() -> None:
    result = rules.result(an_evaluation(passed=False, policy=0.0), NOON)

    assert (result.status, result.text) == (Status.FAILED, "")
    assert [error.error_code for error in result.errors] == ["answer_withheld"]


def test_feedback_names_pack_passages_and_reward_under_a_stable_id() -> None:
    answer = an_answer("Mary Shelley.", a_chunk(), a_chunk(kept=False), request=a_request(context_pack_id="pack-7"))
    evaluation = an_evaluation(replace(answer, pack_version="3"))

    feedback = rules.feedback(evaluation, rules.result(evaluation, NOON))

    assert (feedback.context_pack_id, feedback.pack_version, feedback.chunk_ids) == ("pack-7", "3", ("frankenstein#0",))
    assert (feedback.reward, feedback.passed, feedback.tokens_used) == (0.9, True, 56)
    assert (feedback.prompt_version, feedback.evaluator, feedback.decision) == (
        "literary/1",
        "rules/2",
        answer.decision,
    )
    assert feedback.feedback_id == rules.feedback(evaluation, rules.result(evaluation, LATER)).feedback_id
    by_another = replace(evaluation, evaluator="rules/other")
    assert feedback.feedback_id != rules.feedback(by_another, rules.result(by_another, NOON)).feedback_id


def test_of_an_answer_that_is_not_shown_dataforge_learns_why() -> None:
    evaluation = an_evaluation(passed=False, policy=0.0)

    feedback = rules.feedback(evaluation, rules.result(evaluation, NOON))

    assert (feedback.output, feedback.passed) == (evaluation.answer.text, False)
    assert feedback.error is not None
    assert "gives its instructions away" in feedback.error


def test_a_good_answer_that_rests_on_passages_is_proposed_as_sure_as_its_evaluation() -> None:
    request = a_request(context_pack_id="pack-7")
    evaluation = an_evaluation(an_answer("Mary Shelley wrote it.", a_chunk(), request=request), overall=0.8)

    (proposal,) = rules.proposals(evaluation, rules.result(evaluation, NOON))

    assert (proposal.proposal_id, proposal.source, proposal.confidence) == ("answer:request-1", "answer", 0.8)
    assert (proposal.raw_text, proposal.model, proposal.provider) == (
        "Mary Shelley wrote it.",
        "first",
        "first-provider",
    )
    assert proposal.metadata["context_pack_id"] == "pack-7"
    assert proposal.metadata["chunk_ids"] == "frankenstein#0"
    assert "pack_version" not in proposal.metadata


@pytest.mark.parametrize(
    "evaluation",
    [
        an_evaluation(an_answer("Mary Shelley.")),
        an_evaluation(passed=False),
        an_evaluation(an_answer_to(degradations=("model_fallback",))),
        an_evaluation(passed=False, policy=0.0),
        an_evaluation(an_answer("x", a_chunk(), request=a_request(origin=replace(an_origin(), replay_id="r")))),
    ],
    ids=["rests on nothing", "did not pass", "degraded", "withheld", "replayed"],
)
def test_no_other_answer_is_proposed(evaluation: Evaluation) -> None:
    assert rules.proposals(evaluation, rules.result(evaluation, NOON)) == ()


def test_an_answer_is_spoken_when_that_was_asked_for_and_it_is_shown() -> None:
    spoken = an_evaluation(an_answer_to(speak=True))
    silent = an_evaluation(an_answer_to())
    withheld = an_evaluation(an_answer_to(speak=True), policy=0.0)

    said = [rules.speech_requests(one, rules.result(one, NOON)) for one in (spoken, silent, withheld)]

    assert [[speech.text for speech in one] for one in said] == [["Mary Shelley."], [], []]


def test_the_origin_travels_to_the_end() -> None:
    origin = an_origin(session_id="s1")
    evaluation = an_evaluation(an_answer(request=a_request(origin=origin)))

    assert rules.feedback(evaluation, rules.result(evaluation, NOON)).origin == origin
