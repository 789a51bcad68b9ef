"""How long smollm2 reads before its first word, with the opening of its instructions kept read and without, in turns.

`python -m tests.benchmarks.opening [--asks 12] [--threads 1]` prints a table (docs/decisions/0054).
"""

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median

from agents.compose import adapters
from schemas.records import Chunk, Domain, Task
from streams.clients.models.registry import Registry
from streams.ports import Ask, Finish, Model
from streams.settings import RouteSettings
from topology.demo import library
from topology.embedded.cache import cache_directory

QUESTION, DOCUMENT = "How many hearts does an octopus have?", "octopus"


def asked(number: int) -> Ask:
    """Return what the demo asks first, for one request of many."""
    document = next(found for found in library.documents(datetime.now(UTC)) if found.document_id == DOCUMENT)
    passage = Chunk(
        chunk_id=DOCUMENT,
        document_id=DOCUMENT,
        title=document.title,
        text=document.text,
        source="vector_store",
        similarity=1.0,
        relevance=1.0,
        kept=True,
        reason="",
    )
    request_id = f"request-{number}"
    canary = adapters.canary(request_id)
    system = adapters.system(Domain.GENERAL, Task.ANALYSIS, canary)
    return Ask(
        request_id=request_id,
        system=system,
        user=adapters.user(QUESTION, [passage], request_id),
        query=QUESTION,
        chunks=(passage,),
        max_tokens=8,
        temperature=0.0,
        opening=system.partition(canary)[0],
    )


async def took(model: Model, ask: Ask) -> tuple[float, int]:
    """Seconds to the first piece, and tokens of the prompt."""
    began, first, tokens = time.perf_counter(), 0.0, 0
    async for event in model.stream(ask):
        first = first or time.perf_counter() - began
        tokens = event.input_tokens if isinstance(event, Finish) else tokens
    return first, tokens


async def measured(asks: int, threads: int) -> Sequence[tuple[str, float, float]]:
    """Return for each way the median of its seconds and of its tokens."""
    model = Registry(RouteSettings(threads=threads), cache_dir=cache_directory("", os.environ)).model("smollm2")
    await model.start()
    rounds = [asked(number) for number in range(asks)]
    await took(model, rounds[0])
    kept = [await took(model, ask) for ask in rounds[: asks // 2]]
    whole = [await took(model, replace(ask, opening="")) for ask in rounds]
    await took(model, rounds[0])
    kept += [await took(model, ask) for ask in rounds[asks // 2 :]]
    await model.close()
    return [
        (name, median(seconds for seconds, _ in rows), median(tokens for _, tokens in rows))
        for name, rows in (("read whole", whole), ("opening kept read", kept))
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--asks", type=int, default=12, help="of each way")
    parser.add_argument("--threads", type=int, default=1, help="of the model")
    given = parser.parse_args()
    rows = asyncio.run(measured(given.asks, given.threads))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {given.threads} thread(s)\n"
    )
    print("| prompt | tokens | to the first word, s |\n|---|---:|---:|")
    for name, seconds, tokens in rows:
        print(f"| {name} | {tokens:.0f} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
