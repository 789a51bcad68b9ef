"""Regret over time as SVG, one panel per scenario: no plotting library, and the same bytes for the same numbers."""

from collections.abc import Sequence
from html import escape

from tests.benchmarks.champions_models import CHANGE, EVALUATIONS, Scenario
from tests.benchmarks.champions_policies import CONTENDERS, OURS
from tests.benchmarks.champions_run import Summary

COLOURS = ("#0b6e4f", "#2a9d8f", "#6a4c93", "#e9a23b", "#d1495b", "#8d5b4c", "#3a6ea5", "#7fb3d5")
WIDTH, HEIGHT, GAP, TOP, LEFT = 300, 190, 46, 64, 46
COLUMNS = 3


def plot(scenarios: Sequence[Scenario], summaries: Sequence[Summary]) -> str:
    """Return the picture."""
    rows = -(-len(scenarios) // COLUMNS)
    width, height = LEFT + COLUMNS * (WIDTH + GAP), TOP + rows * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        "<title>Regret of rules that choose champions</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_legend(),
    ]
    for number, scenario in enumerate(scenarios):
        x, y = LEFT + number % COLUMNS * (WIDTH + GAP), TOP + number // COLUMNS * (HEIGHT + GAP)
        curves = {one.contender: one.curve for one in summaries if one.scenario == scenario.name}
        parts += _panel(scenario.name, curves, x, y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> list[str]:
    parts = []
    for number, (contender, colour) in enumerate(zip(CONTENDERS, COLOURS, strict=True)):
        x, y = LEFT + number % 4 * 240, 16 + number // 4 * 18
        parts.append(f'<line x1="{x}" y1="{y}" x2="{x + 22}" y2="{y}" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 28}" y="{y + 4}">{escape(contender.name)}</text>')
    return parts


def _panel(name: str, curves: dict[str, Sequence[float]], x: int, y: int) -> list[str]:
    most = max(max(curve) for curve in curves.values()) or 1.0
    change = x + WIDTH * CHANGE / EVALUATIONS
    parts = [
        f'<text x="{x}" y="{y - 6}" font-weight="bold">{escape(name)}</text>',
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
        f'<line x1="{change:.1f}" y1="{y}" x2="{change:.1f}" y2="{y + HEIGHT}" stroke="#ccc" stroke-dasharray="3 3"/>',
        f'<text x="{x - 4}" y="{y + 10}" text-anchor="end">{most:.0f}</text>',
        f'<text x="{x - 4}" y="{y + HEIGHT}" text-anchor="end">0</text>',
        f'<text x="{x + WIDTH}" y="{y + HEIGHT + 14}" text-anchor="end">{EVALUATIONS:,} evaluations; regret</text>',
    ]
    for contender, colour in zip(CONTENDERS, COLOURS, strict=True):
        curve = curves[contender.name]
        last = len(curve) - 1
        points = " ".join(
            f"{x + WIDTH * step / last:.1f},{y + HEIGHT * (1 - value / most):.1f}" for step, value in enumerate(curve)
        )
        bold = 2.6 if contender.name == OURS else 1.3
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{bold}"/>')
    return parts
