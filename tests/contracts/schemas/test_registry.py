"""The registry client against a server that speaks Confluent's protocol, and misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from schemas.avro_schema import schema_of
from schemas.codec import SchemaUnknown
from schemas.records import Request, TextQuery
from schemas.registry import LockedIds, RegistryClient, RegistryRefused, RegistryUnavailable, serde
from tests.fakes.registry import FIRST_ID, Answer, FakeRegistry, a_registry, hangs, hangs_up, says
from tests.given import a_request, a_text_query

SUBJECTS = {"texts-value": TextQuery, "requests-value": Request, "dead-letters-value": bytes}


@dataclass
class Stopwatch:
    """The client's clock; stands still until it is moved."""

    at_s: float = 1000.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    async with a_registry() as running:
        yield running


async def test_start_registers_every_subject_and_only_once(registry: FakeRegistry) -> None:
    """A second worker gets the same ids; raw bytes have no schema."""
    first, second = RegistryClient(registry.url), RegistryClient(registry.url)

    await first.start(SUBJECTS)
    await second.start(SUBJECTS)

    assert dict(registry.subjects) == {"texts-value": [FIRST_ID], "requests-value": [FIRST_ID + 1]}
    assert first.id_for("texts-value") == second.id_for("texts-value") == FIRST_ID
    assert json.loads(registry.schemas[FIRST_ID]) == schema_of(TextQuery)
    assert registry.compatibility == dict.fromkeys(registry.subjects, "BACKWARD_TRANSITIVE")


async def test_records_carry_the_registrys_ids(registry: FakeRegistry) -> None:
    source = RegistryClient(registry.url)
    await source.start(SUBJECTS)
    texts = serde(source, "texts", TextQuery)

    data = texts.encode(a_text_query())

    assert data[:5] == b"\0" + FIRST_ID.to_bytes(4, "big")
    assert texts.decode(data) == a_text_query()


async def test_a_schema_registered_by_somebody_else_is_fetched(registry: FakeRegistry) -> None:
    """Unknown at first, readable after `fetch`; the codec needs no new start."""
    writer, reader = RegistryClient(registry.url), RegistryClient(registry.url)
    await writer.start({"requests-value": Request})
    data = serde(writer, "requests", Request).encode(a_request())
    requests = serde(reader, "requests", Request)

    with pytest.raises(SchemaUnknown) as unknown:
        requests.decode(data)
    await reader.fetch(unknown.value.schema_id)

    assert requests.decode(data) == a_request()


async def test_many_who_want_the_same_schema_share_one_call(registry: FakeRegistry) -> None:
    wanted = registry.add(schema_of(TextQuery))
    source = RegistryClient(registry.url)

    await asyncio.gather(*(source.fetch(wanted) for _ in range(50)))

    assert source.writer(wanted) == schema_of(TextQuery)
    assert registry.calls == [f"GET /schemas/ids/{wanted}"]


async def test_a_schema_that_is_nowhere_is_asked_for_again_only_after_a_while(registry: FakeRegistry) -> None:
    """Hostile ids do not become a storm of calls; a schema registered a moment later is still found."""
    clock = Stopwatch()
    source = RegistryClient(registry.url, now=clock)

    for _ in range(5):
        with pytest.raises(SchemaUnknown):
            await source.fetch(FIRST_ID)
    assert len(registry.calls) == 1

    registry.add(schema_of(TextQuery))
    clock.at_s += 10.0
    await source.fetch(FIRST_ID)
    assert source.writer(FIRST_ID) == schema_of(TextQuery)


async def test_ten_thousand_hostile_ids_take_no_memory(registry: FakeRegistry) -> None:
    source = RegistryClient(registry.url)
    source._absent.update(dict.fromkeys(range(1000), 1e9))

    with pytest.raises(SchemaUnknown):
        await source.fetch(0xFFFF_FFFF)

    assert len(source._absent) == 1
    assert source._asking == {}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (says("down", 500), "answered GET /?schemas/ids/7 with 500"),
        (says("slow down", 429), "with 429"),
        (says("<html>a proxy</html>"), "and no JSON"),
        (says('{"schema": "{}'), "and no JSON"),
        (says("[1]"), "and no JSON object"),
        (says('{"schema": "{oops"}'), "a schema that is no JSON"),
        (hangs, "does not answer"),
        (hangs_up, "does not answer"),
    ],
    ids=["500", "429", "html", "half", "array", "schema", "hangs", "hangs-up"],
)
async def test_a_registry_in_trouble_is_unavailable(registry: FakeRegistry, fault: Answer, why: str) -> None:
    """Never `SchemaUnknown`, which would make a dead letter of a good record; and once it is well all goes on."""
    source = RegistryClient(registry.url, timeout_s=0.2)
    registry.fault = fault

    with pytest.raises(RegistryUnavailable, match=why) as trouble:
        await source.fetch(7)
    assert registry.url in str(trouble.value)

    registry.fault = None
    with pytest.raises(SchemaUnknown):
        await source.fetch(7)


@pytest.mark.parametrize("fault", [says('{"id": "7"}'), says("{}"), says('{"id": -1}'), says('{"id": 4294967296}')])
async def test_an_id_that_is_none_is_refused_at_start(registry: FakeRegistry, fault: Answer) -> None:
    registry.fault = fault

    with pytest.raises(RegistryUnavailable, match="gave texts-value no id"):
        await RegistryClient(registry.url).start({"texts-value": TextQuery})


async def test_nobody_at_the_address() -> None:
    async with a_registry() as gone:
        url = gone.url

    with pytest.raises(RegistryUnavailable, match=f"the schema registry {url} does not answer"):
        await RegistryClient(url).start(SUBJECTS)


@pytest.mark.parametrize("url", ["", "not a url", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:999999"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(RegistryRefused, match="the URL of the schema registry is no http or https address"):
        RegistryClient(url)


async def test_credentials_in_the_address_are_used_and_never_shown(registry: FakeRegistry) -> None:
    registry.password = "secret"
    source = RegistryClient(registry.url.replace("//", "//user:secret@"))
    await source.start(SUBJECTS)
    registry.fault = says("down", 503)

    with pytest.raises(RegistryUnavailable) as trouble:
        await source.fetch(1)

    assert "secret" not in str(trouble.value)


async def test_an_incompatible_schema_is_told_with_the_registrys_words(registry: FakeRegistry) -> None:
    registry.incompatible.add("texts-value")

    with pytest.raises(RegistryRefused, match=r"with 409: .*incompatible with an earlier schema for texts-value"):
        await RegistryClient(registry.url).start(SUBJECTS)


async def test_wrong_credentials_are_refused_and_right_ones_taken(registry: FakeRegistry) -> None:
    registry.password = "secret"

    with pytest.raises(RegistryRefused, match="with 401"):
        await RegistryClient(registry.url, username="user", password="wrong").start(SUBJECTS)
    await RegistryClient(registry.url, username="user", password="secret").start(SUBJECTS)

    assert registry.subjects["texts-value"] == [FIRST_ID]


async def test_a_registry_that_keeps_its_rules_to_itself_is_used_as_it_is(registry: FakeRegistry) -> None:
    registry.refuses_config = True

    await RegistryClient(registry.url).start(SUBJECTS)

    assert registry.subjects["texts-value"] == [FIRST_ID]


async def test_a_registry_below_a_path(registry: FakeRegistry) -> None:
    """Apicurio serves the protocol below `/apis/ccompat/v7`."""
    source = RegistryClient(f"{registry.url}/apis/ccompat/v7")

    with pytest.raises(SchemaUnknown):
        await source.fetch(5)

    assert registry.calls == ["GET /apis/ccompat/v7/schemas/ids/5"]


async def test_odd_topic_names_stay_one_segment_of_the_path(registry: FakeRegistry) -> None:
    await RegistryClient(registry.url).start({"a/b c?d-value": TextQuery})

    assert dict(registry.subjects) == {"a/b c?d-value": [FIRST_ID]}


async def test_schemas_of_other_kinds_are_unknown(registry: FakeRegistry) -> None:
    registry.fault = says('{"schema": "message M {}", "schemaType": "PROTOBUF"}')

    with pytest.raises(SchemaUnknown):
        await RegistryClient(registry.url).fetch(9)


async def test_a_subject_that_was_not_started_has_no_id(registry: FakeRegistry) -> None:
    for source in (RegistryClient(registry.url), LockedIds()):
        await source.start({})
        with pytest.raises(LookupError, match="texts-value was not among the subjects at start"):
            source.id_for("texts-value")


async def test_locked_ids_need_no_server() -> None:
    source = LockedIds()

    await source.start(SUBJECTS)

    texts = serde(source, "texts", TextQuery)
    assert texts.decode(texts.encode(a_text_query())) == a_text_query()
    assert source.writer(source.id_for("texts-value")) == schema_of(TextQuery)
    with pytest.raises(SchemaUnknown):
        await source.fetch(999_999)


async def test_a_record_that_was_never_published_is_told() -> None:
    with pytest.raises(LookupError, match=r"Unpublished has no schema .*python -m schemas.generate"):
        await LockedIds().start({"x-value": type("Unpublished", (), {})})
