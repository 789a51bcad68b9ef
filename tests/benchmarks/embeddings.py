"""MiniLM in CTranslate2 and in OpenVINO beside sentence-transformers, on the same texts and cores.

`python -m tests.benchmarks.embeddings [--threads 2] [--oracle <python that has sentence-transformers>]` prints a table.
Each row: texts a second in batches of 64 (best of three runs), the CPU time of a text in them (mean, so that a busy machine
changes it little), and the median of one text alone (best of three).
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from streams.clients import minilm_conversion
from streams.clients.batching import BatchedEncoder
from streams.clients.minilm import MiniLm
from streams.clients.minilm_openvino import MiniLmOpenVino
from streams.settings import EmbedSettings
from topology.embedded.cache import cache_directory

BATCH = 64
TEXTS = 1280
RUNS = 3
ALONE = 200
SUBJECTS = ("river", "bank rate", "white whale", "troy ounce", "old library")
ORACLE = """
import json, sys, time, torch, sentence_transformers
from statistics import median
folder, threads, batch, runs, alone, texts = json.loads(sys.stdin.read())
torch.set_num_threads(threads)
model = sentence_transformers.SentenceTransformer(folder, device="cpu", local_files_only=True)
encode = lambda some: model.encode(some, batch_size=batch, normalize_embeddings=True, show_progress_bar=False)
encode(texts[:batch])
def took(some):
    start = time.perf_counter(); encode(some); return time.perf_counter() - start
cpu = time.process_time()
rate = max(len(texts) / took(texts) for _ in range(runs))
cpu = (time.process_time() - cpu) / runs / len(texts)
one = min(median(took([text]) for text in texts[:alone]) for _ in range(runs))
what = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"
print(json.dumps({"rate": rate, "one_ms": one * 1000, "cpu_ms": cpu * 1000, "what": what}))
"""


def texts() -> Sequence[str]:
    """Distinct short questions, 9 to 11 tokens with the two that frame them."""
    return [f"What about the {SUBJECTS[number % len(SUBJECTS)]} number {number}?" for number in range(TEXTS)]


def took(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def bare(threads: int, *, runtime: str = "ctranslate2") -> Mapping[str, object]:
    """The model alone, called in batches of 64."""
    model = MiniLmOpenVino(EmbedSettings(threads=threads)) if runtime == "openvino" else _model(threads)
    some = texts()
    batches = [some[start : start + BATCH] for start in range(0, TEXTS, BATCH)]
    model.vectors(batches[0])
    cpu = time.process_time()
    rate = max(TEXTS / took(lambda: [model.vectors(batch) for batch in batches]) for _ in range(RUNS))
    cpu_ms = (time.process_time() - cpu) / RUNS / TEXTS * 1000
    one = min(median(took(lambda text=text: model.vectors([text])) for text in some[:ALONE]) for _ in range(RUNS))  # type: ignore[misc]
    return {
        "rate": rate,
        "one_ms": one * 1000,
        "cpu_ms": cpu_ms,
        "what": f"MiniLM int8, {runtime} {version(runtime)}",
    }


async def shared(threads: int) -> Mapping[str, object]:
    """As stages use it: 1,280 concurrent calls of one text, batched on the way."""
    encoder, some = BatchedEncoder(_model(threads), EmbedSettings(cache_size=0)), texts()
    await encoder.start()
    rates, ones, cpu = [], [], 0.0
    for _ in range(RUNS):
        start, cpu_start = time.perf_counter(), time.process_time()
        await asyncio.gather(*(encoder.encode([text]) for text in some))
        rates.append(TEXTS / (time.perf_counter() - start))
        cpu += time.process_time() - cpu_start
        alone = []
        for text in some[:ALONE]:
            start = time.perf_counter()
            await encoder.encode([text])
            alone.append(time.perf_counter() - start)
        ones.append(median(alone))
    await encoder.close()
    what = "the same behind BatchedEncoder, one text a call"
    return {"rate": max(rates), "one_ms": min(ones) * 1000, "cpu_ms": cpu / RUNS / TEXTS * 1000, "what": what}


def oracle(python: str, threads: int) -> Mapping[str, object]:
    """The original, in the environment that has it."""
    asked = json.dumps([str(minilm_conversion.installed()), threads, BATCH, RUNS, ALONE, texts()])
    done = subprocess.run([python, "-c", ORACLE], input=asked, capture_output=True, text=True, check=True)
    answer: Mapping[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _model(threads: int) -> MiniLm:
    model = MiniLm(EmbedSettings(threads=threads), cache_directory("", os.environ))
    model.load()
    return model


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} x {names[0] if names else platform.processor()}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each model")
    parser.add_argument("--oracle", default="", help="python that has sentence-transformers")
    chosen = parser.parse_args()
    rows = [bare(chosen.threads), bare(chosen.threads, runtime="openvino"), asyncio.run(shared(chosen.threads))]
    rows += [oracle(chosen.oracle, chosen.threads)] if chosen.oracle else []
    print(f"{datetime.now(UTC):%Y-%m-%d}, {_cpu()}, {chosen.threads} threads, python {platform.python_version()}\n")
    print("| what | texts/s in batches of 64 | CPU ms per text | one text alone, ms |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['what']} | {row['rate']:,.0f} | {row['cpu_ms']:.2f} | {row['one_ms']:.2f} |")


if __name__ == "__main__":
    main()
