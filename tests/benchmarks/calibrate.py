"""`make calibrate`: the demo's 49 labelled questions, answered by SmolLM2 and `extractive`, judged by the rules and by both.

Writes the table of docs/judging.md. Everything is real but Kafka, which has no part in what a judge says.
"""

import argparse
import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.records import Answer, Origin, TextQuery
from streams.settings import AdmitSettings, CacheSettings, RouteSettings, Settings, StoreSettings
from tests.clock import FixedClock
from topology.calibration import words
from topology.calibration.judging import calibrated
from topology.demo import library
from topology.diagram import drawn
from topology.embedded.cache import cache_directory
from topology.memory import MemoryPipeline
from topology.outside import open_outside
from topology.units import Unit

PAGE = Path(__file__).parents[2] / "docs" / "judging.md"
BEGIN, END = "<!-- written by make calibrate -->", "<!-- end of what make calibrate writes -->"
MODELS = ("smollm2", "extractive")
SETTINGS = replace(
    Settings(),
    store=StoreSettings(uri="memory"),
    admit=AdmitSettings(duplicate_ms=0.0),
    cache=CacheSettings(exact="off", semantic="off"),
    route=RouteSettings(threads=1),  # threads that wait for each other on a busy machine take their time to the timeout
)
UNITS = (Unit.INTAKE, Unit.INFERENCE, Unit.DELIVERY)
USES = {port for stage in drawn(SETTINGS).stages if stage.unit in UNITS for port in stage.uses}
TOKENS = 80
PATIENCE_S = 120.0  # a model on a busy machine


def main() -> None:
    """Ask, judge, print, and write unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=len(library.labelled()), help="fewer, for a quick look")
    parser.add_argument("--dry-run", action="store_true", help="print the table and write nothing")
    given = parser.parse_args()
    began = time.monotonic()
    shown = asyncio.run(_page(given.questions))
    shown += f"\n\nTook {time.monotonic() - began:.0f} s."
    print(shown)
    if not given.dry_run:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{shown}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


async def _page(questions: int) -> str:
    answers = await _answers(questions)
    rows = await calibrated(answers, MODELS, SETTINGS, controls=True, told=lambda *_: None)
    heads = [column.removesuffix("#") for column in words.COLUMNS]
    marks = ["---:" if column.endswith("#") else "---" for column in words.COLUMNS]
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}: "
        f"{len(answers)} answers of {' and '.join(MODELS)} to {questions} questions, each judged as it is and with the answer "
        "to another question in its place."
    )
    table = ["| " + " | ".join(cells) + " |" for cells in (heads, marks, *words.cells(rows))]
    return "\n".join([head, "", *table])


async def _answers(questions: int) -> Sequence[Answer]:
    """Return what the models answer, by the stages themselves."""
    clock = FixedClock(datetime.now(UTC))
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_outside(
                SETTINGS,
                uses=USES,
                data_dir=Path(folder),
                cache_dir=cache_directory("", os.environ),
                tell=lambda _: None,
            ) as outside,
            MemoryPipeline(
                SETTINGS, replace(outside, clock=clock), clock=clock, units=UNITS, patience_s=PATIENCE_S
            ) as pipeline,
        ):
            for document in library.documents(clock.now()):
                await pipeline.put(pipeline.topics.knowledge, document)
            await pipeline.settle()
            for number, row in enumerate(library.labelled()[:questions]):
                for model in MODELS:
                    await pipeline.put(
                        pipeline.topics.texts, _query(f"{number}-{model}", row.question, model, clock.now())
                    )
                await pipeline.settle()
            return pipeline.records(pipeline.topics.answers)


def _query(request_id: str, question: str, model: str, at: datetime) -> TextQuery:
    origin = Origin(request_id=request_id, correlation_id=request_id, event_time=at, deadline=at + timedelta(hours=1))
    return TextQuery(origin=origin, query=question, model=model, max_tokens=TOKENS)


if __name__ == "__main__":
    main()
