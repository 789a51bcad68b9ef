"""Three providers on loopback in a process of their own, in one weather. Prints the settings that reach them; at SIGTERM, their calls."""

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack

import uvloop

from tests.loopback.cases import CANARIES, SERVERS, reaching
from tests.loopback.serving import serving
from tests.pipeline.storm import PROVIDERS, weathers

SLOW_S, PERIOD_S = 5.0, 3.0


async def main(name: str) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    weather = next(one for one in weathers(SLOW_S, PERIOD_S) if one.name == name)
    async with AsyncExitStack() as stack:
        servers = {kind: await stack.enter_async_context(serving(SERVERS[kind]())) for kind in PROVIDERS}
        environment: dict[str, str] = {}
        for kind, server in servers.items():
            server.mood = weather.moods.get(kind, lambda: None)
            server.thinks_s = weather.thinks.get(kind, 0.0)
            found = reaching(kind, server, CANARIES[:1])
            environment |= {
                f"FORGESTREAM_ROUTE_{name.upper()}": value for name, value in found.items() if name != "models"
            }
        print(json.dumps(environment), flush=True)
        await stop.wait()
        print(json.dumps({kind: len(server.calls) for kind, server in servers.items()}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
