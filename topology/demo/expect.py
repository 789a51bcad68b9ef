"""What has to have happened: the demo is a test, and these are its assertions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.records import Result, Status
from topology.demo.journeys import Story
from topology.demo.questions import NOT_A_RECORD, Asked, Ending

SCORES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation, met or not, with what was seen instead."""

    name: str
    met: bool
    detail: str = ""


def settled(story: Story, script: Sequence[Asked]) -> bool:
    """Whether all that follows the answers has been seen; nothing better will come then."""
    return all(check.met for check in _consequences(story, script))


def checks(story: Story, script: Sequence[Asked]) -> Sequence[Check]:
    """Judge the story."""
    return [
        _one_result_each(story, script),
        *(_endings(story, ending, script) for ending in Ending),
        _conversation(story, script),
        _twins(story, script),
        *_consequences(story, script),
    ]


def _consequences(story: Story, script: Sequence[Asked]) -> Sequence[Check]:
    return [_dead_letter(story), _champions(story, script), _circuits(story, script), _feedback(story, script)]


def _one_result_each(story: Story, script: Sequence[Asked]) -> Check:
    odd = {asked.question.number: story.journey(asked.request_id).results for asked in script}
    wrong = [f"question {number} has {count or 'none'}" for number, count in odd.items() if count != 1]
    return Check(name="every question has exactly one terminal result", met=not wrong, detail="; ".join(wrong))


def _endings(story: Story, ending: Ending, script: Sequence[Asked]) -> Check:
    expected = [asked for asked in script if asked.question.ending is ending]
    wrong = [
        f"question {asked.question.number}: {problem}" for asked in expected for problem in _problems(story, asked)
    ]
    plural = "s" if len(expected) > 1 else ""
    return Check(name=f"{len(expected)} question{plural} {ending}", met=not wrong, detail="; ".join(wrong))


def _problems(story: Story, asked: Asked) -> Iterator[str]:
    question = asked.question
    result = story.journey(asked.request_id).result
    if result is None:
        yield "no result within its deadline"
        return
    if question.ending is Ending.REJECTED:
        if result.status is not Status.REJECTED:
            yield f"its status is {result.status}"
        if len(result.errors) < question.problems:
            yield f"{len(result.errors)} of {question.problems} problems are listed"
        return
    if result.status not in {Status.OK, Status.DEGRADED} or not result.text.strip():
        reasons = ", ".join(error.message for error in result.errors)
        yield f"its status is {result.status}" + (f" ({reasons})" if reasons else "")
    if len({score.name for score in result.scores}) != SCORES:
        yield f"it has {len(result.scores)} scores"
    cited = {source.document_id for source in result.sources}
    if question.document_id is not None and question.document_id not in cited:
        yield f"{question.document_id} is not among its sources"
    if question.ending is Ending.UNFOUNDED and cited:
        yield f"it cites {', '.join(sorted(cited))}"


def _conversation(story: Story, script: Sequence[Asked]) -> Check:
    places = [story.journey(asked.request_id).place for asked in script if asked.session_id is not None]
    known = [place for place in places if place is not None]
    in_order = len(known) == len(places) and len({partition for partition, _ in known}) <= 1 and known == sorted(known)
    detail = "" if in_order else f"partition and offset of its results: {places}"
    return Check(name="the conversation was answered in its order, on one partition", met=in_order, detail=detail)


def _twins(story: Story, script: Sequence[Asked]) -> Check:
    by_text: dict[str, list[frozenset[str]]] = {}
    for asked in script:
        result = story.journey(asked.request_id).result
        cited = frozenset(source.chunk_id for source in result.sources) if result else frozenset()
        by_text.setdefault(asked.question.text, []).append(cited)
    wrong = [text for text, found in by_text.items() if len(found) > 1 and (not all(found) or len(set(found)) > 1)]
    return Check(name="the same question finds the same sources again", met=not wrong, detail="; ".join(wrong))


def _dead_letter(story: Story) -> Check:
    kept = [letter for letter in story.dead_letters if letter.value == NOT_A_RECORD]
    strangers = len(story.dead_letters) - len(kept)
    detail = "" if kept else "the undecodable record left none"
    if strangers:
        detail = f"{strangers} more than expected: {', '.join(letter.message for letter in story.dead_letters)}"
    name = "the undecodable record is a dead letter, byte for byte, and nothing else is"
    return Check(name=name, met=len(kept) == 1 and not strangers, detail=detail)


def _answers(story: Story, script: Sequence[Asked]) -> Sequence[Result]:
    results = [story.journey(asked.request_id).result for asked in script]
    return [result for result in results if result is not None and result.decision is not None]


def _champions(story: Story, script: Sequence[Asked]) -> Check:
    judged = Counter((r.decision.cell, r.decision.model) for r in _answers(story, script) if r.decision)
    counted = {
        (cell, standing.model): standing.samples
        for cell, ranking in story.rankings.items()
        for standing in ranking.standings
    }
    wrong = [
        f"{model} in {cell}: {counted.get((cell, model), 0)} of {answers}"
        for (cell, model), answers in sorted(judged.items())
        if counted.get((cell, model)) != answers
    ]
    detail = "; ".join(wrong) if judged else "no answer was judged"
    name = "every answer was counted once in the standing of its model"
    return Check(name=name, met=bool(judged) and not wrong, detail=detail)


def _circuits(story: Story, script: Sequence[Asked]) -> Check:
    called = {result.decision.provider for result in _answers(story, script) if result.decision}
    opened = sorted(name for name, state in story.circuits.items() if state.open_until is not None)
    detail = f"open: {', '.join(opened)}" if opened else "" if story.circuits else "no call was watched"
    met = bool(called) and bool(story.circuits) and not opened
    return Check(name="every circuit is closed", met=met, detail=detail)


def _feedback(story: Story, script: Sequence[Asked]) -> Check:
    answered = {result.origin.request_id for result in _answers(story, script)}
    reported = {feedback.origin.request_id for feedback in story.feedback.values()}
    missing = len(answered - reported)
    detail = f"{missing} missing" if missing else "" if answered else "nothing was answered"
    return Check(name="every answer left feedback for DataForge", met=bool(answered) and not missing, detail=detail)
