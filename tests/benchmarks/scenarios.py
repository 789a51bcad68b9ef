"""The scenarios of the design's table of numbers that are drained backlogs."""

import json
from collections.abc import Iterator
from functools import partial

from schemas.published import published, versions
from schemas.records import TextQuery
from tests.benchmarks import load
from tests.benchmarks.drain import Scenario
from tests.benchmarks.job import Work

CALL_KEYS = 5_000  # far more than are in flight: no call waits for its key
SERIAL = "Quix Streams and the bare loop take one record at a time; they get fewer records."


def scenarios(*, divisor: int) -> Iterator[Scenario]:
    """Yield the scenarios; `divisor` makes every backlog smaller."""
    yield one_hop(divisor)
    yield eight_hops(divisor)
    yield equal_calls(divisor)
    distributions = {"uniform": load.uniform(1000), "zipf": load.zipf(1000), "twenty": load.uniform(20)}
    for name, weights in distributions.items():
        yield mixed_calls(name, weights, divisor)


def one_hop(divisor: int) -> Scenario:
    """200 bytes from one topic to another."""
    return Scenario(
        name="hop",
        title="One hop of 200 bytes, acknowledged after delivery",
        target=">= 1.5 times Quix Streams",
        work=Work.COPY,
        partitions=4,
        load=load.small,
        sequence_of=load.sequence_of,
        entrants={
            "forgestream": 300_000 // divisor,
            "quix": 300_000 // divisor,
            "librdkafka": 300_000 // divisor,
            "plain_faust": 40_000 // divisor,
        },
    )


def eight_hops(divisor: int) -> Scenario:
    """Text queries over eight topics, decoded and encoded at each."""
    newest = versions(published(), TextQuery.__name__)[-1]
    schema = json.dumps(newest.schema)
    queries, sequence_of = load.avro_coders(schema, newest.schema_id)
    return Scenario(
        name="hops",
        title="Eight hops with Avro decode and encode at each, one process",
        target=">= 1.2 times Quix Streams",
        work=Work.RECODE,
        partitions=4,
        load=queries,
        sequence_of=sequence_of,
        entrants={
            "forgestream": 16_000 // divisor,
            "quix": 16_000 // divisor,
            "librdkafka": 16_000 // divisor,
            "plain_faust": 5_000 // divisor,
        },
        hops=8,
        schema=schema,
        note="Peers decode to a dict and encode it; forgestream decodes to a checked, frozen record and encodes that.",
    )


def equal_calls(divisor: int) -> Scenario:
    """Calls of 100 ms, as a model takes."""
    return Scenario(
        name="calls",
        title="One partition, a call of 100 ms, 256 in flight",
        target=">= 2,300 records/s (limit 2,560)",
        work=Work.CALL,
        partitions=1,
        load=partial(load.equal_calls, pause_us=100_000, keys=CALL_KEYS),
        sequence_of=load.sequence_of,
        entrants={
            "forgestream": 10_000 // divisor,
            "plain_faust": 10_000 // divisor,
            "quix": 50,
            "librdkafka": 50,
        },
        in_flight=256,
        note=f"Plain Faust runs with concurrency=256, which gives up the order of keys. {SERIAL}",
    )


def mixed_calls(name: str, weights: list[float], divisor: int) -> Scenario:
    """Calls of 0 to 5 ms in three distributions of keys."""
    records = 10_000 // divisor
    calls = partial(load.mixed_calls, weights=weights, most_us=5_000)
    bound = load.bound_s(calls(records), 100)
    targets = {"uniform": 0.4, "zipf": 3.6, "twenty": 1.6}
    return Scenario(
        name=f"calls-{name}",
        title=f"One partition, {records:,} calls of 0 to 5 ms, 100 in flight, keys: {name}",
        target=f"<= {targets[name]} s for 10,000 records (bound of these calls {bound:.2f} s)",
        work=Work.CALL,
        partitions=1,
        load=calls,
        sequence_of=load.sequence_of,
        entrants={"forgestream": records, "plain_faust": records} | ({"quix": records} if name == "uniform" else {}),
        once=frozenset({"quix"}),
        in_flight=100,
        timed=True,
        note="Plain Faust runs with concurrency=100, which gives up the order of keys.",
    )
