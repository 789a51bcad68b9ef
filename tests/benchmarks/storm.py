"""`make storm`: providers on a bad day, at 50 requests a second. Writes a table of docs/routing.md.

The whole pipeline in memory, in real time; the providers are servers on loopback that speak their real protocols.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from streams.settings import WatchSettings
from tests.benchmarks.pages import written
from tests.pipeline.storm import PROVIDERS, Storm, blown, weathers
from tests.pipeline.world import SETTINGS

PER_S = 50.0
DEADLINE_S = 10.0
SLOW_S, PERIOD_S = 5.0, 3.0
RECOVERY_S, PROBE_S = 5.0, 1.0
STORMY = replace(
    SETTINGS,
    route=replace(SETTINGS.route, tries=2),
    watch=WatchSettings(recovery_s=RECOVERY_S, probe_s=PROBE_S),
)


def main() -> None:
    """Ask, print, and write unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each weather")
    parser.add_argument("--only", default="", help="weathers whose name holds this")
    parser.add_argument("--dry-run", action="store_true", help="print the table and write nothing")
    given = parser.parse_args()
    seen = []
    for weather in weathers(SLOW_S, PERIOD_S):
        if given.only in weather.name:
            seen.append(
                asyncio.run(blown(weather, per_s=PER_S, seconds=given.seconds, deadline_s=DEADLINE_S, settings=STORMY))
            )
            print(_row(seen[-1]), file=sys.stderr, flush=True)
    shown = _page(seen, given.seconds)
    print(shown)
    if not given.dry_run:
        written("routing.md", "make storm", shown)


def _page(seen: Sequence[Storm], seconds: float) -> str:
    lines = [
        (
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores shared by pipeline and providers, {PER_S:.0f} requests/s for "
            f"{seconds:.0f} s each, deadline {DEADLINE_S:.0f} s, circuits half open after {RECOVERY_S:.0f} s; slow is {SLOW_S:.0f} s to "
            f"the first token, flapping {PERIOD_S:.0f} s well and {PERIOD_S:.0f} s down. Load average at the end: {os.getloadavg()[0]:.1f}."
        ),
        "",
        (
            "| the providers | asked | without an answer | results twice | late | p50, ms | p99, ms | hedges | "
            f"calls of {', '.join(PROVIDERS)} |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
        *map(_row, seen),
    ]
    return "\n".join(lines)


def _row(one: Storm) -> str:
    cells = (
        one.name,
        f"{one.asked:,}",
        f"{one.errors:,}",
        f"{one.results - one.asked:,}",
        f"{one.late:,}",
        f"{one.percentile_ms(50):,.0f}",
        f"{one.percentile_ms(99):,.0f}",
        f"{one.hedges:,}",
        ", ".join(f"{count:,}" for count in one.calls.values()),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
