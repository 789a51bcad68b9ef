"""Answers of others, as long as we let them be."""

import httpx


async def bounded(answer: httpx.Response, most_bytes: int, too_long: Exception) -> bytes:
    """Return the body of an answer, uncompressed. Raises `too_long`, as soon as it is."""
    content = bytearray()
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > most_bytes:
            raise too_long
    return bytes(content)
