"""The report in words and rows, the same on the terminal and on the page."""

from collections.abc import Iterable, Sequence

from topology.replay.intervals import Mean
from topology.replay.report import Comparison, Report
from topology.replay.tally import EVEN

SIDE_COLUMNS = ("side", "requests#", "ok#", "degraded#", "rejected#", "failed#", "expired#", "score", "p50 ms#", "p95 ms#",
                "tokens in#", "tokens out#", "USD#")  # fmt: skip
COMPARISON_COLUMNS = ("cell", "sides", "pairs#", "difference", "better#", "worse#", "equal#")
REGRESSION_COLUMNS = ("sides", "lost#", "asked", "first", "second")
LISTED = 3  # regressions of each pair of sides on the terminal; the page has more
LONGEST = 160
CELL_COLUMNS = ("cell", "side", "requests#", "score", "answered by")


def headline(report: Report) -> str:
    """Return what was replayed, in one sentence."""
    replay = report.replay
    share = "" if replay.sample >= 1.0 else f", a sample of {replay.sample:.2%}"
    return (
        f"{replay.requests:,} requests of topic {replay.topic} from {replay.start:%Y-%m-%d %H:%M} to {replay.end:%Y-%m-%d %H:%M} UTC"
        f"{share}; champions and circuits seeded {replay.seed}; answers: {replay.answers}"
    )


def verdict(one: Comparison) -> str:
    """Return what a comparison shows, in one sentence."""
    compared, mean = one.compared, one.compared.difference
    if not mean.count:
        return f"{one.before} and {one.after} have no request in common that both have a score for"
    if mean.low is None or mean.high is None:
        return f"{one.after} against {one.before}: {mean.mean:+.4f} over {mean.count} requests, too few to tell"
    return (
        f"{one.after} is {_word(mean)} {one.before}: {difference(mean)} over {mean.count:,} "
        f"requests; {compared.wins:,} better, {compared.losses:,} worse, {compared.ties:,} equal"
    )


def side_rows(report: Report) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    """Return columns and rows: how each side did as a whole."""
    rows = [
        [
            side.name,
            f"{side.requests:,}",
            *(f"{side.statuses.get(status, 0):,}" for status in ("ok", "degraded", "rejected", "failed", "expired")),
            score(side.score),
            _ms(side.latency_p50_ms),
            _ms(side.latency_p95_ms),
            f"{side.input_tokens:,}",
            f"{side.output_tokens:,}",
            f"{side.cost_usd:.4f}" if side.cost_usd else "-",
        ]
        for side in report.sides
    ]
    return SIDE_COLUMNS, rows


def cell_rows(report: Report) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    """Return columns and rows: how each side did in each cell."""
    rows = [
        [
            one.cell,
            one.side,
            f"{one.score.count:,}",
            score(one.score),
            ", ".join(f"{m} {n:,}" for m, n in one.models.items()),
        ]
        for one in report.cells
    ]
    return CELL_COLUMNS, rows


def comparison_rows(report: Report) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    """Return columns and rows: each side against each other one, in all and per cell."""
    rows = [
        [
            one.cell,
            f"{one.before} -> {one.after}",
            f"{one.compared.difference.count:,}",
            difference(one.compared.difference),
            *(f"{count:,}" for count in (one.compared.wins, one.compared.losses, one.compared.ties)),
        ]
        for one in report.comparisons
        if one.compared.difference.count
    ]
    return COMPARISON_COLUMNS, rows


def regression_rows(report: Report) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    """Return columns and rows: the requests that lost most, with both answers."""
    rows = [
        [
            f"{contest.before} -> {contest.after}",
            f"{pair.after.score - pair.before.score:+.3f}",
            _cut(pair.query),
            _cut(pair.before.text),
            _cut(pair.after.text),
        ]
        for contest in report.contests
        for pair in contest.regressions[:LISTED]
    ]
    return REGRESSION_COLUMNS, rows


def champion_columns(report: Report) -> Sequence[str]:
    """Return the columns of `champion_rows`."""
    names = [name for champion in report.champions[:1] for name in champion.variants]
    return ["cell", "at the start", "live at the end", *(f"after {name}" for name in names), "if all had competed"]


def champion_rows(report: Report) -> Sequence[Sequence[str]]:
    """Return one row per cell: who leads it."""
    return [[one.cell, one.at_start, one.live, *one.variants.values(), one.contest] for one in report.champions]


def score(mean: Mean) -> str:
    """Return a mean with its interval."""
    if not mean.count:
        return "-"
    return f"{mean.mean:.3f}{_interval(mean, '.3f')}"


def difference(mean: Mean) -> str:
    """Return a difference with its interval."""
    return f"{mean.mean:+.4f}{_interval(mean, '+.4f')}"


def _word(mean: Mean) -> str:
    if not mean.decided:
        return "not distinguishable from"
    if abs(mean.mean) < EVEN:
        return "as good as"
    return "better than" if mean.mean > 0 else "worse than"


def _interval(mean: Mean, form: str) -> str:
    if mean.low is None or mean.high is None:
        return ""
    return f" [{mean.low:{form}}, {mean.high:{form}}]"


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:,.1f}"


def _cut(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= LONGEST else f"{joined[: LONGEST - 3]}..."
