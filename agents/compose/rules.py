"""Which passages go into the prompt: whole ones only, the best first, never over the budget."""

from collections.abc import Sequence
from dataclasses import replace

from agents.compose import adapters
from schemas.records import Chunk, Context, Prompt, Request
from streams.errors import RequestInvalid
from streams.ports import Tokenizer
from streams.settings import ComposeSettings

OVER_BUDGET = "over_budget"
TEMPLATE_TOKENS = 64  # what a model's own chat template adds around system and user


def budget(request: Request, window_tokens: int, settings: ComposeSettings) -> int:
    """Return how many tokens the prompt may have: the setting, or what the model's window leaves beside the answer."""
    return min(settings.budget_tokens, window_tokens - request.max_tokens - TEMPLATE_TOKENS)


def prompt(context: Context, tokenizer: Tokenizer, budget_tokens: int) -> Prompt:
    """Return the prompt with as many passages as fit, best first; one that does not fit makes room for the next.

    Raises:
        RequestInvalid: the question alone is over the budget.
    """
    request, request_id = context.request, context.origin.request_id
    canary = adapters.canary(request_id)
    system = adapters.system(request.domain, request.task, canary)
    system_tokens = tokenizer.count(system)

    def rendered(chunks: Sequence[Chunk]) -> tuple[str, int]:
        text = adapters.user(request.query, chunks, request_id)
        return text, system_tokens + tokenizer.count(text)

    fitting = [chunk for chunk in context.chunks if chunk.kept]
    user, tokens = rendered(fitting)
    if tokens > budget_tokens:
        candidates, fitting = fitting, []
        user, tokens = rendered(fitting)
        if tokens > budget_tokens:
            raise RequestInvalid(
                [f"query takes {tokens:,} tokens with its instructions; at most {budget_tokens:,} fit"]
            )
        for chunk in candidates:
            larger_user, larger_tokens = rendered([*fitting, chunk])
            if larger_tokens <= budget_tokens:
                fitting, user, tokens = [*fitting, chunk], larger_user, larger_tokens
    return Prompt(
        origin=context.origin,
        request=request,
        chunks=_decided(context.chunks, fitting),
        system=system,
        user=user,
        prompt_version=adapters.version(request.domain),
        tokens=tokens,
        tokenizer=tokenizer.name,
        canary=canary,
        pack_version=context.pack_version,
        degradations=context.degradations,
    )


def _decided(chunks: Sequence[Chunk], fitting: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """Mark the kept passages that do not fit as dropped."""
    inside = {id(chunk) for chunk in fitting}
    return tuple(
        chunk if not chunk.kept or id(chunk) in inside else replace(chunk, kept=False, reason=OVER_BUDGET)
        for chunk in chunks
    )
