"""Our bytes are everybody's Avro: Apache's own package, fastavro and Confluent's client read and write the same."""

import asyncio
import io
import json
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.avro_schema import PUBLISHED, schema_of
from schemas.records import Ranking, TextQuery
from schemas.registry import RegistryClient, serde
from tests.any_record import any_record
from tests.fakes.registry import a_registry
from tests.fakes.schemas import a_serde
from tests.given import a_text_query

PREFIX = b"\0\0\0\0\1"
THOROUGH = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
names = pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.__name__)


def apache(record: type[Any]) -> Any:  # noqa: ANN401 - the package has no types worth the name
    return avro.schema.parse(json.dumps(schema_of(record)))


@names
@THOROUGH
@given(data=st.data())
def test_apache_avro_reads_ours_and_we_read_what_it_writes(record: type[Any], data: st.DataObject) -> None:
    codec = a_serde(record)
    schema, ours = apache(record), data.draw(any_record(record))
    written = codec.encode(ours)

    theirs = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(io.BytesIO(written[5:])))
    again = io.BytesIO()
    avro.io.DatumWriter(schema).write(theirs, avro.io.BinaryEncoder(again))

    assert PREFIX + again.getvalue() == written
    assert codec.decode(PREFIX + again.getvalue()) == ours


@names
@THOROUGH
@given(data=st.data())
def test_fastavro_reads_ours_and_we_read_what_it_writes(record: type[Any], data: st.DataObject) -> None:
    codec = a_serde(record)
    schema, ours = fastavro.parse_schema(schema_of(record)), data.draw(any_record(record))
    written = codec.encode(ours)

    theirs = fastavro.schemaless_reader(io.BytesIO(written[5:]), schema, None)
    again = io.BytesIO()
    fastavro.schemaless_writer(again, schema, theirs)

    assert PREFIX + again.getvalue() == written
    assert codec.decode(PREFIX + again.getvalue()) == ours


def test_other_readers_see_the_values_we_wrote() -> None:
    """Not only the same bytes: names, times, nulls."""
    query = a_text_query("Wer schrieb „Frankenstein“? 📚")

    for read in (read_by_apache, read_by_fastavro):
        theirs = read(TextQuery, a_serde(TextQuery).encode(query)[5:])

        assert theirs["query"] == query.query
        assert theirs["domain"] is None
        assert theirs["strict"] is False
        assert theirs["temperature"] == 0.0
        assert theirs["origin"]["request_id"] == "request-1"
        assert theirs["origin"]["deadline"] - query.origin.deadline == timedelta(0)


def read_by_apache(record: type[Any], body: bytes) -> Any:  # noqa: ANN401 - as above
    return avro.io.DatumReader(apache(record)).read(avro.io.BinaryDecoder(io.BytesIO(body)))


def read_by_fastavro(record: type[Any], body: bytes) -> Any:  # noqa: ANN401 - as above
    return fastavro.schemaless_reader(io.BytesIO(body), fastavro.parse_schema(schema_of(record)), None)


def test_arrays_in_several_blocks_with_their_size_are_read() -> None:
    """Other writers may split arrays and put the size of each block before it; ours never does."""
    codec = a_serde(Ranking)
    record = Ranking(cell="c", commands=("a", "b", "c"), counted={"t-0": 1, "t-1": 2})
    data = codec.encode(record)
    blocks = b"\3\x08\2a\2b" + b"\2\2c" + b"\0"  # -2 items of 4 bytes, 1 item, the end

    split = data.replace(b"\6\2a\2b\2c\0", blocks).replace(b"\4\6t-0\2\6t-1\4\0", b"\1\x0a\6t-0\2" + b"\2\6t-1\4\0")

    assert split != data
    assert codec.decode(split) == record


@pytest.fixture
def confluent() -> Callable[..., Any]:
    """Confluent's serializer and deserializer, if the package they need is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages it imports
        pytest.importorskip("authlib", reason="confluent-kafka's registry client needs authlib")
        from confluent_kafka import schema_registry  # noqa: PLC0415 - only where its own needs are met
        from confluent_kafka.schema_registry import avro as theirs  # noqa: PLC0415
        from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: PLC0415

    def round_trip(url: str, data: bytes) -> tuple[Any, bytes]:
        """Read with their deserializer, write that with their serializer."""
        context = SerializationContext("texts", MessageField.VALUE)
        with schema_registry.SchemaRegistryClient({"url": url}) as client:
            value = theirs.AvroDeserializer(client)(data, context)
            return value, theirs.AvroSerializer(client, json.dumps(schema_of(TextQuery)))(value, context)

    return round_trip


async def test_confluents_client_reads_ours_and_we_read_what_it_writes(confluent: Callable[..., Any]) -> None:
    """With the same registry, ids included."""
    async with a_registry() as registry:
        source = RegistryClient(registry.url)
        await source.start({"texts-value": TextQuery})
        texts = serde(source, "texts", TextQuery)
        data = texts.encode(a_text_query())

        value, again = await asyncio.to_thread(confluent, registry.url, data)

    assert value["query"] == a_text_query().query
    assert value["origin"]["event_time"] == a_text_query().origin.event_time
    assert again == data
    assert texts.decode(again) == a_text_query()
