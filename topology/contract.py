"""Which schema each topic carries, and where its id comes from."""

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.registry import LockedIds, RegistryClient, RegistryRefused, RegistryUnavailable, SchemaSource
from streams.errors import StartRefused
from streams.settings import RegistrySettings
from streams.topic import Topic


def subjects(topics: Iterable[Topic[Any]]) -> Mapping[str, type]:
    """Return what the registry knows the topics' records as."""
    return {f"{topic.name}-value": topic.record for topic in topics}


async def open_schemas(registry: RegistrySettings, topics: Iterable[Topic[Any]]) -> SchemaSource:
    """Return the source of schema ids, ready for every topic.

    Raises:
        StartRefused: the registry cannot be used.
    """
    source = _source_of(registry)
    try:
        await source.start(subjects(topics))
    except (RegistryUnavailable, RegistryRefused) as error:
        raise StartRefused(
            f"{error}; correct FORGESTREAM_REGISTRY_URL, or leave it empty to use the ids we ship"
        ) from error
    return source


def known_schemas(registry: RegistrySettings) -> SchemaSource:
    """Return the source of schema ids for reading: it looks schemas up and registers none.

    Raises:
        StartRefused: the address is none.
    """
    try:
        return _source_of(registry)
    except RegistryRefused as error:
        raise StartRefused(f"{error}; correct FORGESTREAM_REGISTRY_URL") from error


def _source_of(registry: RegistrySettings) -> SchemaSource:
    if not registry.url:
        return LockedIds()
    return RegistryClient(
        registry.url,
        username=registry.username,
        password=registry.password,
        timeout_s=registry.timeout_s,
    )
