"""Identifiers of records."""

import hashlib
import uuid

RANDOM_BYTES = 10
_ID_LETTERS = 32
_NOT_VERSION = ~(0xF << 76)
_NOT_VARIANT = ~(0x3 << 62)


def uuid7(ms: int, random_bytes: bytes) -> str:
    """Return a UUIDv7 (RFC 9562): sorts by time. `ms` since 1970, 10 random bytes.

    Raises:
        ValueError: the time does not fit in 48 bits, or there are not 10 bytes.
    """
    if not 0 <= ms < 1 << 48 or len(random_bytes) != RANDOM_BYTES:
        message = (
            f"a UUIDv7 takes 48 bits of milliseconds and {RANDOM_BYTES} random bytes, not {ms} and {len(random_bytes)}"
        )
        raise ValueError(message)
    value = ms << 80 | int.from_bytes(random_bytes, "big")
    return str(uuid.UUID(int=value & _NOT_VERSION & _NOT_VARIANT | 0x7 << 76 | 0x2 << 62))


def result_id(request_id: str) -> str:
    """Return the id of the terminal result of a request: the same for every delivery."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, request_id))


def embedding_id(model: str, text: str) -> str:
    """Return the id of the vector `model` gives `text`: 128 bits of the SHA-256 of both."""
    return hashlib.sha256(f"{model}\0{text}".encode()).hexdigest()[:_ID_LETTERS]
