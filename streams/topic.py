"""What a topic is: its name, its record, its key, and how the broker keeps it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from schemas.records import Origin

R = TypeVar("R")
SEPARATOR = "#"  # in no id that is admitted, so that no tenant can name what is another's


def request_key(origin: Origin) -> str:
    """Key of every request-path record and of every row about a conversation: the conversation if there is one, else the request."""
    return of_tenant(origin.tenant, origin.session_id or origin.request_id)


def of_tenant(tenant: str, name: str) -> str:
    """Return a name that is one tenant's own: tenants choose their ids without asking each other."""
    return f"{tenant}{SEPARATOR}{name}"


def whose(key: str) -> tuple[str, str]:
    """Return the tenant of such a name, and what the tenant calls it."""
    tenant, _, name = key.partition(SEPARATOR)
    return tenant, name


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic(Generic[R]):
    """One topic. `record` is `bytes` where values are passed on unread (dead letters)."""

    name: str
    record: type[R]
    key: Callable[[R], str]
    key_name: str
    owner: str
    partitions: int
    doc: str
    retention: timedelta | None = timedelta(days=7)
    compacted: bool = False
    ends_request: bool = False  # a record that fails here gets a terminal result from the guard
    max_message_bytes: int = 1_048_576
    beside_source: bool = False  # a record goes to the partition of the record it was made for, whatever its key
