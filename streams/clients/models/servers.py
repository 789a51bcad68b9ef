"""Models behind a network, by the servers that the settings and the catalogue name."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from streams.clients.models.catalogue import SETTING as CATALOGUE_SETTING
from streams.clients.models.catalogue import Catalogue, Entry, Server
from streams.clients.models.keys import Keys, split
from streams.clients.models.remote import Remote, Wire
from streams.errors import SettingsInvalid
from streams.ports import ModelSpec
from streams.settings import RouteSettings

PRICED = ("anthropic", "openai")  # without a key and a price nobody may ask these
COMPATIBLE = "compatible"
PLAIN = frozenset({"temperature", "seed"})  # what a server of one's own is taken to know

Build = Callable[[str, RouteSettings], Remote]


def remote_factories(settings: RouteSettings, catalogue: Catalogue) -> Mapping[str, Build]:
    """Return what builds the models of each server, by the server's name; all of one server share its keys."""
    return {server.name: _factory(server, catalogue) for server in servers_of(settings, catalogue)}


def servers_of(settings: RouteSettings, catalogue: Catalogue) -> tuple[Server, ...]:
    """Return every server: those of the settings, then those of the catalogue."""
    built_in = (
        Server(name="anthropic", protocol="anthropic", url=settings.anthropic_url),
        Server(name="openai", protocol="openai", url=settings.openai_url),
        Server(name=COMPATIBLE, protocol="openai", url=settings.compatible_url),
        Server(name="ollama", protocol="ollama", url=settings.ollama_url),
    )
    return (*built_in, *catalogue.servers.values())


def problems_of(server: Server, settings: RouteSettings) -> list[str]:
    """Return what keeps a server from being asked."""
    where = f"FORGESTREAM_ROUTE_{server.name.upper()}_URL"
    where = where if hasattr(settings, f"{server.name}_url") else f"{CATALOGUE_SETTING}: servers.{server.name}.url"
    problems = []
    if not _is_address(server.url):
        problems.append(f"{where} must be the http:// or https:// address of the server, without a password")
    if server.name in PRICED and not getattr(settings, f"{server.name}_keys").strip():
        problems.append(f"FORGESTREAM_ROUTE_{server.name.upper()}_KEYS is empty; {server.name} needs an API key")
    if server.keys_file and not Path(server.keys_file).is_file():
        problems.append(f"{CATALOGUE_SETTING}: servers.{server.name}.keys_file: {server.keys_file} is not a file")
    return problems


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        )
    except ValueError:
        return False


def _factory(server: Server, catalogue: Catalogue) -> Build:
    shared: list[Keys] = []

    def build(model_id: str, settings: RouteSettings) -> Remote:
        problems = problems_of(server, settings)
        entry = _entry(server, model_id, settings, catalogue, problems)
        if problems or entry is None:
            raise SettingsInvalid(problems)
        keys = shared[0] if shared else _keys(server, settings)
        shared[:] = [keys]
        return Remote(entry.spec, _wire(server, entry, keys, settings), keys, settings)

    return build


def _entry(
    server: Server, model_id: str, settings: RouteSettings, catalogue: Catalogue, problems: list[str]
) -> Entry | None:
    if not model_id:
        problems.append(f"FORGESTREAM_ROUTE_MODELS: write {server.name}:MODEL, with the server's name for the model")
        return None
    entry = catalogue.find(server.name, model_id)
    if entry is None and server.name in PRICED:
        problems.append(
            f"FORGESTREAM_ROUTE_MODELS: {server.name}:{model_id} is not in the catalogue, so its window and price are "
            f"unknown; add it to the file of {CATALOGUE_SETTING}"
        )
        return None
    return entry or Entry(
        spec=ModelSpec(
            name=f"{server.name}:{model_id}",
            provider=server.name,
            context_tokens=settings.context_tokens,
            id=model_id,
            tier="local",
            capabilities=PLAIN,
        )
    )


def _keys(server: Server, settings: RouteSettings) -> Keys:
    written: str = getattr(settings, f"{server.name}_keys", "")
    if server.keys_file:
        try:
            written = Path(server.keys_file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise SettingsInvalid(
                [f"{CATALOGUE_SETTING}: servers.{server.name}.keys_file cannot be read ({type(error).__name__})"]
            ) from error
    return Keys(server.name, split(written), rest_s=settings.key_rest_s, time=time.monotonic)


def _wire(server: Server, entry: Entry, keys: Keys, settings: RouteSettings) -> Wire:
    """The SDKs take a second to import, so each is loaded only where it is used."""
    if server.protocol == "anthropic":
        from streams.clients.models.anthropic import AnthropicWire  # noqa: PLC0415 - as the docstring says

        return AnthropicWire(entry.spec, server.url, keys, entry.parameters, settings)
    if server.protocol == "ollama":
        from streams.clients.models.ollama import OllamaWire  # noqa: PLC0415 - as the docstring says

        return OllamaWire(entry.spec, server.url, entry.parameters, settings)
    from streams.clients.models.openai import OpenAiWire  # noqa: PLC0415 - as the docstring says

    compatible = server.name != "openai"
    return OpenAiWire(entry.spec, server.url, keys, entry.parameters, settings, compatible=compatible)
