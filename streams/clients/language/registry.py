"""From settings to the analyst."""

from typing import Protocol

from streams.clients.providers import Lifecycle
from streams.language import Analyst
from streams.settings import AnalyseSettings


class OwnedAnalyst(Analyst, Lifecycle, Protocol):
    """An analyst and its life."""


def analyst_of(settings: AnalyseSettings) -> OwnedAnalyst:
    """Return the analyst, not yet loaded; English without spaCy is read by dictionaries. Raises SettingsInvalid."""
    # loaded only where it is used
    from streams.clients.language.analyst import LocalAnalyst  # noqa: PLC0415
    from streams.clients.language.identification import identified  # noqa: PLC0415
    from streams.clients.language.readers import Spacy, spacy_folder  # noqa: PLC0415

    folder = spacy_folder()
    return LocalAnalyst(settings, english=Spacy(folder) if folder is not None else None, identify=identified)
