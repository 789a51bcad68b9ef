"""The promise to a producer: every question ends in exactly one terminal result, whoever dies meanwhile."""

from pathlib import Path

import pytest

from tests.child import Child, forgestream
from tests.cluster import Cluster
from tests.progress import await_stored, await_true
from tests.questions import Deployment, request_ids

QUESTIONS = 10_000


@pytest.mark.timeout(240)
def test_each_of_10_000_questions_ends_in_one_distinct_result_across_two_kills(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """All units in one worker, killed twice while thousands of questions are under way."""
    asked = set(request_ids(QUESTIONS))
    cluster, deployment = Cluster(kafka), Deployment(kafka, namespace)
    deployment.provision()
    results = deployment.topics.results.name
    cluster.adopt([topic.name for topic in deployment.topics], deployment.kafka.partitions)
    cluster.fill(deployment.topics.texts.name, (deployment.question(number) for number in range(QUESTIONS)))

    with Child(forgestream("worker"), tmp_path / "worker.log", deployment.environment) as worker:
        for enough in (QUESTIONS // 5, QUESTIONS // 2):
            await_stored(cluster, results, enough, worker)
            worker.kill()
            worker.start()
        await_stored(cluster, results, QUESTIONS, worker)
        await_true(lambda: set(deployment.results(cluster)) == asked, worker, "a result of every question")

    found = deployment.results(cluster)
    assert set(found) == asked
    assert {len(distinct) for distinct in found.values()} == {1}
    assert cluster.stored([deployment.topics.dead_letters.name]) == 0
