"""Wiring of compose."""

from agents.compose import rules
from schemas.records import Context, Prompt
from streams.app import App
from streams.emit import Emit
from streams.ports import Tokenizer
from streams.settings import ComposeSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Context],
    writes: Topic[Prompt],
    tokenizer: Tokenizer,
    window_tokens: int,
    settings: ComposeSettings,
) -> None:
    """Write prompts that fit the budget and, with room for the answer, the `window_tokens` of a model."""

    @app.stage(reads, name="compose")
    def compose(context: Context, emit: Emit) -> None:
        emit(writes, rules.prompt(context, tokenizer, rules.budget(context.request, window_tokens, settings)))
