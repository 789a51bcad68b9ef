"""Wiring of rank."""

from collections.abc import Mapping

from agents.rank import rules
from schemas.records import CircuitState, Command, Ranking, Verdict
from streams.app import App
from streams.circuit import unwell
from streams.emit import Emit
from streams.settings import RankSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Verdict],
    commands: Topic[Command],
    writes: Topic[Ranking],
    circuits: Mapping[str, CircuitState],
    settings: RankSettings,
) -> None:
    """Keep the champions in a table, and repeat what it holds for views. No title changes hands while a circuit is open."""
    champions = app.owned_table("champions", Ranking, rules.unranked)

    @app.stage(reads, commands, name="rank")
    def rank(said: Verdict | Command, emit: Emit) -> None:
        for cell in rules.cells(said):
            emit(writes, champions.update(cell, lambda ranking: rules.after(ranking, said, settings, unwell(circuits))))
