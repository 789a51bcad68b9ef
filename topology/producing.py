"""Sending records from outside: everything confirmed by the broker before the program says so."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

from schemas.codec import RecordUnencodable, Serde
from schemas.ids import uuid7
from schemas.records import Origin
from schemas.registry import SchemaSource, serde
from streams.errors import DeliveryFailed
from streams.producer import LibrdkafkaProducer
from streams.settings import Settings
from streams.topic import Topic
from topology.plain import JsonInvalid, from_plain, parsed

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record, ready to be sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    request_id: str | None = None


def origin(at: datetime, chance: bytes, *, deadline_s: float, service: str = "forgestream-cli") -> Mapping[str, str]:
    """Return the origin of a new request as plain values. `chance` is 10 random bytes."""
    request_id = uuid7(int(at.timestamp() * 1000), chance)
    return {
        "request_id": request_id,
        "correlation_id": request_id,
        "source_service": service,
        "event_time": at.isoformat(),
        "deadline": (at + timedelta(seconds=deadline_s)).isoformat(),
    }


def completed(kind: type[R], values: object, filled: Mapping[str, str]) -> R:
    """Return the record of some JSON values, the origin filled in where it is left out.

    Raises:
        JsonInvalid: with every problem at once.
    """
    if not isinstance(values, dict) or "origin" not in {field.name for field in fields(kind)}:  # type: ignore[arg-type]  # a record
        return from_plain(kind, values)
    given = values.get("origin", {})
    if not isinstance(given, dict):
        raise JsonInvalid(["origin must be an object"])
    own = given.get("request_id")
    by_id = {"correlation_id": own} if isinstance(own, str) else {}
    return from_plain(kind, {**values, "origin": {**filled, **by_id, **given}})


def prepared(
    topic: Topic[Any],
    lines: Iterable[bytes],
    schemas: SchemaSource,
    fill: Callable[[], Mapping[str, str]],
) -> Sequence[Outgoing]:
    """Return the records of JSON lines, checked and encoded. `fill` gives the origin of a new request.

    Raises:
        JsonInvalid: with every problem of every line.
    """
    codec = serde(schemas, topic.name, topic.record)
    ready: list[Outgoing] = []
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            ready.append(_encoded(topic, codec, completed(topic.record, parsed(line), fill())))
        except JsonInvalid as error:
            problems += [f"line {number}: {problem}" for problem in error.problems]
    if problems:
        raise JsonInvalid(problems)
    return ready


def _encoded(topic: Topic[Any], codec: Serde[Any], record: object) -> Outgoing:
    try:
        key, value = topic.key(record).encode(), codec.encode(record)
    except (RecordUnencodable, UnicodeEncodeError) as error:
        raise JsonInvalid([str(error)]) from error
    if len(value) > topic.max_message_bytes:
        raise JsonInvalid([f"{len(value):,} bytes are more than {topic.name} takes ({topic.max_message_bytes:,})"])
    return Outgoing(topic=topic.name, key=key, value=value, request_id=request_id(record))


def request_id(record: object) -> str | None:
    """Return the id of the request a record belongs to, if it belongs to one."""
    found = getattr(record, "origin", None)
    return found.request_id if isinstance(found, Origin) else None


async def deliver(records: Sequence[Outgoing], settings: Settings) -> Sequence[tuple[int, int]]:
    """Send records and wait for the broker; returns partition and offset of each.

    Raises:
        DeliveryFailed: the broker did not confirm all of them.
    """
    loop = asyncio.get_running_loop()
    producer = LibrdkafkaProducer(settings.kafka, settings.engine)
    reports: list[asyncio.Future[tuple[int, int]]] = [loop.create_future() for _ in records]
    for record, report in zip(records, reports, strict=True):

        def on_delivery(error: object, message: Any, report: asyncio.Future[tuple[int, int]] = report) -> None:  # noqa: ANN401 - librdkafka's
            if error is not None:
                report.set_exception(DeliveryFailed(f"the broker did not take a record: {error}"))
            else:
                report.set_result((message.partition(), message.offset()))

        producer.produce(record.topic, record.value, record.key, on_delivery=on_delivery, headers=list(record.headers))
    unconfirmed = await producer.close(settings.engine.delivery_timeout_s)
    if unconfirmed:
        raise DeliveryFailed(f"the broker did not confirm {unconfirmed} of {len(records)} records in time")
    outcomes = await asyncio.gather(*reports, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
