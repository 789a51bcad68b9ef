"""What an orchestrator asks of a worker: is it alive, is it ready, what has it done."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from streams.settings import TelemetrySettings
from topology.listening import listening

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number at this moment."""

    name: str
    value: float
    labels: Mapping[str, str]
    meaning: str
    kind: str = "gauge"


class Vitals(Protocol):
    """Whoever can tell how a worker is."""

    def ailments(self) -> Sequence[str]:
        """Return what only a restart cures: empty when alive."""

    def missing(self) -> Sequence[str]:
        """Return what is not there yet: empty when records are being taken."""

    def metrics(self) -> Iterable[Metric]:
        """Return every number."""


@asynccontextmanager
async def health_port(telemetry: TelemetrySettings, vitals: Vitals) -> AsyncIterator[int | None]:
    """Serve /live, /ready and /metrics while the block runs; yields the port, None when none is configured.

    Raises:
        StartRefused: the port is taken.
    """
    if not telemetry.health_port:
        yield None
        return

    async def live(_: web.Request) -> web.Response:
        return _answer(vitals.ailments())

    async def ready(_: web.Request) -> web.Response:
        return _answer([*vitals.ailments(), *vitals.missing()])

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(vitals.metrics()).encode(), headers={"Content-Type": PROMETHEUS})

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    host, port, setting = telemetry.health_host, telemetry.health_port, "FORGESTREAM_TELEMETRY_HEALTH_PORT"
    async with listening(app, host, port, name="health port", setting=setting) as opened:
        yield opened


def exposition(metrics: Iterable[Metric]) -> str:
    """Return metrics in Prometheus' text format."""
    by_name: dict[str, list[Metric]] = {}
    for metric in metrics:
        by_name.setdefault(metric.name, []).append(metric)
    lines = []
    for name, found in by_name.items():
        lines += [f"# HELP {name} {found[0].meaning}", f"# TYPE {name} {found[0].kind}"]
        for metric in found:
            labels = ",".join(f'{label}="{_escaped(text)}"' for label, text in metric.labels.items())
            lines.append(f"{name}{{{labels}}} {metric.value!r}" if labels else f"{name} {metric.value!r}")
    return "\n".join([*lines, ""])


def _answer(problems: Sequence[str]) -> web.Response:
    status = 503 if problems else 200
    return web.json_response({"status": "failing" if problems else "ok", "problems": list(problems)}, status=status)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
