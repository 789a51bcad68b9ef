"""Pages of the web, read for their text."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from streams.clients.bounded import bounded
from streams.errors import PageUnavailable

TIMEOUT_S = 30.0  # of a whole page
MOST_BYTES = 4 * 1024 * 1024
MOST_REDIRECTS = 5
MEDIA_TYPES = {
    "text/html": "text/html",
    "application/xhtml+xml": "text/html",
    "text/markdown": "text/markdown",
    "text/plain": "text/plain",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it was sent."""

    text: str
    media_type: str


async def read_page(url: str) -> Page:
    """Return a page of text, Markdown or HTML.

    Raises:
        PageUnavailable: with one sentence that says why.
    """
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(follow_redirects=True, max_redirects=MOST_REDIRECTS, timeout=TIMEOUT_S) as http,
            http.stream("GET", url, headers={"Accept": ", ".join(MEDIA_TYPES)}) as answer,
        ):
            return await _page(answer)
    except TimeoutError as error:
        raise PageUnavailable(f"did not answer within {TIMEOUT_S:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise PageUnavailable(f"cannot be read ({type(error).__name__}: {error})") from error


async def _page(answer: httpx.Response) -> Page:
    if answer.status_code != HTTPStatus.OK:
        raise PageUnavailable(f"answered with {answer.status_code} {answer.reason_phrase}".rstrip())
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in MEDIA_TYPES:
        raise PageUnavailable(f"is {content_type or 'of no named type'}, not text, Markdown or HTML")
    content = await bounded(answer, MOST_BYTES, PageUnavailable(f"is larger than {MOST_BYTES:,} bytes"))
    try:
        text = content.decode(answer.charset_encoding or "utf-8", "replace")
    except LookupError:  # a charset nobody knows
        text = content.decode("utf-8", "replace")
    return Page(text, MEDIA_TYPES[content_type])
