"""What could answer: every model of the catalogue and of the chain, and what keeps it from being asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.records import Domain
from streams.clients.models.catalogue import Server
from streams.clients.models.keys import split
from streams.clients.models.registry import Registry
from streams.clients.models.servers import problems_of, servers_of
from streams.errors import StartRefused
from streams.ports import ModelSpec
from streams.settings import RouteSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model as `forgestream models` shows it. `place` is its place in the chain, from 1; 0 when it is not in it.

    `problem` says what keeps it from being asked; empty when nothing does. A server is not called to find out.
    """

    name: str
    provider: str
    id: str
    tier: str
    context_tokens: int
    usd_per_million_in: float
    usd_per_million_out: float
    capabilities: tuple[str, ...]
    domains: tuple[Domain, ...]
    place: int
    url: str
    keys: int
    problem: str


def offers(settings: RouteSettings) -> Sequence[Offer]:
    """Return the chain in its order, then the rest of the catalogue.

    Raises:
        SettingsInvalid: the user's catalogue cannot be read.
    """
    registry = Registry(settings)
    servers = {server.name: server for server in servers_of(settings, registry.catalogue)}
    chain = registry.chain_names()
    names = dict.fromkeys([*chain, *registry.catalogue.models])
    return [_offer(name, chain.index(name) + 1 if name in chain else 0, registry, servers) for name in names]


def _offer(name: str, place: int, registry: Registry, servers: Mapping[str, Server]) -> Offer:
    settings, entry = registry.settings, registry.catalogue.models.get(name)
    spec = entry.spec if entry else ModelSpec(name=name, provider=name.partition(":")[0], context_tokens=0)
    server = servers.get(spec.provider)
    problems: list[str] = []
    if server is not None and entry is not None:
        problems = problems_of(server, settings)
    else:
        try:
            spec = registry.model(name).spec
        except StartRefused as error:
            problems = list(_lines(error))
    return Offer(
        name=name,
        provider=spec.provider,
        id=spec.id or name,
        tier=spec.tier,
        context_tokens=spec.context_tokens,
        usd_per_million_in=spec.usd_per_million_in,
        usd_per_million_out=spec.usd_per_million_out,
        capabilities=tuple(sorted(spec.capabilities)),
        domains=spec.domains,
        place=place,
        url=server.url if server else "",
        keys=len(split(getattr(settings, f"{server.name}_keys", ""))) if server else 0,
        problem="; ".join(problems),
    )


def _lines(error: StartRefused) -> Iterator[str]:
    problems = getattr(error, "problems", (error.message,))
    yield from (problem.removeprefix("FORGESTREAM_ROUTE_MODELS: ") for problem in problems)
