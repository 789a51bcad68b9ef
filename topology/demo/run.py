"""The demo from start to end: a broker, every unit, the story, the verdict, and nothing left behind."""

import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress

from rich.console import Console

from streams.settings import Settings
from topology.demo.act import Act
from topology.demo.acts import ACTS
from topology.demo.acts.voice import hears
from topology.demo.expect import Check
from topology.demo.interrupts import interruptible
from topology.demo.logs import LastLines
from topology.demo.play import play
from topology.demo.sandbox import sandbox
from topology.demo.screen import JsonScreen, RichScreen, Screen
from topology.embedded.jars import Progress
from topology.stack import Running, running
from topology.units import Unit

WIDTH = 100  # where there is no terminal


async def run(settings: Settings, *, keep: bool, as_json: bool, only: Sequence[str] = ()) -> bool:
    """Run the demo, or `only` the acts named. True when everything happened as expected.

    Raises:
        StartRefused: something cannot start; the message says what to do.
        DeliveryFailed: the broker did not take a record.
    """
    logs = LastLines()
    screen: Screen = JsonScreen(sys.stdout.buffer) if as_json else RichScreen(_console())
    with screen, logs.collected(), interruptible() as interrupted:
        try:
            met = await _story(settings, screen, [act for act in ACTS if not only or act.name in only], keep=keep)
        except asyncio.CancelledError:
            if not interrupted():
                raise
            screen.done("interrupted; everything is stopped", {})
            return False
    if not met:
        sys.stderr.write(logs.text())
    return met


async def _story(settings: Settings, screen: Screen, acts: Sequence[Act], *, keep: bool) -> bool:
    began = time.monotonic()
    units = [unit for unit in Unit if unit is not Unit.VOICE or hears(settings.transcribe)]
    screen.doing("starting Kafka, vector store and models")
    async with (
        sandbox(settings) as (own, beside),
        running(own, units, tell=lambda what: screen.done(what, {}), on_progress=_progress(screen)) as up,
    ):
        seconds = time.monotonic() - began
        kafka = up.settings.kafka
        screen.done(
            f"{len(units)} units take records from Kafka at {kafka.bootstrap} after {seconds:.1f} s",
            {"bootstrap": kafka.bootstrap, "prefix": kafka.topic_prefix, "seconds": round(seconds, 3)},
        )
        met = all(check.met for check in await _unless_it_ends(up, play(up.settings, beside, acts, screen)))
        if keep:
            screen.staying(_how_to(up))
            with suppress(asyncio.CancelledError):
                await up.wait()
        screen.stopping()
        return met


async def _unless_it_ends(up: Running, playing: Coroutine[object, None, Sequence[Check]]) -> Sequence[Check]:
    """Return what was judged. Raises what ended a unit or the broker meanwhile."""
    played = asyncio.ensure_future(playing)
    waiting = asyncio.ensure_future(up.wait())
    try:
        await asyncio.wait((played, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not played.done():
            waiting.result()
        return await played
    finally:
        for task in (played, waiting):
            task.cancel()
        await asyncio.gather(played, waiting, return_exceptions=True)


def _progress(screen: Screen) -> Progress:
    return lambda done, total, what: screen.progress(what, done, total)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _how_to(up: Running) -> Sequence[str]:
    kafka = up.settings.kafka
    prefix = [f"export FORGESTREAM_KAFKA_TOPIC_PREFIX={kafka.topic_prefix}"] if kafka.topic_prefix else []
    return [
        f"export FORGESTREAM_KAFKA={kafka.bootstrap}",
        *prefix,
        'forgestream produce texts --query "When are the tides highest?" --wait',
        "forgestream tail results dead-letters --from beginning",
    ]
