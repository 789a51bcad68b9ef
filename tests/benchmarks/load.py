"""What workers are fed: the same records in every run."""

import io
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro

from tests.benchmarks.job import HEAD, pack

Record = tuple[bytes, bytes]
SEED = 20_261_121
SESSIONS = 1000


def sequence_of(value: bytes) -> int:
    """Return the sequence number of a packed value."""
    sequence: int = HEAD.unpack_from(value)[0]
    return sequence


def small(records: int, *, keys: int = 1000, size: int = 200) -> Iterator[Record]:
    """Yield values of `size` bytes under uniformly distributed keys."""
    chance = random.Random(SEED)
    for sequence in range(records):
        key = f"{chance.randrange(keys):08d}"
        yield key.encode(), pack(sequence, 0, key, size)


def one_small(sequence: int) -> Record:
    """Return one value of 200 bytes."""
    key = f"{sequence % 1000:08d}"
    return key.encode(), pack(sequence, 0, key, 200)


def equal_calls(records: int, *, pause_us: int, keys: int) -> Iterator[Record]:
    """Yield calls that all take as long, keys taking turns."""
    for sequence in range(records):
        key = f"{sequence % keys:08d}"
        yield key.encode(), pack(sequence, pause_us, key, 200)


def mixed_calls(records: int, weights: list[float], *, most_us: int) -> Iterator[Record]:
    """Yield calls of 0 to `most_us`; key number n is drawn with weight n."""
    chance = random.Random(SEED)
    drawn = chance.choices(range(len(weights)), weights, k=records)
    for sequence, number in enumerate(drawn):
        key = f"{number:08d}"
        yield key.encode(), pack(sequence, chance.randrange(most_us), key, 200)


def uniform(keys: int) -> list[float]:
    """Weights of keys that are all equal."""
    return [1.0] * keys


def zipf(keys: int) -> list[float]:
    """Weights of Zipf's law: the n-th key is 1/n as frequent as the first."""
    return [1 / rank for rank in range(1, keys + 1)]


def bound_s(records: Iterator[Record], in_flight: int) -> float:
    """Return the least time in which mixed calls can end: the whole work over `in_flight`, or the busiest key alone."""
    per_key: Counter[bytes] = Counter()
    for key, value in records:
        per_key[key] += HEAD.unpack_from(value)[1]
    return max(per_key.total() / in_flight, *per_key.values()) / 1e6


def avro_coders(schema: str, schema_id: int) -> tuple[Callable[[int], Iterator[Record]], Callable[[bytes], int]]:
    """Return a maker of text queries in the wire format, and the reader of their sequence number."""
    parsed: Any = fastavro.parse_schema(json.loads(schema))
    header = b"\0" + schema_id.to_bytes(4, "big")
    now = datetime(2026, 11, 21, tzinfo=UTC)

    def queries(records: int) -> Iterator[Record]:
        chance = random.Random(SEED)
        for sequence in range(records):
            key = f"session-{chance.randrange(SESSIONS):08d}"
            out = io.BytesIO(header)
            out.seek(len(header))
            origin = {
                "request_id": f"0193f1a2-7c4e-7000-8000-{sequence:012d}",
                "correlation_id": str(sequence),
                "session_id": key,
                "tenant": "default",
                "source_service": "benchmark",
                "event_time": now,
                "deadline": now + timedelta(days=3650),
                "replay_id": None,
            }
            query = {
                "origin": origin,
                "query": f"What does passage {sequence} of the ledger say about the price of grain?",
                "domain": "market",
                "task": "analysis",
                "temperature": 0.0,
                "max_tokens": 256,
            }
            fastavro.schemaless_writer(out, parsed, query)
            yield f"default#{key}".encode(), out.getvalue()

    def sequence(value: bytes) -> int:
        record: Any = fastavro.schemaless_reader(io.BytesIO(value[len(header) :]), parsed, None)
        return int(record["origin"]["correlation_id"])

    return queries, sequence
