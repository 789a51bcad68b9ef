"""Plots as inline SVG: nothing is loaded from anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#6b7280", "#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626", "#0891b2", "#4d7c0f")
WIDTH = 1040
LABELS = 330  # left of the axis
ROW = 24
TOP = 28
BRIGHT = 160
_CHARS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A value with its interval, and the words beside it."""

    label: str
    value: float
    low: float | None
    high: float | None
    colour: str
    said: str


def dots(rows: Sequence[Dot], low: float, high: float, *, zero: bool = False) -> str:
    """Return values with intervals, one row each; `zero` draws the line of no difference."""
    body = [_axis(low, high, len(rows), zero=zero)]
    for number, row in enumerate(rows):
        y = TOP + ROW * number + ROW // 2
        body.append(_text(LABELS - 10, y + 4, row.label, anchor="end"))
        if row.low is not None and row.high is not None:
            left, right = _x(max(low, row.low), low, high), _x(min(high, row.high), low, high)
            body.append(
                f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y}" y2="{y}" stroke="{row.colour}" stroke-width="3"/>'
            )
        x = _x(min(high, max(low, row.value)), low, high)
        body.append(
            f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="{row.colour}"><title>{escape(row.said)}</title></circle>'
        )
        body.append(_text(WIDTH - 4, y + 4, row.said, anchor="end", small=True))
    return _svg(TOP + ROW * len(rows) + 8, body)


def bars(rows: Sequence[tuple[str, Sequence[tuple[str, int, str]]]]) -> str:
    """Return stacked bars: per row a label and its parts (name, count, colour), each row as long as the others."""
    body = []
    room = WIDTH - LABELS - 10
    for number, (label, parts) in enumerate(rows):
        y, x = 6 + ROW * number, float(LABELS)
        total = sum(count for _, count, _ in parts) or 1
        body.append(_text(LABELS - 10, y + 14, label, anchor="end"))
        for name, count, colour in parts:
            width = room * count / total
            said = f"{name} {count:,}"
            place = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 6}"'
            body.append(f'<rect {place} fill="{colour}"><title>{escape(said)}</title></rect>')
            if width > 8 * len(said):
                body.append(f'<text x="{x + 5:.1f}" y="{y + 13}" class="in" fill="{ink(colour)}">{escape(said)}</text>')
            x += width
    return _svg(12 + ROW * len(rows), body)


def ink(colour: str) -> str:
    """Return the colour of words on a bar."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#111827" if red * 0.3 + green * 0.6 + blue * 0.1 > BRIGHT else "#ffffff"


def legend(parts: Sequence[tuple[str, str]]) -> str:
    """Return what colours mean."""
    shown = (f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in parts)
    return f"<p class='legend'>{''.join(shown)}</p>"


def histogram(counts: Sequence[int], low: float, high: float, colour: str) -> str:
    """Return a histogram of equal bins; the middle line is no difference."""
    most, height = max([*counts, 1]), 120
    width = (WIDTH - LABELS) / len(counts)
    body = [_text(LABELS - 10, 20, f"{most:,}", anchor="end", small=True)]
    for number, count in enumerate(counts):
        tall = height * count / most if count else 0
        x = LABELS + width * number
        edge = low + (high - low) * number / len(counts)
        said = f"{edge:+.2f} to {edge + (high - low) / len(counts):+.2f}: {count:,}"
        body.append(
            f'<rect x="{x + 0.5:.1f}" y="{10 + height - tall:.1f}" width="{width - 1:.1f}" height="{max(tall, 0.5):.1f}" '
            f'fill="{colour}"><title>{escape(said)}</title></rect>'
        )
    body.append(f'<line x1="{LABELS}" x2="{WIDTH}" y1="{10 + height}" y2="{10 + height}" class="axis"/>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = LABELS + (WIDTH - LABELS) * share
        anchor = "start" if share == 0.0 else "end" if share == 1.0 else "middle"
        body.append(_text(x, height + 26, f"{low + (high - low) * share:+.1f}", anchor=anchor, small=True))
    return _svg(height + 34, body)


def _axis(low: float, high: float, rows: int, *, zero: bool) -> str:
    lines = []
    for step in range(5):
        value = low + (high - low) * step / 4
        x = _x(value, low, high)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{TOP + ROW * rows}" class="grid"/>')
        lines.append(_text(x, TOP - 12, f"{value:+.2f}" if zero else f"{value:.2f}", anchor="middle", small=True))
    if zero and low < 0 < high:
        x = _x(0.0, low, high)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{TOP + ROW * rows}" class="axis"/>')
    return "".join(lines)


def _x(value: float, low: float, high: float) -> float:
    return LABELS + (WIDTH - LABELS - 200) * (value - low) / ((high - low) or 1.0)


def _text(x: float, y: float, text: str, *, anchor: str, small: bool = False) -> str:
    shown = text if len(text) <= _CHARS or small else f"{text[: _CHARS - 1]}…"
    kind = ' class="small"' if small else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(shown)}</text>'


def _svg(height: int, body: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">{"".join(body)}</svg>'
