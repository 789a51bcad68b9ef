"""Who is asked next, when, and for how long: pure functions. Retry, fallback and hedge are told apart here."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import PurePosixPath

from schemas.records import CircuitState, Prompt
from streams.errors import ContentRefused, ContextOverflow, PipelineError, ProviderBusy, Transient
from streams.pace import p95_ms
from streams.ports import TIERS, ModelSpec
from streams.settings import NOBODY, RouteSettings, listed

MARGIN_S = 0.02  # a call is given up this long before the deadline, so that its outcome is still reported
LOCAL, STANDARD = TIERS[0], TIERS[2]


def named(names: str, specs: Sequence[ModelSpec]) -> tuple[ModelSpec, ...]:
    """Return the models that a setting lists, in its order; those that cannot be asked are left out."""
    return tuple(dict.fromkeys(spec for name in listed(names) for spec in specs if is_called(spec, name)))


def is_called(spec: ModelSpec, name: str) -> bool:
    """Whether a name of the settings means this model: its own, or its provider's with the provider's name for it."""
    provider, _, argument = name.partition(":")
    known = {spec.name, spec.id} if argument else set()
    return name == spec.name or (
        provider == spec.provider and not known.isdisjoint({argument, PurePosixPath(argument).stem})
    )


def on_refusal(names: str, specs: Sequence[ModelSpec]) -> tuple[ModelSpec, ...] | None:
    """Return who is asked when a model refuses; None for the rest of the chain."""
    if not names.strip():
        return None
    return () if names.strip() == NOBODY else named(names, specs)


def after(
    left: Sequence[ModelSpec],
    failed: ModelSpec,
    error: PipelineError,
    *,
    overflow: Sequence[ModelSpec],
    refusal: Sequence[ModelSpec] | None,
    asked: Collection[str],
) -> tuple[ModelSpec, ...]:
    """Return who is asked after a model has failed, first to last; nobody is asked twice.

    A prompt too long for one model only goes to larger ones. A refusal has a chain of its own where the settings name one.
    """
    if isinstance(error, ContextOverflow):
        larger = (spec for spec in (*overflow, *left) if spec.context_tokens > failed.context_tokens)
        return _once(larger, asked)
    if isinstance(error, ContentRefused) and refusal is not None:
        return _once(refusal, asked)
    return _once(left, asked)


def pause_s(
    error: PipelineError,
    tries: int,
    *,
    spent_s: float,
    left_s: float,
    others: bool,
    chance: float,
    settings: RouteSettings,
) -> float | None:
    """Return how long to wait before the same model is asked again; None when it is not to be.

    Only what is transient is tried again, and never before the provider wishes. While `others` can be asked, a model may
    not take longer by failing than the settings allow.

    Args:
        error: how its last call failed.
        tries: its calls so far.
        spent_s: time since the first of them.
        left_s: time until the deadline.
        others: whether another model can be asked.
        chance: uniform in 0..1, spreads the tries of many requests.
        settings: what is allowed.
    """
    if not isinstance(error, Transient) or isinstance(error, ProviderBusy) or tries >= settings.tries:
        return None
    wished = error.retry_after_s
    pause = settings.retry_pause_s * 2.0 ** (tries - 1) * (0.5 + 0.5 * chance) if wished is None else max(0.0, wished)
    longest = left_s - 2 * MARGIN_S
    if others:
        longest = min(longest, settings.retry_wait_s - spent_s)
    return pause if pause <= longest else None


def patience_s(left_s: float, *, others: bool, settings: RouteSettings) -> float:
    """Return how long a call may take: all that is left, less a reserve for the next model while there is one."""
    reserve_s = min(left_s / 2, settings.reserve_s) if others else MARGIN_S
    return max(0.0, left_s - max(reserve_s, MARGIN_S))


def queue_s(patience_s: float, *, others: bool, settings: RouteSettings) -> float:
    """Return how long a call may wait for its turn: not long while another model can be asked."""
    return min(patience_s, settings.queue_s) if others else max(0.0, patience_s - MARGIN_S)


def waiting_s(prompt: Prompt, at: datetime, settings: RouteSettings) -> float:
    """Return how long a request may wait for the answer to the same question: it may have to ask by itself then."""
    return patience_s((prompt.origin.deadline - at).total_seconds(), others=True, settings=settings)


def too_late(left_s: float) -> bool:
    """Whether what is left is no time to ask a model."""
    return left_s <= 2 * MARGIN_S


def hedge(silent: ModelSpec, left: Sequence[ModelSpec]) -> ModelSpec | None:
    """Return who may be asked besides a silent model: the next of another provider that is at least as good.

    None beside a model of this machine: it is silent because the machine is busy, and a second one would not help.
    """
    if silent.tier == LOCAL:
        return None
    return next((one for one in left if one.provider != silent.provider and _rank(one) >= _rank(silent)), None)


def hedge_after_s(circuit: CircuitState | None, settings: RouteSettings) -> float:
    """Return how long a model may keep silent: its p95 of late, in the whole cluster."""
    usual_ms = p95_ms(circuit.paces) if circuit is not None else None
    return settings.hedge_latest_s if usual_ms is None else min(usual_ms / 1000.0, settings.hedge_latest_s)


def _rank(spec: ModelSpec) -> int:
    """Return the place of its tier; one that we do not know counts as standard."""
    return TIERS.index(spec.tier if spec.tier in TIERS else STANDARD)


def _once(specs: Iterable[ModelSpec], asked: Collection[str]) -> tuple[ModelSpec, ...]:
    return tuple(dict.fromkeys(spec for spec in specs if spec.name not in asked))
