import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aiohttp
import pytest

from streams.clients.models.keys import Account
from streams.errors import StartRefused
from streams.packs import Counts
from streams.settings import TelemetrySettings
from topology.health import Metric, exposition, health_port
from topology.worker import cache_metrics, counted_metrics, key_metrics


@dataclass(frozen=True, kw_only=True)
class Patient:
    ill: Sequence[str] = ()
    absent: Sequence[str] = ()

    def ailments(self) -> Sequence[str]:
        return self.ill

    def missing(self) -> Sequence[str]:
        return self.absent

    def metrics(self) -> Iterable[Metric]:
        yield Metric(name="forgestream_lag", value=12345678, labels={"unit": "intake"}, meaning="Records behind")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def asked(patient: Patient, path: str) -> tuple[int, str]:
    telemetry = TelemetrySettings(health_port=free_port())
    async with (
        health_port(telemetry, patient) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("patient", "live", "ready"),
    [
        (Patient(), 200, 200),
        (Patient(absent=["intake has no partitions yet"]), 200, 503),
        (Patient(ill=["intake does not commit"]), 503, 503),
    ],
)
async def test_live_and_ready_say_how_the_worker_is(patient: Patient, live: int, ready: int) -> None:
    assert (await asked(patient, "/live"))[0] == live
    status, body = await asked(patient, "/ready")
    assert status == ready
    assert all(problem in body for problem in (*patient.ill, *patient.absent))


async def test_metrics_are_prometheus_text_with_whole_numbers() -> None:
    status, body = await asked(Patient(), "/metrics")

    assert status == 200
    assert 'forgestream_lag{unit="intake"} 12345678\n' in body


def test_labels_cannot_break_the_format() -> None:
    text = exposition([Metric(name="m", value=1, labels={"topic": 'a"b\\c\nd'}, meaning="x")])

    assert text.splitlines()[-1] == 'm{topic="a\\"b\\\\c\\nd"} 1'


async def test_no_port_configured_serves_nothing() -> None:
    async with health_port(TelemetrySettings(), Patient()) as port:
        assert port is None


async def test_a_busy_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StartRefused, match="FORGESTREAM_TELEMETRY_HEALTH_PORT"):
            async with health_port(TelemetrySettings(health_port=taken.getsockname()[1]), Patient()):
                pass


def test_what_each_api_key_did_is_a_metric_by_its_place() -> None:
    account = Account(
        provider="openai",
        key=2,
        calls=3,
        input_tokens=40,
        output_tokens=5,
        errors={"limited": 1, "provider_unavailable": 1},
    )

    lines = exposition(key_metrics([account])).splitlines()

    assert 'forgestream_provider_calls_total{provider="openai",key="2"} 3' in lines
    assert 'forgestream_provider_output_tokens_total{provider="openai",key="2"} 5' in lines
    assert 'forgestream_provider_errors_total{provider="openai",key="2",error="limited"} 1' in lines


def test_hits_and_false_hits_are_metrics() -> None:
    lines = exposition(cache_metrics({"exact": 3, "verified": 2, "false_hit": 1})).splitlines()

    assert 'forgestream_cache_answers_total{outcome="exact"} 3' in lines
    assert 'forgestream_cache_answers_total{outcome="false_hit"} 1' in lines


def test_what_was_done_with_packs_is_a_metric() -> None:
    lines = exposition(counted_metrics({"packs": Counts(hits=3, calls=1)})).splitlines()

    assert 'forgestream_packs_total{outcome="hits"} 3' in lines
    assert 'forgestream_packs_total{outcome="calls"} 1' in lines
