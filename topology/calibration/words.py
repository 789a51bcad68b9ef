"""The rows of a calibration as the cells of a table."""

from collections.abc import Sequence

from schemas.records import ScoreStatus
from topology.calibration.comparison import Row

COLUMNS = (
    "judge", "scored#", "no score#", "mean#", "agreement#", "kappa#", "bias#", "rank corr.#", "length bias#",
    "self-preference#", "told apart#", "p50#",
)  # fmt: skip
MEANING = (
    "Against the first judge: agreement, kappa (beyond chance), bias, rank correlation. Length bias: do longer answers get more than the "
    "first judge gives them? Self-preference: more for its own answers than other judges give them. Told apart: how often the right "
    "answer beats one to another question (0.5 is guessing)."
)


def cells(rows: Sequence[Row]) -> Sequence[Sequence[str]]:
    """Return one row of texts for each judge."""
    return [_cells(row) for row in rows]


def _cells(row: Row) -> Sequence[str]:
    missing = [
        f"{count} {status.replace('_', ' ')}"
        for status, count in row.statuses.items()
        if count and status != ScoreStatus.SCORED
    ]
    return [
        f"{row.judge} ({row.prompt})" if row.prompt != row.judge else row.judge,
        str(row.statuses[ScoreStatus.SCORED]),
        ", ".join(missing) or "0",
        _number(row.mean),
        f"{row.agreement:.0%}" if row.agreement is not None else "-",
        _number(row.kappa),
        _number(row.bias, sign="+"),
        _number(row.rank, sign="+"),
        _number(row.length_bias, sign="+"),
        _number(row.self_preference, sign="+"),
        _number(row.told_apart),
        f"{row.median_ms:,.0f} ms" if row.median_ms is not None else "-",
    ]


def _number(value: float | None, *, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"
