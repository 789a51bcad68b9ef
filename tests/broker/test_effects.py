"""A worker killed with SIGKILL while models answer, and again when all is said: nobody outside is called for nothing."""

from collections import Counter
from pathlib import Path

import pytest

from tests.child import Child, program
from tests.cluster import Cluster
from tests.fakes.provider import loopback_provider
from tests.progress import await_stored, await_true
from tests.questions import Deployment, request_id, request_ids
from topology.units import Unit, group

QUESTIONS = 40
HELD = 15  # whose answers are under way at the first kill
NEVER_S = "3600"


@pytest.mark.timeout(180)
def test_calls_are_made_once_across_kills_and_a_repeated_one_is_flagged(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """Nothing is committed before the last kill, so every record comes again: only what was under way is called again."""
    cluster, deployment = Cluster(kafka), Deployment(kafka, namespace)
    deployment.provision()
    topics = deployment.topics
    cluster.adopt([topic.name for topic in topics], deployment.kafka.partitions)
    cluster.fill(topics.texts.name, (deployment.question(number) for number in range(QUESTIONS)))
    held = {request_id(number) for number in range(HELD)}

    with loopback_provider() as provider:
        provider.held |= held
        command = program("broker.programs.asking", provider.url)
        committing = {**deployment.environment, "FORGESTREAM_DATAFORGE_URL": provider.url}
        forgetful = {**committing, "FORGESTREAM_ENGINE_COMMIT_INTERVAL_S": NEVER_S}
        with Child(command, tmp_path / "worker.log", forgetful) as worker:
            await_true(lambda: len(provider.asked) == QUESTIONS, worker, "every question at the provider")
            await_stored(cluster, topics.results.name, QUESTIONS - HELD, worker)
            worker.kill()
            provider.release.set()
            worker.start()
            await_true(lambda: len(provider.posted) == 3 * QUESTIONS, worker, "all feedback at DataForge")
            await_true(
                lambda: (
                    len({note.key for note in cluster.read(topics.effects.name)}) == 2 * QUESTIONS
                ),  # asked, delivered
                worker,
                "a note of everything that was done",
            )
        posted = provider.posted.copy()
        with Child(command, tmp_path / "worker.log", committing) as worker:
            for unit, topic in ((Unit.INFERENCE, topics.evaluations.name), (Unit.DELIVERY, topics.feedback.name)):
                await_true(
                    lambda unit=unit, topic=topic: (  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
                        cluster.committed(group(unit, namespace), [topic]) == cluster.stored([topic]) > QUESTIONS
                    ),
                    worker,
                    f"all of {topic} done again",
                )

    assert provider.asked == Counter({one: 2 if one in held else 1 for one in request_ids(QUESTIONS)})
    assert provider.posted == posted
    assert max(posted.values()) <= 2
    results = list(deployment.every_result(cluster))
    assert len(results) > 2 * QUESTIONS
    assert {result.origin.request_id for result in results if result.maybe_repeated} == held
    assert len({(result.result_id, result.text, result.maybe_repeated) for result in results}) == QUESTIONS
