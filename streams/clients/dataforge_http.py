"""Calls of DataForge: key, version of the contract, and what its answers mean."""

from collections.abc import Sequence
from http import HTTPStatus

from streams.clients.json_http import WRONG_KEY, Answer, Json, JsonHttp, System
from streams.errors import DataForgeRefused, DataForgeUnavailable, PackNotFound, PipelineError
from streams.settings import DataForgeSettings

VERSION = "1"  # of the contract, sent as Accept-Version
DATAFORGE = System(
    name="DataForge",
    setting="FORGESTREAM_DATAFORGE_URL",
    key_setting="FORGESTREAM_DATAFORGE_API_KEY",
    unavailable=DataForgeUnavailable,
    refused=DataForgeRefused,
)


class DataForgeHttp:
    """The connections to one DataForge."""

    def __init__(self, settings: DataForgeSettings) -> None:
        self._version = VERSION
        self._http = JsonHttp(
            DATAFORGE,
            settings.url,
            headers={"X-API-Key": settings.api_key} if settings.api_key else {},
            timeout_s=settings.timeout_s,
            parallel=settings.parallel,
        )

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.close()

    async def get(self, path: str) -> Json:
        """Return what DataForge says.

        Raises:
            PackNotFound: it has nothing there.
            DataForgeUnavailable, DataForgeRefused: as for `post`; a key that is not taken is refused, for a request waits for the answer.
        """
        answer = await self._negotiated("GET", path, None)
        if answer.status in WRONG_KEY:
            raise DataForgeRefused(f"DataForge does not take our key for {path}: check {DATAFORGE.key_setting}")
        if answer.status == HTTPStatus.NOT_FOUND:
            raise PackNotFound(f"DataForge has no {path}")
        said = self._http.said(path, answer)
        if said is None:
            raise DataForgeUnavailable(f"the answer of DataForge to {path} is empty")
        return said

    async def post(self, path: str, body: Json) -> tuple[int, Json]:
        """Send a body; return the status and what is said. A conflict means that it was sent before.

        Raises:
            DataForgeUnavailable: it did not answer, not in time, not in its own language, or does not take our key; try later.
            DataForgeRefused: it will never take this.
        """
        answer = await self._negotiated("POST", path, body)
        return answer.status, self._http.said(path, answer)

    async def alive(self, path: str) -> bool:
        """Tell whether anybody who is well answers there."""
        try:
            return (await self._sent("GET", path, None)).status < HTTPStatus.INTERNAL_SERVER_ERROR
        except DataForgeUnavailable:
            return False
        except DataForgeRefused:  # of endless length, but an answer
            return True

    def judged(self, path: str, status: int, quoted: str) -> PipelineError | None:
        """Return what a status within an answer means, None for success."""
        return self._http.judged(path, status, quoted)

    async def _negotiated(self, method: str, path: str, body: Json | None) -> Answer:
        """Send once; again when DataForge names a version of the contract that is like ours."""
        answer = await self._sent(method, path, body)
        if answer.status != HTTPStatus.NOT_ACCEPTABLE:
            return answer
        spoken = _versions(answer)
        known = [version for version in spoken if version.partition(".")[0] == VERSION]
        if not known or known[-1] == self._version:
            raise DataForgeRefused(
                f"DataForge speaks versions {', '.join(spoken) or 'it does not name'} of the contract, not {VERSION}",
                context={"status": str(answer.status)},
            )
        self._version = known[-1]
        return await self._sent(method, path, body)

    async def _sent(self, method: str, path: str, body: Json | None) -> Answer:
        return await self._http.sent(method, path, body, {"Accept-Version": self._version})


def _versions(answer: Answer) -> Sequence[str]:
    """Return the versions DataForge says it speaks, oldest first; none when it names none."""
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        said = None
    named = said.get("versions") if isinstance(said, dict) else None
    found = named if isinstance(named, list) else answer.headers.get("accept-version", "").split(",")
    numbers = [text.strip() for text in found if isinstance(text, str)]
    return sorted((text for text in numbers if text.replace(".", "").isdigit()), key=_ordinal)


def _ordinal(version: str) -> list[int]:
    return [int(number) for number in version.split(".") if number]
