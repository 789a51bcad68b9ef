"""Feedback to DataForge over HTTP, one record a call or many; tests/loopback/dataforge.py is the contract as a server."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus

from schemas.records import Feedback
from streams.clients.dataforge_feedback import PARTS, Body, Part
from streams.clients.dataforge_http import DataForgeHttp
from streams.errors import DataForgeRefused, DataForgeUnavailable, PipelineError
from streams.settings import DataForgeSettings

log = logging.getLogger("forgestream.dataforge")

MEBIBYTE = 1024 * 1024
NO_LISTS = frozenset(str(int(status)) for status in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.UNSUPPORTED_MEDIA_TYPE))
TAKEN = frozenset({HTTPStatus.CREATED, HTTPStatus.CONFLICT})
Fate = PipelineError | None


class DataForge:
    """A `FeedbackSink`."""

    def __init__(self, settings: DataForgeSettings) -> None:
        self._http = DataForgeHttp(settings)
        self._settings = settings
        self._takes_lists = settings.batch_records > 1

    async def start(self) -> None:
        """Nothing to open: connections are made by the first calls."""

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.close()

    async def deliver(self, batch: Sequence[Feedback]) -> Sequence[Fate]:
        """Return what became of each record: None when DataForge has all of it, else why not.

        What has to be tried again is said again as a whole: every call is idempotent on the id of what it says.
        """
        fates: list[Fate] = [None] * len(batch)
        for part in PARTS:
            bodies = {at: part.body(feedback) for at, feedback in enumerate(batch) if fates[at] is None}
            said = {at: body for at, body in bodies.items() if body is not None}
            for places in self._calls(said):
                for at, fate in zip(places, await self._say(part, [said[at] for at in places]), strict=True):
                    fates[at] = fate
        return fates

    def _calls(self, bodies: Mapping[int, Body]) -> Iterator[Sequence[int]]:
        """Yield which bodies go together, within the bounds of a call."""
        most_bytes = self._settings.batch_mb * MEBIBYTE
        places: list[int] = []
        size = 0
        for at, body in bodies.items():
            length = len(json.dumps(body)) if self._takes_lists else 0
            if places and (not self._takes_lists or size + length > most_bytes):
                yield places
                places, size = [], 0
            places.append(at)
            size += length
        if places:
            yield places

    async def _say(self, part: Part, bodies: Sequence[Body]) -> Sequence[Fate]:
        if len(bodies) == 1:
            return [await self._say_one(part, bodies[0])]
        try:
            _, answer = await self._http.post(part.path, bodies)
        except DataForgeUnavailable as error:
            return [error] * len(bodies)
        except DataForgeRefused as error:
            if error.context.get("status") in NO_LISTS:
                log.warning("DataForge takes no lists on %s; every record is a call of its own from now on", part.path)
                self._takes_lists = False
            return [await self._say_one(part, body) for body in bodies]  # so that one of them spoils no other
        return self._each(part, bodies, answer)

    async def _say_one(self, part: Part, body: Body) -> Fate:
        try:
            status, said = await self._http.post(part.path, body)
        except (DataForgeUnavailable, DataForgeRefused) as error:
            return error
        if not acknowledged(part, body, status, said):
            return DataForgeUnavailable(f"the answer of DataForge to {part.path} does not say that it has the record")
        return None

    def _each(self, part: Part, bodies: Sequence[Body], answer: object) -> Sequence[Fate]:
        """Return what the answer to a list says of each record; what it does not name has to be said again."""
        listed = answer.get("results") if isinstance(answer, dict) else answer
        items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
        named = {str(item.get(part.id_field)): item for item in items}
        return [self._fate(part, named.get(str(body[part.id_field]))) for body in bodies]

    def _fate(self, part: Part, item: Mapping[str, object] | None) -> Fate:
        status = None if item is None else item.get("status", int(HTTPStatus.CREATED))
        if item is None or not isinstance(status, int):
            return DataForgeUnavailable(f"the answer of DataForge to {part.path} does not name every record")
        return self._http.judged(part.path, status, str(item.get("detail", "")))


def acknowledged(part: Part, body: Body, status: int, said: object) -> bool:
    """Tell whether DataForge says that it has a record.

    The contract promises a status for that and no words: it is enough unless they contradict it. Any other success has to name the record.
    """
    ours = body[part.id_field]
    if status in TAKEN:
        return said is None or (isinstance(said, dict) and said.get(part.id_field, ours) == ours)
    return isinstance(said, dict) and said.get(part.id_field) == ours
