"""MiniLM in CTranslate2 and in OpenVINO against the original, its cache, and the hashing stand-in."""

import asyncio
import importlib.util
import json
import math
import shutil
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streams.clients import minilm_conversion
from streams.clients.hashing import Hashing
from streams.clients.minilm import MiniLm
from streams.clients.minilm_openvino import MiniLmOpenVino
from streams.clients.providers import encoder_of
from streams.errors import ModelMissing
from streams.ports import Vector
from streams.settings import EmbedSettings, Settings

GOLDEN = json.loads((Path(__file__).parent / "golden" / "minilm.json").read_text(encoding="utf-8"))
STRANGE = ("", " \n\t", "\ud800", "\u0000", "🦊" * 5000, "a" * 100_000, "\u202e\u200b")


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", params=["minilm", "minilm-openvino"])
def minilm(request: pytest.FixtureRequest, cache_dir: Path) -> MiniLm | MiniLmOpenVino:
    openvino = request.param == "minilm-openvino"
    model = MiniLmOpenVino(EmbedSettings()) if openvino else MiniLm(EmbedSettings(), cache_dir)
    model.load()
    return model


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True)) / (math.hypot(*left) * math.hypot(*right))


def near(left: Vector, right: Vector) -> bool:
    return cosine(left, right) > 0.9999


@pytest.mark.parametrize("number", range(len(GOLDEN["texts"])), ids=lambda n: ascii(GOLDEN["texts"][n][:20]))
def test_vectors_are_those_of_sentence_transformers(minilm: MiniLm | MiniLmOpenVino, number: int) -> None:
    """Cosine of 0.99 with the original in float32, the one text cut at 256 tokens included; the empty text 0.98."""
    text = GOLDEN["texts"][number]

    (vector,) = minilm.vectors([text])

    assert cosine(vector, GOLDEN["vectors"][number]) >= (0.99 if text else 0.98)


def test_the_golden_vectors_say_where_they_come_from() -> None:
    assert set(GOLDEN["versions"]) == {"sentence-transformers", "transformers", "torch"}
    assert GOLDEN["max_seq_length"] == 256


def test_company_does_not_change_a_vector(minilm: MiniLm | MiniLmOpenVino) -> None:
    """Alone or padded in a batch with far longer texts, in whatever order."""
    together = minilm.vectors(GOLDEN["texts"])
    backwards = minilm.vectors(GOLDEN["texts"][::-1])[::-1]

    for text, one, other in zip(GOLDEN["texts"], together, backwards, strict=True):
        assert near(one, other)
        assert near(one, minilm.vectors([text])[0])


def test_a_longer_neighbour_does_not_change_a_vector(minilm: MiniLm | MiniLmOpenVino) -> None:
    """Last digits differ when attention is multiplied in another order, and rounding to int8 makes much of them."""
    words = (Path(__file__).parent / "golden" / "minilm.py").read_text(encoding="utf-8").split()
    texts = [" ".join(words[start : start + count]) for start in range(0, 60, 6) for count in (3, 7, 20, 60)]
    least = 0.9999 if isinstance(minilm, MiniLm) else 0.998  # which has passes of several shapes

    for text, vector in zip(texts, minilm.vectors(texts), strict=True):
        assert cosine(vector, minilm.vectors([text])[0]) > least


def test_calls_from_many_threads_have_the_vectors_of_one(minilm: MiniLm | MiniLmOpenVino) -> None:
    texts = [text for text in GOLDEN["texts"] for _ in range(4)]
    alone = [minilm.vectors([text])[0] for text in texts]

    with ThreadPoolExecutor(4) as callers:
        assert list(callers.map(lambda text: minilm.vectors([text])[0], texts)) == alone


def test_both_runtimes_say_the_same(cache_dir: Path) -> None:
    texts = [text for text in GOLDEN["texts"] if text]
    one, other = MiniLm(EmbedSettings(), cache_dir).vectors(texts), MiniLmOpenVino(EmbedSettings()).vectors(texts)

    assert all(cosine(*pair) > 0.985 for pair in zip(one, other, strict=True))


def test_openvino_reports_to_nobody() -> None:
    assert MiniLmOpenVino.__module__ in sys.modules  # which imports OpenVINO
    assert sys.modules["openvino_telemetry"] is None


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: ascii(text[:8]))
def test_strange_text_has_a_unit_vector(minilm: MiniLm | MiniLmOpenVino, text: str) -> None:
    (vector,) = minilm.vectors([text])

    assert len(vector) == 384
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-5)


def test_nothing_has_no_vectors(minilm: MiniLm | MiniLmOpenVino) -> None:
    assert list(minilm.vectors([])) == []


def converted(cache_dir: Path) -> Path:
    return minilm_conversion.converted(minilm_conversion.installed(), cache_dir)


def test_a_damaged_cache_is_built_anew(tmp_path: Path) -> None:
    folder = converted(tmp_path)
    weights = folder / "model.bin"
    weights.write_bytes(weights.read_bytes()[:-1000])

    assert converted(tmp_path) == folder

    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert len(MiniLm(EmbedSettings(), tmp_path).vectors(["it works"])[0]) == 384


def test_a_half_finished_cache_is_built_anew(tmp_path: Path) -> None:
    """A start that was killed in the middle leaves no manifest; what it left is replaced."""
    folder = converted(tmp_path)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "config.json").write_text("{}")

    assert converted(tmp_path) == folder

    assert (folder / "manifest.json").is_file()


def test_parallel_starts_agree_on_one_cache(tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def start(_number: int) -> Path:
        together.wait()
        return converted(tmp_path)

    with ThreadPoolExecutor(3) as starts:
        folders = set(starts.map(start, range(3)))

    assert list(tmp_path.iterdir()) == list(folders)


def test_a_cache_that_cannot_be_written_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")

    with pytest.raises(ModelMissing, match="FORGESTREAM_EMBEDDED_CACHE_DIR"):
        converted(tmp_path / "taken")


def test_weights_that_are_not_the_expected_ones_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "model"
    shutil.copytree(minilm_conversion.installed(), source)
    with (source / "model.safetensors").open("r+b") as weights:
        weights.seek(5_000_000)
        weights.write(b"\xff\xff")

    with pytest.raises(ModelMissing, match="not the expected file"):
        minilm_conversion.converted(source, tmp_path / "cache")


@pytest.mark.parametrize("provider", ["minilm", "minilm-openvino"])
async def test_the_settings_name_the_encoder(cache_dir: Path, provider: str) -> None:
    encoder = encoder_of(Settings.read({"FORGESTREAM_EMBED_PROVIDER": provider}).embed, cache_dir)
    await encoder.start()

    near_one, near_other, far = await encoder.encode(["a dog barks", "the puppy is barking", "interest rates rose"])

    assert (encoder.model, encoder.dimension) == ("all-MiniLM-L6-v2", 384)
    assert cosine(near_one, near_other) > 0.5 > cosine(near_one, far)
    await encoder.close()


async def test_the_loop_goes_on_while_the_model_computes(cache_dir: Path) -> None:
    encoder = encoder_of(EmbedSettings(), cache_dir)
    await encoder.start()
    turns = 0
    call = asyncio.ensure_future(encoder.encode([f"{number} " + "many words here " * 80 for number in range(16)]))

    while not call.done():
        turns += 1
        await asyncio.wait([call], timeout=0.001)

    assert turns > 10
    await encoder.close()


@pytest.mark.parametrize("text", [*STRANGE, "words in it"], ids=lambda text: ascii(text[:8]))
def test_hashed_words_make_a_unit_vector_that_is_always_the_same(text: str) -> None:
    (first,), (again,) = Hashing().vectors([text]), Hashing().vectors([text])

    assert first == again
    assert len(first) == 384
    assert math.hypot(*first) == pytest.approx(1.0)


def test_hashed_texts_are_near_when_they_share_words() -> None:
    one, other, far = Hashing().vectors(["the long river Danube", "The river Danube!", "interest rates rose"])

    assert cosine(one, other) > 0.8
    assert cosine(one, far) < 0.2


@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is not None, reason="it is installed")
async def test_sentence_transformers_without_its_package_says_how_to_get_it(tmp_path: Path) -> None:
    encoder = encoder_of(EmbedSettings(provider="sentence-transformers"), tmp_path)

    with pytest.raises(ModelMissing, match="pip install sentence-transformers"):
        await encoder.start()

    await encoder.close()
