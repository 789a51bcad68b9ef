"""Wiring of admit."""

from agents.admit import rules
from schemas.records import Request, TextQuery
from streams.app import App
from streams.emit import Emit
from streams.settings import AdmitSettings
from streams.topic import Topic


def attach(app: App, *, reads: Topic[TextQuery], writes: Topic[Request], settings: AdmitSettings) -> None:
    """Admit queries, or refuse them with every problem listed."""

    @app.stage(reads, name="admit")
    def admit(query: TextQuery, emit: Emit) -> None:
        emit(writes, rules.admitted(query, settings))
