"""`forgestream calibrate` on answers that lie on a real broker."""

import json

import pytest

from schemas.records import Answer
from schemas.registry import LockedIds, serde
from streams.settings import KafkaSettings, Settings
from tests.broker.test_command_line import Shell
from tests.given import a_chunk, a_decision, a_request, an_answer, an_origin
from topology.producing import Outgoing, deliver
from topology.provision import plan_of, provision
from topology.topics import Topics

HEARTS = a_chunk("An octopus has three hearts.", chunk_id="octopus#0", title="Octopus")
SAID = (
    ("Who wrote Frankenstein?", "Mary Shelley wrote Frankenstein.", a_chunk()),
    ("How many hearts has an octopus?", "An octopus has three hearts.", HEARTS),
    ("How many hearts has an octopus?", "Bananas are yellow.", HEARTS),
)


@pytest.fixture
async def shell(kafka: str, namespace: str) -> Shell:
    """A terminal on a cluster that holds three answers, the first of them twice."""
    settings = Settings(kafka=KafkaSettings(bootstrap=kafka, topic_prefix=namespace))
    topics = Topics.of(settings.kafka)
    await provision([plan_of(topics.answers, settings.kafka)], settings.kafka)
    ids = LockedIds()
    await ids.start({f"{topics.answers.name}-value": Answer})
    codec = serde(ids, topics.answers.name, Answer)
    for number in (0, 0, 1, 2):
        query, text, chunk = SAID[number]
        request = a_request(query, origin=an_origin(f"request-{number}"))
        answer = an_answer(text, chunk, request=request, decision=a_decision("house" if number == 2 else "extractive"))
        key = topics.answers.key(answer).encode()
        await deliver([Outgoing(topic=topics.answers.name, key=key, value=codec.encode(answer))], settings)
    return Shell(settings=settings, topics=topics)


async def test_judges_are_compared_on_the_answers_of_the_cluster(shell: Shell) -> None:
    found = json.loads(shell.run("calibrate", "--judge", "extractive", "--json").stdout)

    by_rules, by_extractive = found["judges"]
    assert (found["answers"], by_rules["judge"], by_extractive["judge"]) == (3, "rules/2", "extractive")
    assert by_extractive["statuses"]["scored"] == 3
    assert by_extractive["agreement"] == 1.0
    assert by_extractive["self_preference"] is not None


async def test_only_the_newest_answers_are_judged(shell: Shell) -> None:
    found = json.loads(
        shell.run("calibrate", "--judge", "extractive", "--answers", "2", "--no-controls", "--json").stdout
    )

    assert found["answers"] == 2
    assert found["judges"][0]["told_apart"] is None


async def test_a_table_says_what_its_columns_mean(shell: Shell) -> None:
    shown = shell.run("calibrate", "--judge", "extractive").stdout

    assert "extractive (reference/1)" in shown
    assert "Self-preference" in shown


async def test_an_unknown_judge_is_refused_with_the_names_there_are(shell: Shell) -> None:
    unknown = shell.run("calibrate", "--judge", "nobody")

    assert unknown.returncode == 2
    assert "'nobody' is unknown" in unknown.stderr
