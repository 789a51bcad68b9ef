"""What a GGUF file says about itself: its metadata, and from that its own tokenizer, exact to the token.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from streams.clients.models.tokens import readable
from streams.errors import ModelMissing

MAGIC = b"GGUF"
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
LONGEST = 1 << 26  # bytes of a string, entries of an array: beyond it the file is damaged
CONTROL = 3  # token_type of tokens that are commands to the model, not text
GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def metadata(path: Path) -> Mapping[str, object]:
    """Read the metadata of a GGUF file. Raises ModelMissing when it is none."""
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise ModelMissing(f"{path} is not a GGUF file")
            _version, _tensors, entries = numbers(file, "<IQQ")
            return {string(file): value(file, int(numbers(file, "<I")[0])) for _ in range(_checked(entries))}
    except OSError as error:
        raise ModelMissing(f"cannot read the model {path} ({error.strerror})") from error
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise ModelMissing(f"{path} is damaged; install it again") from error


class GgufTokenizer:
    """The tokenizer inside a GGUF file (byte-level BPE, as of GPT-2 and SmolLM); read on first use."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._path = path
        self._lock = threading.Lock()
        self._loaded: tuple[Tokenizer, tuple[str, ...]] | None = None

    def count(self, text: str) -> int:
        """Return the number of tokens of the text, taken as text: words such as `<|im_end|>` are no commands here."""
        return len(self.load()[0].encode(readable(text), add_special_tokens=False).ids)

    def as_text(self, text: str) -> str:
        """Break up what the model would take for its own control tokens, so that a text cannot end its own turn."""
        for control in self.load()[1]:
            text = text.replace(control, f"{control[0]} {control[1:]}")
        return text

    def load(self) -> tuple[Tokenizer, tuple[str, ...]]:
        """Read the file once. Raises ModelMissing."""
        with self._lock:
            self._loaded = self._loaded or _tokenizer(self._path)
            return self._loaded


def _tokenizer(path: Path) -> tuple[Tokenizer, tuple[str, ...]]:
    found = metadata(path)
    words, merges, types = (found.get(f"tokenizer.ggml.{part}") for part in ("tokens", "merges", "token_type"))
    kind, splitting = found.get("tokenizer.ggml.model"), found.get("tokenizer.ggml.pre")
    if not (isinstance(words, list) and isinstance(merges, list) and isinstance(types, list)) or kind != "gpt2":
        raise ModelMissing(f"{path} has a tokenizer of the kind {kind}; only byte-level BPE (gpt2) is supported")
    if splitting not in {"smollm", "gpt-2"}:
        raise ModelMissing(f"{path} splits words the way of {splitting}; only smollm and gpt-2 are supported")
    tokenizer = Tokenizer(
        models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[_pair(merge) for merge in merges])
    )
    steps = [
        pre_tokenizers.Split(Regex(GPT2_WORDS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    if splitting == "smollm":
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return tokenizer, tuple(word for word, token_type in zip(words, types, strict=True) if token_type == CONTROL)


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    return left, right


def numbers(file: BinaryIO, layout: str) -> tuple[int | float | bool, ...]:
    """Read numbers laid out as `struct` says. Raises struct.error."""
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _checked(length: float) -> int:
    if length > LONGEST:
        raise ValueError(length)
    return int(length)


def string(file: BinaryIO) -> str:
    """Read a text. Raises ValueError."""
    length = _checked(numbers(file, "<Q")[0])
    content = file.read(length)
    if len(content) < length:
        raise ValueError(length)
    return content.decode("utf-8")


def value(file: BinaryIO, kind: int) -> object:
    """Read a value of the metadata. Raises struct.error, KeyError, ValueError."""
    if kind == STRING:
        return string(file)
    if kind == ARRAY:
        entry_kind, length = numbers(file, "<IQ")
        return [value(file, int(entry_kind)) for _ in range(_checked(length))]
    return numbers(file, f"<{SCALARS[kind]}")[0]
