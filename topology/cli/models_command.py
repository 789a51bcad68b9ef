"""`forgestream models`."""

import os
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

import typer

from agents.route.rules import cost_usd
from schemas.records import Chunk
from streams.clients.models.offers import Offer, offers
from streams.clients.models.registry import OwnedModel, Registry
from streams.ports import Ask, Finish, Piece
from topology.cli.console import Json, print_json, print_table, run, say, settings
from topology.embedded.cache import cache_directory

EPILOG = """
**Examples**

`forgestream models` lists every model that is known, its window and price, and what keeps it from being asked.

`forgestream models try claude-haiku-5-5 "Why is the sky blue?"` asks one model, whether or not it is in the chain.

`forgestream models try extractive "How long is it?" --context "The Danube is 2,850 km long."`

`FORGESTREAM_ROUTE_MODELS=claude-haiku-5-5,smollm2` makes a chain; docs/providers.md explains keys, servers and catalogue.
"""
SYSTEM = "Answer briefly and plainly."


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One answer, with what it took."""

    model: str
    provider: str
    text: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    ttft_ms: float
    latency_ms: float
    tokens_per_s: float


def register(app: typer.Typer) -> None:
    """Add the commands."""
    models = typer.Typer(
        help="Models: which there are, what they cost, what keeps one from being asked; and try one.",
        epilog=EPILOG,
        rich_markup_mode="markdown",
        invoke_without_command=True,
    )
    models.callback(epilog=EPILOG)(show)
    models.command("try", epilog=EPILOG)(try_one)
    app.add_typer(models, name="models")


def show(context: typer.Context, *, as_json: Json = False) -> None:
    """Every model of the chain and of the catalogue: window, price, tier, domains, and whether it can be asked."""
    if context.invoked_subcommand is not None:
        return
    found = offers(settings().route)
    if as_json:
        print_json(found)
        return
    print_table(
        "Models",
        ["chain#", "name", "provider", "tier", "window#", "$/M in#", "$/M out#", "domains", "state"],
        [
            [
                str(one.place or ""),
                one.name,
                one.provider,
                one.tier,
                f"{one.context_tokens:,}" if one.context_tokens else "?",
                f"{one.usd_per_million_in:g}",
                f"{one.usd_per_million_out:g}",
                ", ".join(one.domains),
                _state(one),
            ]
            for one in found
        ],
    )


def try_one(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As listed, or provider:model.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask.")],
    *,
    context: Annotated[str, typer.Option("--context", help="A passage to answer from.")] = "",
    system: Annotated[str, typer.Option("--system", help="Instructions.")] = SYSTEM,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Most tokens of the answer.")] = 256,
    temperature: Annotated[float, typer.Option("--temperature", min=0, max=2, help="Sampling temperature.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Ask one model, as the router would: no Kafka, no other stage. Prints the answer as it is written."""
    read = settings()
    model = Registry(read.route, cache_dir=cache_directory(read.embedded.cache_dir, os.environ)).model(name)
    ask = Ask(
        request_id=str(uuid4()),
        system=system,
        user=f"Context: {context}\n\nQuestion: {question}" if context else question,
        query=question,
        chunks=(_chunk(context),) if context else (),
        max_tokens=max_tokens,
        temperature=temperature,
    )
    trial = run(lambda: _tried(model, ask, (lambda _: None) if as_json else _write))
    if as_json:
        print_json(trial)
        return
    typer.echo()
    say(
        f"{trial.model} ({trial.provider}): {trial.finish_reason}, {trial.input_tokens} tokens in, "
        f"{trial.output_tokens} out, ${trial.cost_usd:.6f}, first token after {trial.ttft_ms:.0f} ms, "
        f"{trial.latency_ms:.0f} ms in all, {trial.tokens_per_s:.0f} tokens/s"
    )


async def _tried(model: OwnedModel, ask: Ask, write: Callable[[str], None]) -> Trial:
    """Ask once. Raises ProviderUnavailable, ProviderRefused and ModelMissing."""
    parts: list[str] = []
    finish = Finish(finish_reason="", input_tokens=0, output_tokens=0)
    try:
        await model.start()
        started = first = time.monotonic()
        async with aclosing(model.stream(ask)) as events:  # type: ignore[type-var] # every stream is a generator
            async for event in events:
                if isinstance(event, Piece):
                    first = first if parts else time.monotonic()
                    parts.append(event.text)
                    write(event.text)
                else:
                    finish = event
        ended = time.monotonic()
    finally:
        await model.close()
    return Trial(
        model=model.spec.name,
        provider=model.spec.provider,
        text="".join(parts),
        finish_reason=finish.finish_reason,
        input_tokens=finish.input_tokens,
        output_tokens=finish.output_tokens,
        cost_usd=cost_usd(model.spec, finish.input_tokens, finish.output_tokens),
        ttft_ms=(first - started) * 1000,
        latency_ms=(ended - started) * 1000,
        tokens_per_s=finish.output_tokens / (ended - first) if ended > first else 0.0,
    )


def _chunk(context: str) -> Chunk:
    return Chunk(
        chunk_id="given",
        document_id="given",
        title="",
        text=context,
        source="static",
        similarity=1.0,
        relevance=1.0,
        kept=True,
        reason="given",
    )


def _write(text: str) -> None:
    typer.echo(text, nl=False)


def _state(one: Offer) -> str:
    if one.problem:
        return one.problem
    keys = f"{one.keys} key{'s' if one.keys > 1 else ''}" if one.keys else ""
    return ", ".join(part for part in ("ready", keys, one.url) if part)
