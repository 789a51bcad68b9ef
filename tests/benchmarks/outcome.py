"""What runs come to: figures per run, their spread per worker, one table per scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

OURS = "forgestream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one worker. The first figure is the one that is compared."""

    worker: str
    records: int
    figures: Mapping[str, float]
    faults: Mapping[str, int] = field(default_factory=dict)  # lost, doubled, ...: name -> count


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over the runs of one worker."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise values."""
        return cls(median=median(values), least=min(values), most=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One worker in the table of a scenario. `ratio` is ours over theirs, turned so that above 1 is better for us."""

    worker: str
    records: int
    runs: int
    figures: Mapping[str, Spread]
    ratio: float
    faults: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One scenario, measured."""

    name: str
    title: str
    target: str
    note: str
    measured: str
    lines: tuple[Line, ...]


def tabulate(
    name: str, title: str, *, target: str, note: str, measured: str, runs: Sequence[Run], less_is_better: bool
) -> Table:
    """Summarise the runs of a scenario; faults are added up over the runs."""
    workers = list(dict.fromkeys(run.worker for run in runs))
    of = {worker: [run for run in runs if run.worker == worker] for worker in workers}
    main = next(iter(runs[0].figures))
    medians = {worker: median(run.figures[main] for run in of[worker]) for worker in workers}

    def ratio(worker: str) -> float:
        if OURS not in medians or not medians[worker] or not medians[OURS]:
            return 0.0
        better = medians[OURS] / medians[worker]
        return 1 / better if less_is_better else better

    lines = tuple(
        Line(
            worker=worker,
            records=of[worker][0].records,
            runs=len(of[worker]),
            figures={
                figure: Spread.of([run.figures[figure] for run in of[worker]]) for figure in of[worker][0].figures
            },
            ratio=ratio(worker),
            faults={
                fault: total
                for fault in of[worker][0].faults
                if (total := sum(run.faults[fault] for run in of[worker]))
            },
        )
        for worker in workers
    )
    return Table(name=name, title=title, target=target, note=note, measured=measured, lines=lines)
