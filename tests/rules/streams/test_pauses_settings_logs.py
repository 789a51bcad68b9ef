"""Pauses between tries, settings, log lines, and the producer's partitions."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import SettingsInvalid
from streams.lanes import Slot, Window
from streams.logs import JsonFormatter
from streams.producer import configuration
from streams.retry import pause_s
from streams.scope import Scope, current
from streams.settings import EngineSettings, KafkaSettings, Settings, reference
from streams.tracing import Tracing
from tests.fakes.received import FakeReceived
from tests.given import an_origin


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(allow_nan=False))
def test_no_pause_is_negative_or_longer_than_the_longest(attempt: int, chance: float, wished: float | None) -> None:
    settings = EngineSettings()

    assert 0 <= pause_s(attempt, settings, chance=chance, wished_s=wished) <= settings.retry_max_s


def test_every_problem_of_the_settings_is_reported_at_once(tmp_path: Path) -> None:
    environ = {
        "FORGESTREAM_KAFKA_PARTITIONS": "many",
        "FORGESTREAM_ENGINE_DRAIN_S": "nan",
        "FORGESTREAM_ENGINE_STALL_S": "inf",
        "FORGESTREAM_ENGINE_PROCESSING_GUARANTEE": "exactly_once",
        "FORGESTREAM_ENGINE_BROKER_DRIVER": "confluent",
        "FORGESTREAM_STORE_TOKEN_FILE": str(tmp_path / "absent"),
        "FORGESTREAM_TYPO": "1",
    }

    with pytest.raises(SettingsInvalid) as caught:
        Settings.read(environ)

    assert len(caught.value.problems) == len(environ)
    assert all(any(name in problem for problem in caught.value.problems) for name in environ)


def test_a_secret_is_read_from_its_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n", encoding="utf-8")

    settings = Settings.read({"FORGESTREAM_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "secret")})

    assert settings.kafka.sasl_password == "hunter2"
    assert "hunter2" not in repr(settings)
    assert not any("hunter2" in row.value for row in reference(settings))


def a_line(traceparent: bytes, message: str) -> dict[str, object]:
    window = Window(
        start=lambda _: True, in_flight=1, most_records=1, most_bytes=1, on_room=lambda: None, on_lost=lambda *_: None
    )
    token = current.set(Scope("embed", Slot(window, FakeReceived(7)), an_origin("r-1"), traceparent))
    try:
        record = logging.LogRecord("x", logging.INFO, "f", 1, message, None, None)
        found: dict[str, object] = json.loads(JsonFormatter().format(record))
    finally:
        current.reset(token)
    return found


def test_a_log_line_says_which_record_it_is_about() -> None:
    line = a_line(b"00-aaaa-bbbb-01", "hello")

    assert (line["request_id"], line["stage"], line["offset"], line["trace_id"]) == ("r-1", "embed", 7, "aaaa")


@pytest.mark.parametrize("traceparent", [b"garbage", b"\xff\xfe", b"-", b""])
def test_hostile_headers_and_texts_do_not_lose_a_log_line(traceparent: bytes) -> None:
    assert a_line(traceparent, "half a pair \ud800")["message"] == "half a pair ?"


def test_the_trace_of_a_record_is_passed_on_as_it_came() -> None:
    assert Tracing().outgoing(b"anything") == b"anything"


def test_the_producer_confirms_everything_once_and_partitions_as_java_does() -> None:
    found = configuration(KafkaSettings(bootstrap="b:1"), EngineSettings())

    assert (found["acks"], found["enable.idempotence"], found["partitioner"]) == ("all", True, "murmur2_random")
