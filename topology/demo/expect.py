"""What has to have happened: the demo is a test, and these are its assertions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.records import Result, Status
from streams.errors import InjectionSuspected
from topology.demo.journeys import Story
from topology.demo.questions import NOT_A_RECORD, Asked, Ending

SCORES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation, met or not, with what was seen instead."""

    name: str
    met: bool
    detail: str = ""


def check(name: str, *, met: bool, otherwise: str = "") -> Check:
    """Return an expectation; `otherwise` is told when it was not met."""
    return Check(name=name, met=met, detail="" if met else otherwise)


def endings(story: Story, script: Sequence[Asked]) -> Sequence[Check]:
    """Judge how every question of a script ended."""
    expected = {asked.question.ending for asked in script}
    return [_endings(story, ending, script) for ending in Ending if ending in expected]


def order(story: Story, script: Sequence[Asked]) -> Sequence[Check]:
    """Judge what belongs together: a conversation, and the same question twice."""
    return [_conversation(story, script), _twins(story, script)]


def settled(story: Story) -> bool:
    """Whether all that follows the answers has been seen; nothing better will come then."""
    return all(check.met for check in consequences(story))


def consequences(story: Story) -> Sequence[Check]:
    """Judge what has become of everything that was asked, by whichever act."""
    always = [_one_result_each(story), _dead_letter(story)]
    return [*always, _champions(story), _circuits(story), _feedback(story)] if answers(story) else always


def _one_result_each(story: Story) -> Check:
    odd = [journey for journey in story.journeys.values() if journey.results != 1]
    wrong = [f"{journey.request_id} has {journey.results or 'none'}" for journey in odd]
    detail = "; ".join(wrong) if story.journeys else "nothing was asked"
    name = f"each of {len(story.journeys)} questions has exactly one terminal result"
    return Check(name=name, met=bool(story.journeys) and not wrong, detail=detail)


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
    if question.ending in {Ending.REJECTED, Ending.ATTACK}:
        if result.status is not Status.REJECTED:
            yield f"its status is {result.status}"
        if len(result.errors) < question.problems:
            yield f"{len(result.errors)} of {question.problems} problems are listed"
        if question.ending is Ending.ATTACK and not _is_refused_attack(result):
            yield f"its risk is {result.risk:.2f}, its errors are {[error.error_code for error in result.errors]}"
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


def _is_refused_attack(result: Result) -> bool:
    return result.risk > 0.0 and [error.error_code for error in result.errors] == [InjectionSuspected.code]


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


def answers(story: Story) -> Sequence[Result]:
    """Return what models said, each answer once."""
    results = [journey.result for journey in story.journeys.values()]
    return [
        result for result in results if result is not None and result.decision is not None and not _said_before(result)
    ]


def unreported(story: Story) -> int:
    """Count the answers whose feedback has not been seen on its topic."""
    reported = {feedback.origin.request_id for feedback in story.feedback.values()}
    return len({result.origin.request_id for result in answers(story)} - reported)


def _said_before(result: Result) -> bool:
    """Whether the answer is that of another request: judged and told to DataForge then, not again."""
    return result.reused is not None or result.duplicate_of is not None


def _champions(story: Story) -> Check:
    judged = Counter((r.decision.cell, r.decision.model) for r in answers(story) if r.decision)
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
    name = "every answer was counted once in the standing of its model"
    return Check(name=name, met=not wrong, detail="; ".join(wrong))


def _circuits(story: Story) -> Check:
    opened = sorted(name for name, state in story.circuits.items() if state.open_until is not None)
    detail = f"open: {', '.join(opened)}" if opened else "" if story.circuits else "no call was watched"
    return Check(name="every circuit is closed", met=bool(story.circuits) and not opened, detail=detail)


def _feedback(story: Story) -> Check:
    missing = unreported(story)
    detail = f"{missing} missing" if missing else ""
    return Check(name="every answer left feedback for DataForge", met=not missing, detail=detail)
