"""Measures the shipped screen on the held-out part and writes the tables of docs/screen.md: `python -m tests.screening.measure`."""

import asyncio
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from streams.clients.batching import BatchedEncoder
from streams.clients.minilm import MiniLm
from streams.screen import scoring
from streams.screen.screening import Screen
from streams.settings import EmbedSettings, ScreenSettings
from tests.screening.generate import ATTACK, HELD_OUT, Labelled, read
from tests.screening.vectors import Prepared, prepared

PAGE = Path(__file__).parents[2] / "docs" / "screen.md"
MARKS = ("<!-- measured -->", "<!-- end of measured -->")
WORDING_AT = 0.7
CLASSIFIER_AT = 0.9
SIMILAR_AT = 0.7
RULES_AT = 0.6
REFUSE_AT = ScreenSettings().refuse_at
TIMED = 200

Flags = Callable[[Prepared, Sequence[scoring.Scores]], bool]
LAYERS: dict[str, Flags] = {
    f"rules, unquoted, score >= {RULES_AT}": lambda _, said: any(one.rules >= RULES_AT for one in said),
    f"wording >= {WORDING_AT}": lambda _, said: any(one.wording >= WORDING_AT for one in said),
    f"classifier >= {CLASSIFIER_AT}": lambda _, said: any((one.classifier or 0) >= CLASSIFIER_AT for one in said),
    f"similarity >= {SIMILAR_AT}": lambda _, said: any((one.similarity or 0) >= SIMILAR_AT for one in said),
    "concealment": lambda text, _: text.concealed,
    f"**all together, risk >= {REFUSE_AT}**": lambda _, said: any(
        scoring.risk(one, scoring.shipped()) >= REFUSE_AT for one in said
    ),
}


def tables(texts: Sequence[Prepared]) -> Iterable[str]:
    """Yield the lines of the tables."""
    said = {text.labelled.text_id: text.scored(scoring.shipped()) for text in texts}
    attacks = [text for text in texts if text.labelled.label == ATTACK]
    harmless = [text for text in texts if text.labelled.label != ATTACK]
    yield from ("| layer | recall | precision | false alarms |", "|---|---|---|---|")
    for name, flags in LAYERS.items():
        caught = sum(flags(text, said[text.labelled.text_id]) for text in attacks)
        alarms = sum(flags(text, said[text.labelled.text_id]) for text in harmless)
        precision = caught / (caught + alarms) if caught + alarms else 0.0
        yield f"| {name} | {caught / len(attacks):.1%} ({caught} of {len(attacks)}) | {precision:.1%} | {alarms / len(harmless):.1%} ({alarms} of {len(harmless)}) |"  # noqa: E501 - a row
    for title, group, bad in (("attacks", attacks, "caught"), ("harmless texts", harmless, "refused")):
        yield from (
            "",
            f"| family of {title} | texts | {bad} by all together | by the rules alone |",
            "|---|---|---|---|",
        )
        together, rules = LAYERS[list(LAYERS)[-1]], LAYERS[next(iter(LAYERS))]
        for family in sorted({_group(text.labelled) for text in group}):
            own = [text for text in group if _group(text.labelled) == family]
            hits = [sum(flags(text, said[text.labelled.text_id]) for text in own) for flags in (together, rules)]
            yield f"| {family} | {len(own)} | {hits[0]} ({hits[0] / len(own):.0%}) | {hits[1]} |"


def _group(text: Labelled) -> str:
    if text.code != "plain":
        return f"encoded: {text.code}"
    return text.family if text.language == "en" else f"other languages: {text.language}"


async def latencies_ms(texts: Sequence[str], cache_dir: Path) -> Sequence[float]:
    """Return how long the screen takes for one text after the other, none of which it has seen."""
    encoder = BatchedEncoder(MiniLm(EmbedSettings(), cache_dir), EmbedSettings(cache_size=0))
    await encoder.start()
    screen = Screen(encoder, {}, ScreenSettings())
    await screen.look("one to warm up")
    taken: list[float] = []
    for text in texts:
        began = time.perf_counter()
        await screen.look(text)
        taken.append((time.perf_counter() - began) * 1000)
    await encoder.close()
    return taken


def main() -> None:
    """Measure and write."""
    held_out = [text for text in read() if text.part == HELD_OUT]
    with tempfile.TemporaryDirectory() as folder:
        lines = list(tables(prepared(held_out, Path(folder))))
        sample = [text.text for text in held_out[:: max(1, len(held_out) // TIMED)]]
        taken = sorted(asyncio.run(latencies_ms(sample, Path(folder))))
    p50, p95 = statistics.median(taken), taken[int(0.95 * len(taken))]
    when = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}, one text at a time"
    lines += ["", f"One text takes {p50:.1f} ms at the median and {p95:.1f} ms at the 95th percentile"]
    lines += [f"({len(taken)} held-out texts; {when})."]
    page = PAGE.read_text(encoding="utf-8")
    measured = "\n".join([MARKS[0], *lines, MARKS[1]])
    PAGE.write_text(re.sub(f"{MARKS[0]}.*{MARKS[1]}", lambda _: measured, page, flags=re.DOTALL), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
