"""The model catalogue: what is known of each model, from the file that ships and one of the user's own."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from schemas.records import Domain
from streams.errors import SettingsInvalid
from streams.ports import TIERS, ModelSpec

SETTING = "FORGESTREAM_ROUTE_CATALOGUE"
SHIPPED = "catalogue.toml"
PROTOCOLS = ("anthropic", "ollama", "openai")
BUILT_IN = frozenset({"anthropic", "compatible", "echo", "extractive", "llamacpp", "ollama", "openai", "smollm2"})
NAME = re.compile(r"[^\s,:][^\s,]*")  # names stand in a list with commas


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model of the catalogue. `parameters` go into every request as they are."""

    spec: ModelSpec
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of the user's own, a provider under its name. `keys_file` holds its API keys, if it needs any."""

    name: str
    protocol: str
    url: str
    keys_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Models and servers by name."""

    models: Mapping[str, Entry]
    servers: Mapping[str, Server]

    def find(self, provider: str, model_id: str) -> Entry | None:
        """Return the entry of a provider's model, by the provider's own name for it."""
        found = (one for one in self.models.values() if one.spec.provider == provider)
        return next((one for one in found if model_id in {one.spec.id, one.spec.name}), None)


def catalogue_of(path: str) -> Catalogue:
    """Read what ships, and the user's file when `path` names one.

    Raises:
        SettingsInvalid: with every problem of the user's file.
    """
    shipped = _catalogue(tomllib.loads((files(__package__) / SHIPPED).read_text(encoding="utf-8")), SHIPPED)
    if not path:
        return shipped
    try:
        read = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsInvalid([f"{SETTING}: cannot read {path} ({reason})"]) from error
    own = _catalogue(read, path)
    return Catalogue(models={**shipped.models, **own.models}, servers={**shipped.servers, **own.servers})


def _catalogue(read: Mapping[str, Any], path: str) -> Catalogue:
    problems = [
        f"{SETTING}: {path}: {name!r} is neither models nor servers" for name in read.keys() - {"models", "servers"}
    ]
    models = {name: _entry(name, table, problems, path) for name, table in _tables(read, "models", problems, path)}
    servers = {name: _server(name, table, problems, path) for name, table in _tables(read, "servers", problems, path)}
    if problems:
        raise SettingsInvalid(problems)
    return Catalogue(
        models={name: one for name, one in models.items() if one is not None},
        servers={name: one for name, one in servers.items() if one is not None},
    )


def _tables(
    read: Mapping[str, Any], section: str, problems: list[str], path: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tables = read.get(section, {})
    for name, table in tables.items() if isinstance(tables, dict) else [(section, tables)]:
        if not isinstance(table, dict):
            problems.append(f"{SETTING}: {path}: {section}.{name} must be a table")
        elif not NAME.fullmatch(name):
            problems.append(
                f"{SETTING}: {path}: {section}.{name!r}: a name has no spaces or commas, and no colon first"
            )
        elif section == "servers" and (name in BUILT_IN or ":" in name):
            problems.append(f"{SETTING}: {path}: servers.{name}: that name is taken, or holds a colon; choose another")
        else:
            yield name, table


Check = tuple[Callable[[Any], bool], str]
TEXT: Check = (lambda value: isinstance(value, str) and bool(value), "a text")
COUNT: Check = (lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0, "a number above 0")
PRICE: Check = (
    lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"),
    "a price, 0 or more",
)
LIST: Check = (lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value), "a list of texts")
TABLE: Check = (lambda value: isinstance(value, dict), "a table")
TIER: Check = (lambda value: value in TIERS, f"one of {', '.join(TIERS)}")
DOMAINS: Check = (
    lambda value: LIST[0](value) and set(value) <= set(Domain) and bool(value),
    f"a list of {', '.join(Domain)}",
)
PROTOCOL: Check = (lambda value: value in PROTOCOLS, f"one of {', '.join(PROTOCOLS)}")
MODEL_FIELDS: Mapping[str, Check] = {
    "provider": TEXT, "id": TEXT, "context_tokens": COUNT, "usd_per_million_in": PRICE, "usd_per_million_out": PRICE,
    "tier": TIER, "capabilities": LIST, "domains": DOMAINS, "parameters": TABLE,
}  # fmt: skip
SERVER_FIELDS: Mapping[str, Check] = {"protocol": PROTOCOL, "url": TEXT, "keys_file": TEXT}


def _entry(name: str, table: Mapping[str, Any], problems: list[str], path: str) -> Entry | None:
    if not _checked(f"{path}: models.{name}", table, MODEL_FIELDS, {"provider", "context_tokens"}, problems):
        return None
    return Entry(
        spec=ModelSpec(
            name=name,
            provider=table["provider"],
            context_tokens=table["context_tokens"],
            usd_per_million_in=float(table.get("usd_per_million_in", 0.0)),
            usd_per_million_out=float(table.get("usd_per_million_out", 0.0)),
            domains=tuple(Domain(domain) for domain in table.get("domains", Domain)),
            id=table.get("id", name),
            tier=table.get("tier", "standard"),
            capabilities=frozenset(table.get("capabilities", ())),
        ),
        parameters=table.get("parameters", {}),
    )


def _server(name: str, table: Mapping[str, Any], problems: list[str], path: str) -> Server | None:
    if not _checked(f"{path}: servers.{name}", table, SERVER_FIELDS, {"protocol", "url"}, problems):
        return None
    return Server(name=name, **table)


def _checked(
    where: str, table: Mapping[str, Any], known: Mapping[str, Check], needed: set[str], problems: list[str]
) -> bool:
    found = [f"{SETTING}: {where} needs {name}" for name in sorted(needed - table.keys())]
    found += [
        f"{SETTING}: {where}.{name} is unknown; known: {', '.join(known)}" for name in sorted(table.keys() - known)
    ]
    found += [
        f"{SETTING}: {where}.{name} must be {known[name][1]}, not {value!r}"
        for name, value in table.items()
        if name in known and not known[name][0](value)
    ]
    problems += found
    return not found
