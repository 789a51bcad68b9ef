"""How long a record takes to become bytes and back: `python -m tests.benchmarks.codec`.

Three designs on the same records: the generated functions of `schemas.encoder` and `schemas.decoder`; fastavro with
converters between records and dicts (closures made once per class); fastavro alone, dicts in and dicts out, which is
the least any design on top of it can take. Best of several runs, since anything else on the machine only adds time.
"""

import io
import platform
import timeit
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fastavro

from schemas.avro_schema import is_enum, optional, schema_of
from schemas.encoder import EPOCH, MILLISECOND, all_finite
from schemas.records import Result, Score, Source
from tests.fakes.schemas import a_serde
from tests.given import (
    a_chunk,
    a_context,
    a_decision,
    a_prompt,
    a_request,
    a_text_query,
    a_verdict,
    an_embedding,
    an_origin,
)

RUNS, LOOPS = 7, 3000
Convert = Callable[[Any], Any]

ORIGIN = an_origin("01939f2a-7e1a-7b3c-9d2e-1f4a5b6c7d8e", session_id="session-42")
QUERY = "Why does the narrator distrust the sea, and what does the lighthouse stand for?"
REQUEST = a_request(QUERY, origin=ORIGIN)
CHUNKS = [
    a_chunk("The sea is never at rest in this novel. " * 12, chunk_id=f"chunk-{number:032d}#0") for number in range(4)
]
RECORDS: Mapping[str, Any] = {
    "TextQuery": replace(a_text_query(QUERY, origin=ORIGIN), domain="literary", task="analysis"),
    "Embedding, 384 numbers": replace(an_embedding(REQUEST), vector=tuple(1 / (3 + number) for number in range(384))),
    "Context, 4 chunks": a_context(*CHUNKS, request=REQUEST),
    "Prompt, 4 chunks": replace(a_prompt(*CHUNKS, request=REQUEST), user="The passages and the question. " * 80),
    "Result": Result(
        origin=ORIGIN,
        result_id="5b0f3a52-0c1b-5f0e-8a53-4c5f2c7f1b11",
        status=next(iter(typing.get_type_hints(Result)["status"])),
        text="It stands for what cannot be reached. " * 10,
        sources=tuple(
            Source(chunk_id=one.chunk_id, document_id=one.document_id, title=one.title, relevance=0.5) for one in CHUNKS
        ),
        scores=tuple(Score(name=name, value=0.5) for name in ("relevance", "correctness", "coherence")),
        overall=0.5,
        decision=a_decision(),
    ),
    "Verdict": a_verdict(),
}


def closure(annotation: Any, leaf: Convert, whole: Callable[[type, Any], Convert]) -> Convert | None:  # noqa: ANN401 - annotations
    """Return the function that converts a value; None when it is what it should be already."""
    inner = optional(annotation)
    if inner is not None:
        convert = closure(inner, leaf, whole)
        return convert and (lambda value: None if value is None else convert(value))
    if typing.get_origin(annotation) is tuple and typing.get_args(annotation)[0] is not float:
        each = closure(typing.get_args(annotation)[0], leaf, whole)
        return (lambda value: tuple([each(one) for one in value])) if each else tuple
    if is_dataclass(annotation):
        hints = typing.get_type_hints(annotation)
        parts = [(field.name, closure(hints[field.name], leaf, whole)) for field in fields(annotation)]
        return whole(typing.cast("type", annotation), parts)
    found: Convert | None = leaf(annotation)
    return found


def finite(number: float) -> float:
    """Return the number. Raises ValueError for NaN and infinity."""
    all_finite((number,))
    return number


def finites(numbers: Sequence[float]) -> tuple[float, ...]:
    """Return the numbers. Raises ValueError for NaN and infinity."""
    all_finite(numbers)
    return tuple(numbers)


NUMBERS: Mapping[object, Convert] = {float: finite, tuple[float, ...]: finites}


def leaf_to_plain(annotation: object) -> Convert | None:
    """Return how a value without parts is written."""
    return (lambda at: (at - EPOCH) // MILLISECOND) if annotation is datetime else NUMBERS.get(annotation)


def leaf_to_record(annotation: object) -> Convert | None:
    """Return how a value without parts is read."""
    if is_enum(annotation):
        return {str(member): member for member in annotation}.__getitem__
    return (lambda ms: EPOCH + timedelta(milliseconds=ms)) if annotation is datetime else NUMBERS.get(annotation)


def record_to_plain(_: type, parts: Sequence[tuple[str, Convert | None]]) -> Convert:
    """Return how a record is written."""
    return lambda record: {
        name: convert(getattr(record, name)) if convert else getattr(record, name) for name, convert in parts
    }


def plain_to_record(record: type, parts: Sequence[tuple[str, Convert | None]]) -> Convert:
    """Return how a record is read."""
    return lambda plain: record(**{name: convert(plain[name]) if convert else plain[name] for name, convert in parts})


def without_logical_types(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the schema with times as plain numbers, which the closures convert faster than fastavro."""
    if isinstance(schema, dict):
        return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    return [without_logical_types(arm) for arm in schema] if isinstance(schema, list) else schema


def designs(record: Any) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:  # noqa: ANN401 - any record
    """Yield name, encode and decode of each design, after checking that all give the same."""
    codec = a_serde(type(record))
    data = codec.encode(record)
    schema = fastavro.parse_schema(without_logical_types(schema_of(type(record))))
    plain_of = closure(type(record), leaf_to_plain, record_to_plain)
    record_of = closure(type(record), leaf_to_record, plain_to_record)
    assert plain_of is not None
    assert record_of is not None
    plain = plain_of(record)

    def write(value: Any) -> bytes:  # noqa: ANN401 - a dict
        body = io.BytesIO()
        body.write(data[:5])
        fastavro.schemaless_writer(body, schema, value)
        return body.getvalue()

    def read() -> Any:  # noqa: ANN401 - a dict
        body = io.BytesIO(data)
        body.seek(5)
        return fastavro.schemaless_reader(body, schema, None)

    assert write(plain) == data
    assert record_of(read()) == codec.decode(data) == record
    yield "generated", lambda: codec.encode(record), lambda: codec.decode(data)
    yield "fastavro with converters", lambda: write(plain_of(record)), lambda: record_of(read())
    yield "fastavro alone", lambda: write(plain), read


def microseconds(work: Callable[[], Any], loops: int) -> float:
    """Return the least time of one call."""
    return min(timeit.repeat(work, number=loops, repeat=RUNS)) / loops * 1e6


def measured(loops: int = LOOPS) -> Iterator[Sequence[str]]:
    """Yield the rows of the table."""
    for name, record in RECORDS.items():
        size = str(len(a_serde(type(record)).encode(record)))
        for design, encode, decode in designs(record):
            yield name, size, design, f"{microseconds(encode, loops):.1f}", f"{microseconds(decode, loops):.1f}"


def machine() -> str:
    """Return the processor, as far as it is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0]}, {len(models)} cores" if models else platform.processor() or platform.machine()


def main() -> None:
    """Print the table as Markdown."""
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, Python {platform.python_version()}, fastavro {version('fastavro')}\n"
    )
    print("| record | bytes | design | encode, us | decode, us |\n|---|---|---|---|---|")
    for row in measured():
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
