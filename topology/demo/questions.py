"""What the demo asks: the script, and what has to become of each question."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from schemas.ids import RANDOM_BYTES, uuid7
from schemas.records import Origin, TextQuery
from streams.lots import lot
from streams.partitions import partition

DEADLINE = timedelta(seconds=60)  # of which a model gets half while there is another: enough also on a busy machine
CONVERSATION = "demo-conversation"
ID_EPOCH_MS = 1_795_219_200_000  # 2026-11-21
STEADY = 0.5  # below it no lot explores, whatever the settings
NOT_A_RECORD = b'{"question": "this is JSON, and this topic carries Avro"}'


class Ending(StrEnum):
    """How a question of the script has to end."""

    ANSWERED = "answered from the library, with sources and five scores"
    UNFOUNDED = "answered without sources, since the library does not know"
    REJECTED = "rejected with every problem listed"
    ATTACK = "refused as an attack, with its reason and its risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question of the script. `document_id` is the passage that answers it; `problems` how many a rejection lists."""

    number: int
    text: str
    domain: str
    note: str = ""
    ending: Ending = Ending.ANSWERED
    document_id: str | None = None
    in_conversation: bool = False
    model: str | None = None
    task: str | None = None
    temperature: float = 0.0
    max_tokens: int = 80
    problems: int = 0
    context_pack_id: str | None = None
    at_once: bool = False  # asked together with the question before, not after its answer


SCRIPT = (
    Question(
        number=1,
        domain="literary",
        text="Who is the narrator aboard the Pequod?",
        document_id="moby-dick",
    ),
    Question(
        number=2,
        domain="market",
        text="How long does it take to double my savings at 6 percent?",
        document_id="rule-of-72",
    ),
    Question(
        number=3,
        domain="general",
        text="Why is the blood of an octopus blue?",
        document_id="octopus",
    ),
    Question(
        number=4,
        domain="literary",
        text="How does Frankenstein's creature learn to speak?",
        document_id="frankenstein-creature",
        in_conversation=True,
        note="conversation, first turn",
    ),
    Question(
        number=5,
        domain="literary",
        text="What does the creature demand of Victor Frankenstein?",
        document_id="frankenstein-creature",
        in_conversation=True,
        at_once=True,
        note="conversation, second turn: asked at the same moment, answered after the first",
    ),
    Question(
        number=6,
        domain="general",
        text="Where does the word vaccine come from?",
        document_id="smallpox-vaccine",
    ),
    Question(
        number=7,
        domain="general",
        text="Where does the word vaccine come from?",
        document_id="smallpox-vaccine",
        note="the same question again: its vector is remembered, its answer is written anew",
    ),
    Question(
        number=8,
        domain="market",
        text="How far must the S&P 500 fall before trading is halted?",
        document_id="circuit-breakers",
        model="extractive",
        note="asks for the model `extractive`: sentences of the sources, word for word",
    ),
    Question(
        number=9,
        domain="general",
        text="Which football club won the match in my home town last Sunday?",
        ending=Ending.UNFOUNDED,
        note="nothing in the library answers this: see what the judge makes of the answer",
    ),
    Question(
        number=10,
        domain="astrology",
        text="   ",
        task="prophecy",
        temperature=7.0,
        max_tokens=0,
        ending=Ending.REJECTED,
        problems=5,
        note="malformed on purpose: empty text, unknown domain and task, temperature 7, no tokens",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with the id it travels under."""

    question: Question
    request_id: str
    session_id: str | None


def scripted(script: Sequence[Question] = SCRIPT) -> Sequence[Asked]:
    """Return the questions with the ids they travel under.

    The ids are the same in every run: they choose a prompt's marks and a model's seed, so the answers are the same too.
    """
    return [
        Asked(
            question=question,
            request_id=uuid7(ID_EPOCH_MS, _digest(f"{question.text}#{_earlier(script, question)}")),
            session_id=CONVERSATION if question.in_conversation else None,
        )
        for question in script
    ]


def asked(question: Question, act: str) -> Asked:
    """Return a question of an act with an id of its own, the same in every run."""
    digest = _digest(f"{act}/{question.model}/{question.text}")
    return Asked(question=question, request_id=uuid7(ID_EPOCH_MS, digest), session_id=None)


def routed(question: Question, act: str, *, place: int = 0, partitions: int = 1) -> Asked:
    """Return a question that is on partition `place`, and by whose lot the router does not explore but asks its first choice."""
    for number in itertools.count():
        one = asked(question, f"{act}#{number}")
        if partition(one.request_id.encode(), partitions) == place and lot("explore", one.request_id) < STEADY:
            return one
    raise AssertionError  # never: there are as many ids as numbers


def _earlier(script: Sequence[Question], question: Question) -> int:
    return sum(other.text == question.text and other.number < question.number for other in script)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:RANDOM_BYTES]


def origin(asked: Asked, at: datetime) -> Origin:
    """Return who asks, at `at`."""
    return Origin(
        request_id=asked.request_id,
        correlation_id=asked.request_id,
        session_id=asked.session_id,
        source_service="forgestream-demo",
        event_time=at,
        deadline=at + DEADLINE,
    )


def text_query(asked: Asked, at: datetime) -> TextQuery:
    """Return the record a producer would send for the question."""
    question = asked.question
    return TextQuery(
        origin=origin(asked, at),
        query=question.text,
        domain=question.domain,
        task=question.task,
        model=question.model,
        temperature=question.temperature,
        max_tokens=question.max_tokens,
        context_pack_id=question.context_pack_id,
    )


def acts(script: Sequence[Asked]) -> Sequence[Sequence[Asked]]:
    """Return the script in the portions that are asked at once."""
    portions: list[list[Asked]] = []
    for asked in script:
        if asked.question.at_once and portions:
            portions[-1].append(asked)
        else:
            portions.append([asked])
    return portions
