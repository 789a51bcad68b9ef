"""Wiring of watch."""

from agents.watch import rules
from schemas.records import CircuitState, Command, Outcome
from streams.app import App
from streams.emit import Emit
from streams.settings import WatchSettings
from streams.topic import Topic


def attach(
    app: App, *, reads: Topic[Outcome], commands: Topic[Command], writes: Topic[CircuitState], settings: WatchSettings
) -> None:
    """Keep the circuits in a table, and repeat what it holds for views."""
    circuits = app.owned_table("circuits", CircuitState, rules.unwatched)

    @app.stage(reads, commands, name="watch")
    def watch(seen: Outcome | Command, emit: Emit) -> None:
        for dependency in rules.dependencies(seen):
            emit(writes, circuits.update(dependency, lambda state: rules.after(state, seen, settings)))
