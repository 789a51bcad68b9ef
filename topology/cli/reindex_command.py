"""`forgestream reindex`."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streams.clients.providers import encoder_of, store_of
from streams.errors import StartRefused, StoreUnavailable
from streams.settings import Settings
from topology.cli.console import FAILED, Json, print_json, print_table, run, say, settings
from topology.cli.progress import Steps
from topology.embedded.cache import cache_directory
from topology.reindexing import Rebuild, Report

EPILOG = """
**Examples**

`forgestream reindex` fills the collection of the settings from the knowledge topic: after it was lost, or to drop what is not on
the topic any more.

`forgestream reindex --into chunks_v2 --provider sentence-transformers --model intfloat/e5-small-v2` makes a collection with another
model beside the one in use, which goes on answering.

**To switch**, set FORGESTREAM_STORE_COLLECTION and FORGESTREAM_EMBED_* to what was built and restart the workers: each answers from
the old collection with the old model until it stops, and from the new one with the new model from then on. Then run the same command once
more: it goes on where it stopped, with the documents that came in between.

An interrupted run goes on where it stopped. A file of Milvus Lite is open in one process only: stop the workers first.
"""

_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("reindex", epilog=EPILOG)
    def reindex(
        *,
        into: Annotated[
            str | None, typer.Option(help="Collection to fill; that of the settings when left out.", metavar="NAME")
        ] = None,
        provider: Annotated[
            str | None, typer.Option(help="As FORGESTREAM_EMBED_PROVIDER, for this collection.")
        ] = None,
        model: Annotated[str | None, typer.Option(help="As FORGESTREAM_EMBED_MODEL, for this collection.")] = None,
        start_over: Annotated[
            bool, typer.Option("--start-over", help="Index everything again, also what was indexed before.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Rebuild the vector store from the knowledge topic, in place or into a new collection."""
        chosen = _chosen(settings(), into, provider, model)
        data_dir = Path(chosen.embedded.data_dir).expanduser()
        with Steps(quiet=as_json) as steps:
            done = run(lambda: _rebuilt(chosen, data_dir, steps, start_over=start_over))
        print_json(done) if as_json else _show(done)
        if done.left_out:
            raise typer.Exit(FAILED)


def _chosen(read: Settings, into: str | None, provider: str | None, model: str | None) -> Settings:
    if into is not None and not _COLLECTION.fullmatch(into):
        raise typer.BadParameter("a collection has letters, digits and underscores, and begins with none of the digits")
    if (provider or model) and (into is None or into == read.store.collection):
        raise typer.BadParameter("another model needs a collection of its own: --into NAME")
    embed = replace(read.embed, provider=provider or read.embed.provider, model=model or read.embed.model)
    if provider and not model:
        embed = replace(embed, model="")
    chosen = replace(read, embed=embed, store=replace(read.store, collection=into or read.store.collection))
    if chosen.store.uri == "memory" or not (chosen.store.uri or chosen.embedded.data_dir):
        raise StartRefused(
            "this vector store ends with this command; set FORGESTREAM_STORE_URI to a Milvus server or a file, or "
            "FORGESTREAM_EMBEDDED_DATA_DIR as it is for the workers"
        )
    return chosen


async def _rebuilt(chosen: Settings, data_dir: Path, steps: Steps, *, start_over: bool) -> Report:
    encoder = encoder_of(chosen.embed, cache_directory(chosen.embedded.cache_dir, os.environ))
    await encoder.start()
    steps.done(f"embedding model {encoder.model} ready")
    store = store_of(chosen.store, data_dir, encoder.dimension, encoder.model)
    try:
        await store.start()
        steps.done(f"collection {chosen.store.collection} open")
        rebuild = Rebuild(
            chosen, store, encoder, lambda done, total: steps.progress(done, total, f"{total:,} documents looked at")
        )
        return await rebuild.run(start_over=start_over)
    except StoreUnavailable:
        say("what is done is kept: the same command goes on from here")
        raise
    finally:
        await store.close()
        await encoder.close()


def _show(done: Report) -> None:
    print_table(
        f"collection {done.collection}, model {done.model}",
        ["what", "count#"],
        [
            ["documents indexed", f"{done.documents:,}"],
            ["chunks the store has confirmed", f"{done.chunks:,}"],
            ["documents deleted", f"{done.deleted:,}"],
            ["documents that were not on the topic any more", f"{done.stale:,}"],
            ["documents known from an earlier run", f"{done.known_before:,}"],
            ["documents left out", f"{len(done.left_out):,}"],
            ["seconds", f"{done.seconds:.1f}"],
        ],
    )
    for problem in done.left_out[:SHOWN]:
        say(f"left out: {problem}")
