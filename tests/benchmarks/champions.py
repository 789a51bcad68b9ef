"""`make simulate`: which rule chooses champions best, shown on models whose true quality is known.

Every policy meets the same models, judge and requests. Writes the table and the plot of docs/champions.md.
"""

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.champions_models import CHANGE, EVALUATIONS, SCENARIOS, SPREAD
from tests.benchmarks.champions_plot import plot
from tests.benchmarks.champions_policies import CONTENDERS, ROUTING, named
from tests.benchmarks.champions_run import Summary, played, summarised

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PLOT = DOCS / "champions.md", DOCS / "champions.svg"
BEGIN, END = "<!-- written by make simulate -->", "<!-- end of what make simulate writes -->"


def main() -> None:
    """Simulate, print, and write unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="runs of each policy in each scenario")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--dry-run", action="store_true", help="print the table and write nothing")
    given = parser.parse_args()
    began = time.monotonic()
    summaries = simulated(given.runs, given.workers)
    shown = page(summaries, given.runs, time.monotonic() - began)
    print(shown)
    if not given.dry_run:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{shown}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
        PLOT.write_text(plot(SCENARIOS, summaries), encoding="utf-8")


def simulated(runs: int, workers: int) -> Sequence[Summary]:
    """Return every policy in every scenario."""
    places = [(scenario, contender.name) for scenario in range(len(SCENARIOS)) for contender in CONTENDERS]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(_summary, places, [runs] * len(places)))


def _summary(place: tuple[int, str], runs: int) -> Summary:
    scenario, contender = SCENARIOS[place[0]], named()[place[1]]
    return summarised(scenario, contender, [played(scenario, contender, seed) for seed in range(runs)])


def page(summaries: Sequence[Summary], runs: int, took_s: float) -> str:
    """Return the written part of the page."""
    by_place = {(one.scenario, one.contender): one for one in summaries}
    names = [contender.name for contender in CONTENDERS]
    lines = [
        (
            f"{datetime.now(UTC):%Y-%m-%d}, {runs} runs of {EVALUATIONS:,} evaluations of each, {took_s:.0f} s on {os.cpu_count()} cores. "
            f"Scores scatter by {SPREAD} around the true quality; models change at evaluation {CHANGE:,}; "
            f"{ROUTING.explore_share:.0%} of requests go to challengers (Thompson sampling explores by itself)."
        ),
        "",
    ]
    tables = (
        ("Regret per 1,000 evaluations: quality lost against an oracle that always asks the best", _regret),
        ("Evaluations until the new best leads (median; share of runs that found it, where not all did)", _found),
        ("False promotions per 1,000 evaluations: to a model that is no better (of all changes)", _false),
    )
    for title, cell in tables:
        shown = [one for one in SCENARIOS if cell is not _found or one.changes]
        lines += [f"**{title}**", "", f"| scenario | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
        lines += [
            f"| {one.name} | " + " | ".join(cell(by_place[one.name, name]) for name in names) + " |" for one in shown
        ]
        if cell is _regret:
            sums = [
                sum(by_place[one.name, name].regret_per_1000 for one in SCENARIOS) / len(SCENARIOS) for name in names
            ]
            lines.append("| **mean** | " + " | ".join(f"**{mean:.1f}**" for mean in sums) + " |")
        if cell is _false:
            sums = [
                sum(by_place[one.name, name].false_per_1000 for one in SCENARIOS) / len(SCENARIOS) for name in names
            ]
            lines.append("| **mean** | " + " | ".join(f"**{mean:.2f}**" for mean in sums) + " |")
        lines.append("")
    lines += ["| scenario | models |", "|---|---|", *(f"| {one.name} | {one.meaning} |" for one in SCENARIOS), ""]
    lines += ["| policy | is |", "|---|---|", *(f"| {one.name} | {one.meaning} |" for one in CONTENDERS)]
    return "\n".join(lines)


def _regret(one: Summary) -> str:
    return f"{one.regret_per_1000:.1f}"


def _found(one: Summary) -> str:
    if one.found_median is None:
        return f"never ({one.found_share:.0%})"
    return f"{one.found_median:.0f}" + ("" if one.found_share == 1.0 else f" ({one.found_share:.0%})")


def _false(one: Summary) -> str:
    return f"{one.false_per_1000:.2f} ({one.promotions_per_1000:.2f})"


if __name__ == "__main__":
    main()
