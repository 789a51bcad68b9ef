"""What goes into the prompt: whole passages only, the best first, and the newest turns; never over the budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agents.compose import adapters
from schemas.records import Chunk, Context, Prompt, Request, Turn
from streams.errors import RequestInvalid
from streams.ports import Tokenizer
from streams.settings import ComposeSettings

OVER_BUDGET = "over_budget"
PRIMARY_OVER_BUDGET = "context_pack_primary_over_budget"
TEMPLATE_TOKENS = 64  # what a model's own chat template adds around system and user


def budget(request: Request, window_tokens: int, settings: ComposeSettings) -> int:
    """Return how many tokens the prompt may have: the setting, or what the model's window leaves beside the answer."""
    return min(settings.budget_tokens, window_tokens - request.max_tokens - TEMPLATE_TOKENS)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a prompt shows. Turns are the newest ones, oldest first."""

    chunks: tuple[Chunk, ...] = ()
    turns: tuple[Turn, ...] = ()
    persona: str = ""


def prompt(context: Context, tokenizer: Tokenizer, budget_tokens: int) -> Prompt:
    """Return the prompt with as much as fits: passages best first, the newest turns of the conversation, who asks.

    Nothing is shortened: what does not fit makes room for the next. The first passage goes before the conversation, the
    newest turn before further passages, and these before older turns.

    Raises:
        RequestInvalid: the question alone is over the budget.
    """
    request, request_id = context.request, context.origin.request_id
    canary = adapters.canary(request_id)
    system = adapters.system(request.domain, request.task, canary)
    system_tokens = tokenizer.count(system)

    def written(draft: _Draft) -> tuple[str, int]:
        text = adapters.user(request.query, draft.chunks, request_id, turns=draft.turns, persona=draft.persona)
        return text, system_tokens + tokenizer.count(text)

    everything = _Draft(tuple(chunk for chunk in context.chunks if chunk.kept), request.history, context.persona)
    draft, (user, tokens) = everything, written(everything)
    if tokens > budget_tokens:
        draft = _fitting(everything, lambda tried: written(tried)[1] <= budget_tokens)
        user, tokens = written(draft)
    if tokens > budget_tokens:
        raise RequestInvalid([f"query takes {tokens:,} tokens with its instructions; at most {budget_tokens:,} fit"])
    chunks = _decided(context.chunks, draft.chunks)
    left_out = any(chunk.primary and chunk.reason == OVER_BUDGET for chunk in chunks)
    return Prompt(
        origin=context.origin,
        request=request,
        chunks=chunks,
        system=system,
        user=user,
        prompt_version=adapters.version(request.domain, turns=draft.turns, persona=draft.persona),
        tokens=tokens,
        tokenizer=tokenizer.name,
        canary=canary,
        pack_version=context.pack_version,
        degradations=(*context.degradations, PRIMARY_OVER_BUDGET) if left_out else context.degradations,
        turns=len(draft.turns),
        mark=adapters.mark(user),
    )


def _fitting(everything: _Draft, fits: Callable[[_Draft], bool]) -> _Draft:
    """Return the part of `everything` that fits, the question alone if nothing does."""
    draft = _Draft()
    waiting = list(everything.chunks)
    while waiting and (waiting[0].primary or not draft.chunks):
        draft = _larger(draft, replace(draft, chunks=(*draft.chunks, waiting.pop(0))), fits)
    draft = _larger(draft, replace(draft, persona=everything.persona), fits)
    draft = _larger(draft, replace(draft, turns=everything.turns[-1:]), fits)
    for chunk in waiting:
        draft = _larger(draft, replace(draft, chunks=(*draft.chunks, chunk)), fits)
    while draft.turns and len(draft.turns) < len(everything.turns):
        longer = _larger(draft, replace(draft, turns=everything.turns[-len(draft.turns) - 1 :]), fits)
        if longer is draft:
            break
        draft = longer
    return draft


def _larger(draft: _Draft, tried: _Draft, fits: Callable[[_Draft], bool]) -> _Draft:
    return tried if fits(tried) else draft


def _decided(chunks: Sequence[Chunk], fitting: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """Mark the kept passages that do not fit as dropped."""
    inside = {id(chunk) for chunk in fitting}
    return tuple(
        chunk if not chunk.kept or id(chunk) in inside else replace(chunk, kept=False, reason=OVER_BUDGET)
        for chunk in chunks
    )
