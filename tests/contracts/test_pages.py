"""Pages over HTTP, from servers of every kind."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from streams.clients.pages import MOST_BYTES, read_page
from streams.errors import PageUnavailable
from tests.loopback.port import on_loopback


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[web.Response], str]]:
    said: list[web.Response] = []
    app = web.Application()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/again":
            raise web.HTTPFound("/again")
        if request.path == "/moved":
            raise web.HTTPMovedPermanently("/page")
        (response,) = said
        return response

    app.router.add_get("/{any:.*}", answer)
    async with on_loopback(app) as url:

        def serving(response: web.Response) -> str:
            said[:] = [response]
            return url

        yield serving


@pytest.mark.parametrize(
    ("content_type", "charset", "media_type"),
    [
        ("text/html", "utf-8", "text/html"),
        ("application/xhtml+xml", "latin-1", "text/html"),
        ("text/markdown", "utf-8", "text/markdown"),
        ("text/plain", "utf-16", "text/plain"),
    ],
)
async def test_a_page_is_read_in_its_own_charset(
    serve: Callable[[web.Response], str], content_type: str, charset: str, media_type: str
) -> None:
    headers = {"Content-Type": f"{content_type}; charset={charset}"}
    url = serve(web.Response(body="Wal-Öl".encode(charset), headers=headers))

    page = await read_page(f"{url}/moved")

    assert (page.text, page.media_type) == ("Wal-Öl", media_type)


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (web.Response(status=404), "404 Not Found"),
        (web.Response(body=b"%PDF", content_type="application/pdf"), "is application/pdf, not text"),
        (web.Response(text="x" * (MOST_BYTES + 1)), "larger than"),
    ],
)
async def test_a_page_that_is_not_to_be_had_says_why(
    serve: Callable[[web.Response], str], response: web.Response, says: str
) -> None:
    with pytest.raises(PageUnavailable, match=says):
        await read_page(serve(response))


async def test_a_charset_nobody_knows_is_read_as_utf_8(serve: Callable[[web.Response], str]) -> None:
    url = serve(web.Response(body=b"text", headers={"Content-Type": "text/plain; charset=nonsense"}))

    assert (await read_page(url)).text == "text"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://", "http://[::1", "http://a b/"])
async def test_an_address_where_nobody_is_says_so(url: str) -> None:
    with pytest.raises(PageUnavailable, match="cannot be read"):
        await read_page(url)


async def test_pages_that_send_each_other_on_are_given_up(serve: Callable[[web.Response], str]) -> None:
    with pytest.raises(PageUnavailable, match="TooManyRedirects"):
        await read_page(f"{serve(web.Response())}/again")
