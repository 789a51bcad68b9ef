"""How well the right passage is found: hit@1, hit@5 and MRR over the labelled questions of the demo's library.

`python -m tests.benchmarks.retrieval` uses the real MiniLM, and the real rules of the `retrieve` stage.
"""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from streams.clients.minilm import MiniLm
from streams.settings import EmbedSettings
from topology.demo import library
from topology.embedded.cache import cache_directory


def main() -> None:
    """Print one table and the questions whose passage is not found first."""
    documents, questions = library.documents(datetime.now(UTC)), library.labelled()
    model = MiniLm(EmbedSettings(), cache_directory("", os.environ))
    passages = np.array(model.vectors([document.text for document in documents]))
    ranks = []
    for labelled, vector in zip(questions, model.vectors([q.question for q in questions]), strict=True):
        order = np.argsort(-(passages @ np.array(vector)))
        ids = [documents[place].document_id for place in order]
        ranks.append(ids.index(labelled.document_id) + 1)
        if ranks[-1] > 1:
            sys.stdout.write(
                f"rank {ranks[-1]:2d}  {labelled.question}  (found {ids[0]}, not {labelled.document_id})\n"
            )
    sys.stdout.write(_table(ranks))


def _table(ranks: Sequence[int]) -> str:
    hits = {k: sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 5)}
    mrr = sum(1 / rank for rank in ranks) / len(ranks)
    return f"{len(ranks)} questions: hit@1 {hits[1]:.3f}, hit@5 {hits[5]:.3f}, MRR {mrr:.3f}\n"


if __name__ == "__main__":
    main()
