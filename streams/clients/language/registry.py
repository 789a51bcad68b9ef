"""From settings to the analyst."""

from typing import Protocol

from streams.clients.language.operations import operations
from streams.clients.providers import Lifecycle
from streams.errors import SettingsInvalid
from streams.language import Analyst
from streams.settings import AnalyseSettings


class OwnedAnalyst(Analyst, Lifecycle, Protocol):
    """An analyst and its life."""


def analyst_of(settings: AnalyseSettings) -> OwnedAnalyst:
    """Return the analyst, not yet loaded. Raises SettingsInvalid."""
    from streams.clients.language.analyst import ProgramAnalyst  # noqa: PLC0415 - loaded only where it is used

    names = [name.strip() for name in settings.operations.split(",") if name.strip()]
    unknown = [name for name in names if name not in operations()]
    if unknown:
        known = ", ".join(operations())
        raise SettingsInvalid([f"FORGESTREAM_ANALYSE_OPERATIONS: {', '.join(unknown)} is unknown; there are {known}"])
    return ProgramAnalyst(settings, names)
