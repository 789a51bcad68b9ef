"""Measures the shipped screen on the held-out part and writes the tables of docs/screen.md: `python -m tests.screening.measure`."""

import asyncio
import os
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
from tests.screening.generate import ATTACK, EXTERNAL, HARMLESS, HELD_OUT, Labelled, read
from tests.screening.vectors import Prepared, prepared

PAGE = Path(__file__).parents[2] / "docs" / "screen.md"
MARKS = ("<!-- measured -->", "<!-- end of measured -->")
WORDING_AT = 0.7
VECTORS_AT = 0.9
RULES_AT = 0.6
REFUSE_AT = ScreenSettings().refuse_at
TIMED = 200

Flags = Callable[[Prepared, Sequence[scoring.Scores]], bool]
LAYERS: dict[str, Flags] = {
    f"rules, unquoted, score >= {RULES_AT}": lambda _, said: any(one.rules >= RULES_AT for one in said),
    f"wording >= {WORDING_AT}": lambda _, said: any(one.wording >= WORDING_AT for one in said),
    f"windows >= {VECTORS_AT}": lambda _, said: any((one.windows or 0) >= VECTORS_AT for one in said),
    f"sentences >= {VECTORS_AT}": lambda _, said: any((one.sentences or 0) >= VECTORS_AT for one in said),
    "concealment": lambda text, _: text.concealed,
    f"**all together, risk >= {REFUSE_AT}**": lambda _, said: any(
        scoring.risk(one, scoring.shipped()) >= REFUSE_AT for one in said
    ),
}


def tables(own: Sequence[Prepared], external: Sequence[Prepared]) -> Iterable[str]:
    """Yield the lines of the tables: of the held-out part by layer and family, and of texts of other authors."""
    yield from ("| layer | recall | precision | false alarms |", "|---|---|---|---|")
    for name, flags in LAYERS.items():
        yield _row(name, flags, own)
    yield _row("all together, **attacks and harmless texts of other authors**", _together(), external)
    for texts, title in ((own, ""), (external, ", of other authors")):
        for label, bad in ((ATTACK, "caught"), (HARMLESS, "refused")):
            yield from _families([text for text in texts if text.labelled.label == label], f"{label}{title}", bad)


def _row(name: str, flags: Flags, texts: Sequence[Prepared]) -> str:
    hits = {
        label: [flags(one, _said(one)) for one in texts if one.labelled.label == label] for label in (ATTACK, HARMLESS)
    }
    caught, alarms = sum(hits[ATTACK]), sum(hits[HARMLESS])
    precision = caught / (caught + alarms) if caught + alarms else 0.0
    recall = f"{caught / len(hits[ATTACK]):.1%} ({caught} of {len(hits[ATTACK])})"
    return f"| {name} | {recall} | {precision:.1%} | {alarms / len(hits[HARMLESS]):.1%} ({alarms} of {len(hits[HARMLESS])}) |"


def _families(texts: Sequence[Prepared], title: str, bad: str) -> Iterable[str]:
    yield from ("", f"| family: {title} | texts | {bad} by all together | by the rules alone |", "|---|---|---|---|")
    for family in sorted({_group(text.labelled) for text in texts}):
        own = [text for text in texts if _group(text.labelled) == family]
        together, rules = (
            sum(flags(one, _said(one)) for one in own) for flags in (_together(), LAYERS[next(iter(LAYERS))])
        )
        yield f"| {family} | {len(own)} | {together} ({together / len(own):.0%}) | {rules} |"


def _said(text: Prepared) -> Sequence[scoring.Scores]:
    return text.scored(scoring.shipped())


def _together() -> Flags:
    return LAYERS[list(LAYERS)[-1]]


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
    corpus = read()
    held_out = [text for text in corpus if text.part == HELD_OUT]
    with tempfile.TemporaryDirectory() as folder:
        own, external = (
            prepared([text for text in corpus if text.part == part], Path(folder)) for part in (HELD_OUT, EXTERNAL)
        )
        lines = list(tables(own, external))
        sample = [text.text for text in held_out[:: max(1, len(held_out) // TIMED)]]
        load = os.getloadavg()[0]
        taken = sorted(asyncio.run(latencies_ms(sample, Path(folder))))
    p50, p95 = statistics.median(taken), taken[int(0.95 * len(taken))]
    when = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}, load {load:.1f}, one text at a time"
    lines += ["", f"One text takes {p50:.1f} ms at the median and {p95:.1f} ms at the 95th percentile"]
    lines += [f"({len(taken)} held-out texts; {when})."]
    page = PAGE.read_text(encoding="utf-8")
    measured = "\n".join([MARKS[0], *lines, MARKS[1]])
    PAGE.write_text(re.sub(f"{MARKS[0]}.*{MARKS[1]}", lambda _: measured, page, flags=re.DOTALL), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
