"""The results of all variants and of history side by side, in a file: what is in memory does not grow with the range."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from schemas.records import ReplayedRequest, Result, Status, Verdict
from topology.replay.intervals import Mean, mean_of
from topology.replay.learned import verdict_of

HISTORY_NUMBER = 0
EVEN = 0.005  # smaller differences are those of the last digits of vectors
_SCHEMA = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;
CREATE TABLE ended (
    variant INTEGER, request TEXT, position INTEGER, at TEXT, cell TEXT, model TEXT, status TEXT, score REAL,
    latency_ms REAL, input_tokens INTEGER, output_tokens INTEGER, cost_usd REAL, text TEXT, query TEXT,
    judged REAL, judged_at TEXT, PRIMARY KEY (variant, request)
) WITHOUT ROWID;
"""
_PAIRS = """
FROM ended AS a JOIN ended AS b ON a.request = b.request AND a.variant = ? AND b.variant = ?
WHERE a.score IS NOT NULL AND b.score IS NOT NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One request as one side ended it."""

    model: str
    status: str
    score: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One request as two sides ended it."""

    request_id: str
    cell: str
    query: str
    before: Answered
    after: Answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Paired differences of the scores, after minus before."""

    difference: Mean
    wins: int
    losses: int
    ties: int


class Tally:
    """Counts results. The score of a request that failed or expired is 0, of one that was rejected there is none."""

    def __init__(self, file: Path) -> None:
        self._file = sqlite3.connect(file, isolation_level=None)
        self._file.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        self._file.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, variant: int, done: ReplayedRequest) -> None:
        """Count a request of a variant."""
        self._insert(variant, done.result, position=done.position, at=done.at, cell=done.cell, query=done.query)

    def add_history(self, result: Result) -> bool:
        """Count what a replayed request ended with when it was asked; False when it was not replayed, or counted before."""
        row = self._file.execute(
            "SELECT position, at, cell, query FROM ended WHERE variant = 1 AND request = ?", (result.origin.request_id,)
        ).fetchone()
        if row is None:
            return False
        position, at, cell, query = row
        return self._insert(
            HISTORY_NUMBER, result, position=position, at=datetime.fromisoformat(at), cell=cell, query=query
        )

    def statuses(self, variant: int) -> dict[str, int]:
        """Return how many requests ended how."""
        return dict(
            self._file.execute("SELECT status, count(*) FROM ended WHERE variant = ? GROUP BY 1 ORDER BY 1", (variant,))
        )

    def cells(self) -> list[str]:
        """Return every cell that was asked in."""
        return [
            cell for (cell,) in self._file.execute("SELECT DISTINCT cell FROM ended WHERE score IS NOT NULL ORDER BY 1")
        ]

    def score(self, variant: int, cell: str | None = None) -> Mean:
        """Return the mean score."""
        row = self._file.execute(
            "SELECT count(score), total(score), total(score * score) FROM ended "
            "WHERE variant = ? AND (? IS NULL OR cell = ?)",
            (variant, cell, cell),
        ).fetchone()
        return mean_of(*row)

    def models(self, variant: int, cell: str) -> list[tuple[str, int]]:
        """Return which models answered in a cell, and how often."""
        return self._file.execute(
            "SELECT model, count(*) FROM ended WHERE variant = ? AND cell = ? AND model <> '' GROUP BY 1 ORDER BY 2 DESC, 1",
            (variant, cell),
        ).fetchall()

    def latency_ms(self, variant: int, share: float) -> float | None:
        """Return a quantile of the latency of the calls that gave an answer."""
        (count,) = self._file.execute(
            "SELECT count(*) FROM ended WHERE variant = ? AND model <> ''", (variant,)
        ).fetchone()
        if not count:
            return None
        row = self._file.execute(
            "SELECT latency_ms FROM ended WHERE variant = ? AND model <> '' ORDER BY 1 LIMIT 1 OFFSET ?",
            (variant, min(count - 1, int(count * share))),
        ).fetchone()
        return float(row[0])

    def spent(self, variant: int) -> tuple[int, int, float]:
        """Return tokens in, tokens out and the price of all answers."""
        row = self._file.execute(
            "SELECT total(input_tokens), total(output_tokens), total(cost_usd) FROM ended WHERE variant = ?", (variant,)
        ).fetchone()
        return int(row[0]), int(row[1]), float(row[2])

    def compared(self, before: int, after: int, cell: str | None = None) -> Compared:
        """Compare two sides request by request; only requests that both have a score for are counted."""
        count, total, squares, wins, losses = self._file.execute(
            "SELECT count(*), total(b.score - a.score), total((b.score - a.score) * (b.score - a.score)),"
            f" total(b.score - a.score >= {EVEN}), total(a.score - b.score >= {EVEN}) {_PAIRS} AND (? IS NULL OR a.cell = ?)",
            (before, after, cell, cell),
        ).fetchone()
        return Compared(
            difference=mean_of(count, total, squares),
            wins=int(wins),
            losses=int(losses),
            ties=count - int(wins) - int(losses),
        )

    def histogram(self, before: int, after: int, bins: int) -> list[int]:
        """Count paired differences from -1 to 1 in equal bins."""
        found = [0] * bins
        rows = self._file.execute(
            f"SELECT min(?, cast((b.score - a.score + 1) / 2 * ? AS INTEGER)), count(*) {_PAIRS} GROUP BY 1",
            (bins - 1, bins, before, after),
        )
        for number, count in rows:
            found[number] = count
        return found

    def regressions(self, before: int, after: int, most: int) -> list[Pair]:
        """Return the requests that lost most, worst first; each question once."""
        rows = self._file.execute(
            "SELECT a.request, a.cell, a.query, a.model, a.status, a.score, a.text, b.model, b.status, b.score, b.text,"
            f" min(b.score - a.score) {_PAIRS} AND a.score - b.score >= {EVEN} GROUP BY a.cell, a.query"
            " ORDER BY 12, a.position LIMIT ?",  # min() chooses the row that the other columns are of
            (before, after, most),
        )
        return [
            Pair(
                request_id=row[0],
                cell=row[1],
                query=row[2],
                before=Answered(model=row[3], status=row[4], score=row[5], text=row[6]),
                after=Answered(model=row[7], status=row[8], score=row[9], text=row[10]),
            )
            for row in rows
        ]

    def verdicts(self) -> Iterator[Verdict]:
        """Yield the verdicts of all variants, history left out, in the order of the range."""
        rows = self._file.execute(
            "SELECT request, variant, cell, model, judged, latency_ms, cost_usd, judged_at FROM ended "
            "WHERE judged IS NOT NULL AND variant > 0 ORDER BY position, variant"
        )
        for request, variant, cell, model, judged, latency_ms, cost_usd, at in rows:
            yield Verdict(
                verdict_id=f"{request}/{variant}",
                cell=cell,
                model=model,
                score=judged,
                latency_ms=latency_ms,
                cost_usd=cost_usd,
                at=datetime.fromisoformat(at),
            )

    def _insert(self, variant: int, result: Result, *, position: int, at: datetime, cell: str, query: str) -> bool:
        verdict = verdict_of(result)
        inserted = self._file.execute(
            "INSERT OR IGNORE INTO ended VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                variant,
                result.origin.request_id,
                position,
                at.isoformat(),
                cell,
                result.decision.model if result.decision else "",
                result.status,
                score_of(result),
                result.latency_ms,
                result.input_tokens,
                result.output_tokens,
                result.cost_usd,
                _said(result),
                query,
                verdict.score if verdict else None,
                result.origin.event_time.isoformat(),
            ),
        )
        return inserted.rowcount > 0


def score_of(result: Result) -> float | None:
    """Return what a request counts for: its overall score; 0 when it got no answer; nothing when it was no request."""
    if result.status is Status.REJECTED:
        return None
    if result.status in {Status.FAILED, Status.EXPIRED}:
        return 0.0
    return result.overall if result.overall is not None else 0.0


def _said(result: Result) -> str:
    text = result.text or "; ".join(f"{error.error_code}: {error.message}" for error in result.errors)
    return text.encode("utf-8", "replace").decode()
