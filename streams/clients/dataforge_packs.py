"""Context packs of DataForge over HTTP, and whether it is well."""

import asyncio
import logging
from urllib.parse import quote

from streams.clients.dataforge_http import DataForgeHttp
from streams.clients.json_http import check_address
from streams.clients.pack_reading import pack_of
from streams.endless import Endless
from streams.packs import Pack
from streams.settings import DataForgeSettings

log = logging.getLogger("forgestream.dataforge")

PACKS = "/df/rag/context-pack/"


class DataForgePacks:
    """A `PackSource`. Between requests its health is looked at, so that no request has to find out that it is down.

    Raises:
        SettingsInvalid: an address is none.
    """

    def __init__(self, settings: DataForgeSettings) -> None:
        check_address("FORGESTREAM_DATAFORGE_HEALTH_PATH", settings.health_path)
        self._http = DataForgeHttp(settings)
        self._health_path = settings.health_path
        self._health_s = settings.health_s
        self._well = True
        self._looking = Endless(self._look, name="health of DataForge")

    @property
    def well(self) -> bool:
        """Tell whether the newest look at its health found it well; True before the first."""
        return self._well

    async def start(self) -> None:
        """Begin to look at its health; DataForge being down stops no worker."""
        if self._health_s > 0:
            self._looking.start()

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._looking.close()
        await self._http.close()

    async def fetch(self, pack_id: str) -> Pack:
        """Return a pack; see `PackSource`."""
        return pack_of(pack_id, await self._http.get(PACKS + quote(pack_id, safe="")))

    async def _look(self) -> None:
        while True:
            well = await self._http.alive(self._health_path)
            if well is not self._well:
                log.log(
                    logging.INFO if well else logging.WARNING, "DataForge is %s", "well again" if well else "not well"
                )
            self._well = well
            await asyncio.sleep(self._health_s)
