"""HTTP to model providers: pooled, bounded in bytes, and nothing taken from the environment of the shell."""

from collections.abc import AsyncIterator

import httpx2

from streams.settings import RouteSettings

MIB = 1024 * 1024
WRITE_S = 30.0


def http_client(settings: RouteSettings) -> httpx2.AsyncClient:
    """Return a client whose calls wait without end for an answer: `Remote` limits that, token by token."""
    return httpx2.AsyncClient(
        transport=Bounded(settings),
        timeout=timeout(settings),
        follow_redirects=False,  # a redirect would carry the key elsewhere
        trust_env=False,
    )


def timeout(settings: RouteSettings) -> httpx2.Timeout:
    """Return the limits that the connection itself has."""
    return httpx2.Timeout(connect=settings.connect_s, read=None, write=WRITE_S, pool=None)


class Bounded(httpx2.AsyncBaseTransport):
    """Ends an answer that is larger than any answer can be. Compressed ones are not taken: their size is unknown."""

    def __init__(self, settings: RouteSettings) -> None:
        self._most = int(settings.answer_mb * MIB)
        self._inner = httpx2.AsyncHTTPTransport(
            limits=httpx2.Limits(max_connections=settings.connections, max_keepalive_connections=settings.connections),
            proxy=settings.proxy or None,
            trust_env=False,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Raises httpx2.HTTPError."""
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.DecodingError("the answer is compressed", request=request)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Counted(response.stream, self._most, request)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int, request: httpx2.Request) -> None:
        self._stream = stream
        self._most = most
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise httpx2.RemoteProtocolError("the answer is too large", request=self._request)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
