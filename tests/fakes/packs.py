"""A source of packs that a test directs."""

import asyncio

from streams.errors import PipelineError
from streams.packs import Pack, Passage


class ScriptedPacks:
    """A `PackSource` of one pack per id, whose version a test changes."""

    def __init__(self, *, error: PipelineError | None = None) -> None:
        self.version = "1"
        self.well = True
        self.error = error
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Semaphore(0)

    async def fetch(self, pack_id: str) -> Pack:
        self.asked.append(pack_id)
        self.arrived.release()
        version = self.version
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        passage = Passage(chunk_id="c", document_id="d", title="", text=f"{pack_id} as of {version}", primary=True)
        return Pack(pack_id=pack_id, version=version, passages=(passage,))
