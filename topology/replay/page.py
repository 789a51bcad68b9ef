"""The report as one HTML page that needs nothing else: no script, no font, no picture from anywhere."""

from collections.abc import Iterable, Sequence
from html import escape

from topology.replay.intervals import Mean
from topology.replay.plots import COLOURS, Dot, bars, dots, histogram, legend
from topology.replay.report import ALL, Comparison, Contest, Report
from topology.replay.tally import EVEN, Answered, Pair
from topology.replay.words import (
    cell_rows,
    champion_columns,
    champion_rows,
    difference,
    headline,
    score,
    side_rows,
    verdict,
)

STATUS_COLOURS = {
    "ok": "#059669",
    "degraded": "#d97706",
    "rejected": "#9ca3af",
    "failed": "#dc2626",
    "expired": "#7c3aed",
}
GOOD, BAD, EQUAL = "#059669", "#dc2626", "#d1d5db"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #111827; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.sub { color: #6b7280; margin-top: .2rem; }
.note { background: #fef3c7; border-left: 4px solid #d97706; padding: .4rem .8rem; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
td, th { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid #f3f4f6; }
th { border-bottom: 2px solid #d1d5db; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: #047857; }
.bad { color: #b91c1c; }
.even { color: #6b7280; }
.lost { border: 1px solid #e5e7eb; border-radius: 6px; margin: .8rem 0; padding: .6rem 1rem; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.two p { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0; }
.who { font-weight: 600; font-size: 13px; }
svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; }
svg text:not(.in) { fill: #374151; }
svg text.small { font-size: 11px; fill: #6b7280; }
svg text.in { font-size: 11px; }
.legend span { margin-right: 1.2rem; font-size: 13px; }
.legend i { display: inline-block; width: 11px; height: 11px; margin-right: .35rem; }
.grid { stroke: #e5e7eb; }
.axis { stroke: #6b7280; }
"""
SHOWN = 1500  # characters of an answer


def page(report: Report) -> str:
    """Return the page."""
    replay = report.replay
    parts = [
        f"<h1>Replay {escape(replay.name)}</h1><p class='sub'>{escape(headline(report))}</p>",
        *(f"<p class='note'>{escape(note)}</p>" for note in report.notes),
        "<h2>In short</h2>",
        _verdicts(report.comparisons),
        _table(*side_rows(report)),
        _section("How requests ended", legend(list(STATUS_COLOURS.items())), bars(_statuses(report))),
        _section(
            "Latency of the calls: median, and to the 95th percentile, ms",
            dots(_latencies(report), 0.0, _slowest(report)),
        ),
        _section("Scores per cell", dots(_scores(report), 0.0, 1.0), _table(*cell_rows(report))),
        _section(
            "Differences, paired per request",
            "<p class='sub'>Mean of (second minus first) over the requests both have a score for, with its 95 % confidence "
            "interval (Student's t). Requests that failed or expired count 0, rejected ones are left out; differences "
            f"below {EVEN} are equal.</p>",
            dots(_differences(report), *_range(report), zero=True),
            legend([("better", GOOD), ("equal", EQUAL), ("worse", BAD)]),
            bars(_wins(report)),
        ),
        *(_contest(contest) for contest in report.contests),
        _section("Champions", _table(champion_columns(report), champion_rows(report))),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<meta name='viewport' content='width=device-width'><title>Replay {escape(replay.name)}</title>"
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _section(title: str, *content: str) -> str:
    return f"<h2>{escape(title)}</h2>{''.join(content)}"


def _verdicts(comparisons: Iterable[Comparison]) -> str:
    lines = []
    for one in comparisons:
        if one.cell == ALL:
            mean = one.compared.difference
            differs = mean.decided and abs(mean.mean) >= EVEN
            kind = ("good" if mean.mean > 0 else "bad") if differs else "even"
            lines.append(f"<li class='{kind}'>{escape(verdict(one))}</li>")
    return f"<ul>{''.join(lines)}</ul>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    numeric = [column.endswith("#") for column in columns]
    head = "".join(
        f"<th{' class=n' if n else ''}>{escape(c.removesuffix('#'))}</th>"
        for c, n in zip(columns, numeric, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{_class(n)}>{escape(text)}</td>' for text, n in zip(row, numeric, strict=True))}</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _class(numeric: bool) -> str:  # noqa: FBT001 - of a column
    return " class=n" if numeric else ""


def _statuses(report: Report) -> list[tuple[str, list[tuple[str, int, str]]]]:
    return [
        (side.name, [(name, side.statuses.get(name, 0), colour) for name, colour in STATUS_COLOURS.items()])
        for side in report.sides
    ]


def _latencies(report: Report) -> list[Dot]:
    return [
        Dot(
            label=side.name,
            value=side.latency_p50_ms,
            low=side.latency_p50_ms,
            high=side.latency_p95_ms,
            colour=_colour(report, side.name),
            said=f"{side.latency_p50_ms:,.1f} to {side.latency_p95_ms:,.1f}",
        )
        for side in report.sides
        if side.latency_p50_ms is not None and side.latency_p95_ms is not None
    ]


def _slowest(report: Report) -> float:
    return max((side.latency_p95_ms or 0.0 for side in report.sides), default=0.0) or 1.0


def _colour(report: Report, name: str) -> str:
    names = [side.name for side in report.sides]
    return COLOURS[(names.index(name) if name in names else 0) % len(COLOURS)]


def _scores(report: Report) -> list[Dot]:
    return [
        _dot(f"{one.cell} · {one.side}", one.score, score(one.score), _colour(report, one.side)) for one in report.cells
    ]


def _differences(report: Report) -> list[Dot]:
    return [
        _dot(f"{one.cell}: {one.before} → {one.after}", one.compared.difference, difference(one.compared.difference),
             _colour(report, one.after))
        for one in report.comparisons
        if one.compared.difference.count
    ]  # fmt: skip


def _dot(label: str, mean: Mean, said: str, colour: str) -> Dot:
    return Dot(label=label, value=mean.mean, low=mean.low, high=mean.high, colour=colour, said=said)


def _range(report: Report) -> tuple[float, float]:
    """Return a symmetric range that holds every interval."""
    means = [one.compared.difference for one in report.comparisons]
    widest = max((abs(bound) for m in means for bound in (m.mean, m.low, m.high) if bound is not None), default=0.0)
    widest = max(0.02, widest * 1.1)
    return -widest, widest


def _wins(report: Report) -> list[tuple[str, list[tuple[str, int, str]]]]:
    return [
        (
            f"{one.cell}: {one.before} → {one.after}",
            [
                ("better", one.compared.wins, GOOD),
                ("equal", one.compared.ties, EQUAL),
                ("worse", one.compared.losses, BAD),
            ],
        )
        for one in report.comparisons
        if one.compared.difference.count
    ]


def _contest(contest: Contest) -> str:
    title = f"{contest.before} → {contest.after}"
    lost = [_pair(pair, contest) for pair in contest.regressions] or ["<p class='good'>No request scored lower.</p>"]
    return _section(
        f"How far apart: {title}",
        histogram(contest.histogram, -1.0, 1.0, COLOURS[1]),
        f"<h2>Largest regressions: {escape(title)}</h2>",
        *lost,
    )


def _pair(pair: Pair, contest: Contest) -> str:
    return (
        f"<div class='lost'><p><b>{escape(pair.query[:SHOWN])}</b><br><span class='even'>{escape(pair.cell)} · "
        f"{escape(pair.request_id)}</span></p><div class='two'>{_answer(contest.before, pair.before)}"
        f"{_answer(contest.after, pair.after)}</div></div>"
    )


def _answer(side: str, said: Answered) -> str:
    who = f"{side} · {said.model or 'nobody'} · {said.status} · {said.score:.3f}"
    return f"<div><span class='who'>{escape(who)}</span><p>{escape(said.text[:SHOWN] or '(nothing)')}</p></div>"
