"""all-MiniLM-L6-v2 in OpenVINO: a lone text in less than a millisecond, where the processor multiplies int8 with AVX-512 VNNI or AMX.

Weights are int8 per row, activations float until a product rounds them. When not to use it: docs/decisions/0053.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

from streams.clients import minilm_conversion
from streams.clients.minilm import FREED_BYTES, PADDED_TOKENS, MiniLm, Vectors, token_ids, tokenizer_of
from streams.clients.minilm_conversion import HEADS, LAYERS, Tensors
from streams.errors import ModelMissing
from streams.ports import Vector
from streams.settings import EmbedSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # OpenVINO would report its import to its makers
try:
    import openvino
    from openvino import opset13 as op
except ModuleNotFoundError as error:
    raise ModelMissing("OpenVINO is not installed; run: pip install 'forgestream[openvino]'") from error

WIDTH = MiniLm.dimension
MASKED = -1e9  # added to the score of a token that only pads
LONE = (12, 24)  # tokens that a pass of one text is padded to: a pass whose shape is fixed beforehand is much shorter
GROUP = 384  # activations are rounded in groups of so many: fewer cost time, more cost accuracy

Passes = SimpleQueue[Any]  # openvino.InferRequest: those that nobody is using
Node = Any  # openvino.Node or Output: operations take and give both


class MiniLmOpenVino:
    """The `EmbeddingModel` of `MiniLm` in another runtime; its vectors are near those of `MiniLm`."""

    name = MiniLm.name
    dimension = WIDTH

    def __init__(self, settings: EmbedSettings) -> None:
        self._threads = settings.threads
        self._loaded: tuple[Tokenizer, _Model] | None = None

    def load(self) -> None:
        """Read the weights and compile them. Raises ModelMissing."""
        if self._loaded is not None:
            return
        source = minilm_conversion.installed()
        minilm_conversion.verify(source)
        tokenizer = tokenizer_of(source)
        epsilon = json.loads((source / "config.json").read_bytes())["layer_norm_eps"]
        np.empty(FREED_BYTES, dtype=np.uint8)  # given back at once: see FREED_BYTES
        self._loaded = tokenizer, _Model(load_file(source / "model.safetensors"), epsilon, self._threads)

    def close(self) -> None:
        """Nothing is open."""

    def vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text; texts of like length share a pass."""
        self.load()
        assert self._loaded is not None  # noqa: S101 - load() has just set it or raised
        tokenizer, model = self._loaded
        ids = token_ids(tokenizer, texts)
        vectors = np.empty((len(ids), self.dimension), dtype=np.float32)
        for group in _groups([len(tokens) for tokens in ids]):
            vectors[group] = model.vectors([ids[position] for position in group])
        return [tuple(vector) for vector in vectors.tolist()]


class _Model:
    """Compiled for any number of texts, and for one of few tokens."""

    def __init__(self, tensors: Mapping[str, Vectors], epsilon: float, threads: int) -> None:
        self._words = tensors["embeddings.word_embeddings.weight"]
        first_kind = tensors["embeddings.token_type_embeddings.weight"][0]
        self._places: Vectors = tensors["embeddings.position_embeddings.weight"] + first_kind
        core = openvino.Core()
        bfloat = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

        def passes(tokens: int) -> Passes:
            settings = {
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": "bf16" if bfloat else "f32",
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
            }
            built = graph(tensors, epsilon, -1 if tokens < 0 else 1, tokens)
            compiled = core.compile_model(built, "CPU", settings)
            unused: Passes = SimpleQueue()
            unused.put(compiled.create_infer_request())
            return unused

        self._many = passes(-1)
        self._lone = {tokens: passes(tokens) for tokens in LONE}

    def vectors(self, ids: Sequence[Sequence[int]]) -> Vectors:
        longest = max(map(len, ids))
        tokens = next((tokens for tokens in LONE if len(ids) == 1 and longest <= tokens), longest)
        passes = self._lone[tokens] if len(ids) == 1 and tokens in self._lone else self._many
        padded = np.zeros((len(ids), tokens), dtype=np.int32)
        real = np.zeros((len(ids), tokens), dtype=np.float32)
        for row, text in enumerate(ids):
            padded[row, : len(text)] = text
            real[row, : len(text)] = 1
        request = passes.get()
        try:
            request.set_input_tensor(0, openvino.Tensor(self._words[padded] + self._places[:tokens]))
            request.set_input_tensor(1, openvino.Tensor(real))
            request.infer()
            return np.array(request.get_output_tensor().data)
        finally:
            passes.put(request)


def _groups(lengths: Sequence[int]) -> Sequence[list[int]]:
    """Positions in groups of like length, each of at most PADDED_TOKENS tokens with its padding."""
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not groups or lengths[position] * (len(groups[-1]) + 1) > PADDED_TOKENS:
            groups.append([])
        groups[-1].append(position)
    return groups


def graph(tensors: Tensors, epsilon: float, texts: int = -1, tokens: int = -1) -> openvino.Model:
    """Build it for so many texts of so many tokens; -1 leaves that open.

    Inputs: float32[texts, tokens, WIDTH], and float32[texts, tokens] that is 1 for a real token and 0 for one that pads.
    """
    embedded = op.parameter([texts, tokens, WIDTH], np.float32)
    real = op.parameter([texts, tokens], np.float32)
    norm, linear = partial(_norm, tensors, epsilon), partial(_linear, tensors)
    mask = op.multiply(op.subtract(op.constant(np.float32(1)), op.unsqueeze(real, _axes(1, 2))), _constant(MASKED))
    hidden = norm("embeddings.LayerNorm", embedded)
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        seen = linear([f"{layer}.attention.output.dense"], _attention(tensors, f"{layer}.attention.self", hidden, mask))
        hidden = norm(f"{layer}.attention.output.LayerNorm", op.add(seen, hidden))
        inner = op.gelu(linear([f"{layer}.intermediate.dense"], hidden), "erf")
        hidden = norm(f"{layer}.output.LayerNorm", op.add(linear([f"{layer}.output.dense"], inner), hidden))
    sums = op.reduce_sum(op.multiply(hidden, op.unsqueeze(real, _axes(2))), _axes(1))
    return openvino.Model([op.normalize_l2(sums, _axes(1), 1e-12, "max")], [embedded, real], "minilm")


def _attention(tensors: Tensors, name: str, hidden: Node, mask: Node) -> Node:
    size = WIDTH // HEADS
    scaled = {f"{name}.query.{part}": tensors[f"{name}.query.{part}"] * size**-0.5 for part in ("weight", "bias")}
    parts = _linear({**tensors, **scaled}, [f"{name}.query", f"{name}.key", f"{name}.value"], hidden)
    heads = op.transpose(op.reshape(parts, _axes(0, 0, 3, HEADS, size), special_zero=True), _axes(2, 0, 3, 1, 4))
    split = op.split(heads, op.constant(np.int64(0)), 3)
    query, key, value = (op.squeeze(split.output(part), _axes(0)) for part in range(3))
    seen = op.scaled_dot_product_attention(query, key, value, mask, _constant(1), causal=False)
    return op.reshape(op.transpose(seen, _axes(0, 2, 1, 3)), _axes(0, 0, WIDTH), special_zero=True)


def _linear(tensors: Tensors, names: list[str], x: Node) -> Node:
    """One product for all the layers that read the same `x`."""
    weights = np.concatenate([tensors[f"{name}.weight"] for name in names])
    bias = np.concatenate([tensors[f"{name}.bias"] for name in names])
    scale = np.abs(weights).max(axis=1, keepdims=True) / 127
    rounded = op.convert(op.constant(np.rint(weights / scale).astype(np.int8)), np.float32)
    product = op.matmul(x, op.multiply(rounded, _constant(scale)), transpose_a=False, transpose_b=True)
    return op.add(product, _constant(bias[None, None]))


def _norm(tensors: Tensors, epsilon: float, name: str, x: Node) -> Node:
    normal = op.mvn(x, _axes(-1), normalize_variance=True, eps=epsilon, eps_mode="inside_sqrt")
    gain, offset = (_constant(tensors[f"{name}.{part}"][None, None]) for part in ("weight", "bias"))
    return op.add(op.multiply(normal, gain), offset)


def _constant(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]] | float) -> Node:
    return op.constant(np.ascontiguousarray(values, dtype=np.float32))


def _axes(*axes: int) -> Node:
    return op.constant(np.array(axes, dtype=np.int64))
