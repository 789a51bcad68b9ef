"""A reliability diagram as SVG: no plotting library, and the same bytes for the same numbers."""

from collections.abc import Sequence

from tests.benchmarks.hearing_curve import Bin

COLOURS = ("#d1495b", "#0b6e4f")
SIZE, LEFT, TOP = 320, 46, 40
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def plot(curves: Sequence[tuple[str, Sequence[Bin]]]) -> str:
    """Return the picture: confidence to the right, the share of words that were right upwards."""
    width, height = LEFT + SIZE + 20, TOP + SIZE + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        "<title>Reliability of the confidence of transcripts</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<rect x="{LEFT}" y="{TOP}" width="{SIZE}" height="{SIZE}" fill="none" stroke="#ccc"/>',
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#999" stroke-dasharray="4 4"/>',
        f'<text x="{_x(0.5)}" y="{_y(0) + 34}" text-anchor="middle">confidence</text>',
        f'<text x="{LEFT}" y="{TOP - 24}">share of words that were right</text>',
    ]
    for tick in TICKS:
        parts.append(f'<text x="{_x(tick)}" y="{_y(0) + 16}" text-anchor="middle">{tick:g}</text>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{_y(tick)}" text-anchor="end" dominant-baseline="middle">{tick:g}</text>'
        )
    for number, ((name, bins), colour) in enumerate(zip(curves, COLOURS, strict=True)):
        points = " ".join(f"{_x(one.confidence)},{_y(one.right)}" for one in bins)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{_x(one.confidence)}" cy="{_y(one.right)}" r="3" fill="{colour}"/>' for one in bins]
        parts.append(f'<text x="{LEFT + 8}" y="{TOP + 18 + 16 * number}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(confidence: float) -> str:
    return f"{LEFT + SIZE * confidence:.1f}"


def _y(right: float) -> float:
    return round(TOP + SIZE * (1 - right), 1)
