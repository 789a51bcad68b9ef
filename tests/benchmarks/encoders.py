"""The embedding model beside the original it was made from, as a scenario like the others."""

import asyncio
import os
import typing
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from sys import executable

from tests.benchmarks import embeddings
from tests.benchmarks.outcome import OURS, Run
from tests.benchmarks.plan import Plan

THREADS = os.cpu_count() or 1
ORIGINAL = "sentence-transformers"


def plans(oracle: str) -> Iterator[Plan]:
    """Yield the scenario; `oracle` is a Python that has sentence-transformers, empty when only our own may have it."""
    measures: dict[str, Callable[[], Mapping[str, object]]] = {
        OURS: lambda: embeddings.bare(THREADS),
        "forgestream, minilm-openvino": lambda: embeddings.bare(THREADS, runtime="openvino"),
        "forgestream, one text a call": lambda: asyncio.run(embeddings.shared(THREADS)),
    }
    python = oracle or (executable if find_spec("sentence_transformers") is not None else "")
    if python:
        measures[ORIGINAL] = lambda: embeddings.oracle(python, THREADS)
    yield Plan(
        name="embeddings",
        title=f"Embeddings of short texts in batches of {embeddings.BATCH}, {THREADS} threads",
        target=">= 2,000 texts/s, < 1 ms for one",
        workers=tuple(measures),
        run=lambda worker: _run(worker, measures[worker]()),
        note="`minilm-openvino` is the same model in another runtime (decision 0053). One text a call is how stages use it: "
        "concurrent calls share batches."
        + ("" if python else " sentence-transformers was not installed; `--oracle PYTHON` names one that has it."),
    )


def _run(worker: str, found: Mapping[str, object]) -> Run:
    figures = {"texts/s": "rate", "CPU ms per text": "cpu_ms", "one text ms": "one_ms"}
    measured = {figure: float(typing.cast("float", found[name])) for figure, name in figures.items()}
    return Run(worker=worker, records=embeddings.TEXTS, figures=measured)
