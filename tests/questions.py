"""Questions to a whole deployment, and the results that come back."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from schemas.ids import RANDOM_BYTES, uuid7
from schemas.records import Origin, Result, TextQuery
from schemas.registry import LockedIds, serde
from streams.settings import KafkaSettings
from tests.cluster import Cluster
from topology.provision import plan_of, provision
from topology.topics import Topics

DEADLINE = timedelta(hours=1)


class Deployment:
    """The topics of one deployment, told apart by a prefix; its workers get `environment`."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.kafka = KafkaSettings(bootstrap=bootstrap, topic_prefix=prefix)
        self.topics = Topics.of(self.kafka)
        self.environment: Mapping[str, str] = {
            "FORGESTREAM_KAFKA": bootstrap,
            "FORGESTREAM_KAFKA_TOPIC_PREFIX": prefix,
            "FORGESTREAM_EMBED_PROVIDER": "hashing",
            "FORGESTREAM_STORE_URI": "memory",
            "FORGESTREAM_ROUTE_MODELS": "extractive",
            "FORGESTREAM_TELEMETRY_LOG_LEVEL": "warning",
        }
        ids = LockedIds()
        texts, results = self.topics.texts, self.topics.results
        asyncio.run(ids.start({f"{topic.name}-value": topic.record for topic in (texts, results)}))
        self._texts = serde(ids, texts.name, TextQuery)
        self._results = serde(ids, results.name, Result)

    def provision(self) -> None:
        """Make every topic, so that questions can be sent before there is a worker."""
        asyncio.run(provision([plan_of(topic, self.kafka) for topic in self.topics], self.kafka))

    def question(self, number: int, *, within: timedelta = DEADLINE, max_tokens: int = 256) -> tuple[bytes, bytes]:
        """Return key and value of a question that can be told from all others by its number."""
        now = datetime.now(UTC)
        origin = Origin(
            request_id=request_id(number),
            correlation_id=str(number),
            session_id=f"session-{number % 500}",
            event_time=now,
            deadline=now + within,
        )
        text = f"What does entry {number} of the ledger say about the price of grain?"
        query = TextQuery(origin=origin, query=text, max_tokens=max_tokens)
        return self.topics.texts.key(query).encode(), self._texts.encode(query)

    def number_of(self, value: bytes) -> int:
        """Return the number of the question a result belongs to."""
        return int(self._results.decode(value).origin.correlation_id)

    def every_result(self, cluster: Cluster) -> Iterable[Result]:
        """Yield every result, repeated ones too."""
        return (self._results.decode(stored.value) for stored in cluster.read(self.topics.results.name))

    def results(self, cluster: Cluster) -> Mapping[str, set[tuple[str, str]]]:
        """Return every distinct (result id, status) by request id."""
        found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        for result in self.every_result(cluster):
            found[result.origin.request_id].add((result.result_id, result.status))
        return found


def request_id(number: int) -> str:
    """Return the same UUIDv7 for the same number."""
    return uuid7(1_790_000_000_000 + number, number.to_bytes(RANDOM_BYTES, "big"))


def request_ids(count: int) -> Iterable[str]:
    """Yield the ids of the first questions."""
    return map(request_id, range(count))
