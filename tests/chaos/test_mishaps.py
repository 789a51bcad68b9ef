"""What only an operator can mend is refused with a sentence, and everything waits until it is mended."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.ledger import PARTITIONS, Books, Ledger, audit
from tests.chaos.load import even
from tests.chaos.programs.bookkeeper import Post
from tests.child import Child, program
from tests.cluster import Cluster
from tests.eventually import eventually

RECORDS = 200
WITHIN_S = 60.0


class Desk:
    """One worker, its topics, and what was put in."""

    def __init__(self, kafka: str, directory: Path) -> None:
        self.ledger = Ledger(f"m{uuid.uuid4().hex[:10]}-")
        self.cluster, self.books = Cluster(kafka), Books(self.ledger)
        self.cluster.create(self.ledger.topics, PARTITIONS)
        post = Post(bootstrap=kafka, prefix=self.ledger.prefix, worker="worker", call_ms=1, metadata_s=1.0)
        command = program("chaos.programs.bookkeeper", json.dumps(asdict(post)))
        self.worker = Child(command, directory / "worker.log")
        self._entry = even(self.books)
        self._put = 0

    def put(self) -> None:
        """Put some entries in."""
        name = self.ledger.reads.name
        self.cluster.fill(name, map(self._entry, range(self._put, self._put + RECORDS)))
        self._put += RECORDS

    def await_all_counted(self) -> None:
        """Wait until everything that was put in has come out, and is counted."""
        for topic in (self.ledger.reads.name, self.ledger.copies.name):
            self._await(partial(self._done, topic), f"{self._put} records of {topic} are done")

    def await_refusal(self) -> str:
        """Wait until the worker has ended by itself; returns what it said last."""
        self._await(lambda: self.worker.returncode is not None, "the worker refuses")
        assert self.worker.returncode == 1
        return self.worker.tail()

    def committed(self, topic: str) -> int:
        """Count the records of a topic that are done."""
        return self.cluster.committed(self.ledger.group, [topic])

    def _done(self, topic: str) -> bool:
        return self.committed(topic) >= self._put

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        try:
            eventually(condition, within_s=WITHIN_S, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.worker.tail()}") from error


@pytest.fixture
def desk(kafka: str, tmp_path: Path) -> Iterator[Desk]:
    """A worker at its desk."""
    made = Desk(kafka, tmp_path)
    with made.worker:
        yield made


def test_a_changelog_made_anew_is_refused_until_its_table_is_learned_again(desk: Desk) -> None:
    """The changelog is deleted between two lives of its owner: no row is counted from nothing without a word."""
    desk.put()
    desk.await_all_counted()
    assert desk.worker.stop() == 0

    desk.cluster.delete([desk.ledger.changelog])
    desk.put()
    desk.worker.start()
    said = desk.await_refusal()
    left = desk.cluster.stored([desk.ledger.reads.name]) - desk.committed(desk.ledger.reads.name)
    desk.cluster.rewind(desk.ledger.group, [desk.ledger.copies.name])
    desk.worker.start()
    desk.await_all_counted()
    assert desk.worker.stop() == 0

    assert f"{desk.ledger.changelog}-" in said
    assert "was acknowledged" in said
    assert "changelog-lost" in said
    assert left == RECORDS
    assert audit(desk.cluster, desk.books).problems == []


def test_a_topic_that_grows_under_its_worker_stops_it_and_what_comes_then_waits(desk: Desk) -> None:
    """Keys of a grown topic are on other partitions than their rows: nothing more is taken, now or after a restart."""
    desk.put()
    desk.await_all_counted()

    desk.cluster.grow(desk.ledger.reads.name, PARTITIONS + 2)
    said = desk.await_refusal()
    desk.put()
    desk.worker.start()
    said_again = desk.await_refusal()

    sentence = f"`{desk.ledger.reads.name}`"
    for words in (said, said_again):
        assert sentence in words
        assert f"{PARTITIONS + 2} partitions where {PARTITIONS} are needed" in words
    assert desk.committed(desk.ledger.reads.name) == RECORDS
    desk.cluster.refresh()
    assert desk.cluster.stored([desk.ledger.reads.name]) == 2 * RECORDS
