"""What concurrent callers of an encoder may rely on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from streams.clients.batching import WAITING_BATCHES, BatchedEncoder
from streams.errors import PipelineError, ProviderRefused, ProviderUnavailable
from streams.ports import Vector
from streams.settings import EmbedSettings


class GatedModel:
    """Its vectors are the lengths of the texts; it works while its gate is open, and fails on some words."""

    name = "gated"
    dimension = 1

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def load(self) -> None:
        pass

    def close(self) -> None:
        pass

    def vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.batches.append(list(texts))
        self.entered.set()
        assert self.gate.wait(10)
        if "bad" in texts:
            raise RuntimeError("out of memory")
        if "short" in texts:
            return []
        if "refused" in texts:
            raise ProviderRefused("there is a word in it that is not taken")
        if "bug" in texts:
            raise IndexError("index out of range in self")
        if "odd" in texts:
            return Odd(texts)  # type: ignore[return-value]
        return [(float(len(text)),) for text in texts]


class Odd:
    """Has a length and nothing else."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)


@pytest.fixture
def model() -> GatedModel:
    return GatedModel()


@pytest.fixture
async def encoder(model: GatedModel) -> AsyncIterator[BatchedEncoder]:
    built = BatchedEncoder(model, EmbedSettings(batch_size=8, cache_size=4, batch_wait_ms=0))
    await built.start()
    yield built
    model.gate.set()
    await built.close()


async def until_busy(model: GatedModel) -> None:
    """Wait until a batch is under way and the gate holds it."""
    assert await asyncio.to_thread(model.entered.wait, 10)
    model.entered.clear()


async def test_calls_of_the_same_moment_share_a_batch(encoder: BatchedEncoder, model: GatedModel) -> None:
    vectors = await asyncio.gather(*(encoder.encode([text]) for text in ("a", "bb", "ccc")))

    assert vectors == [[(1.0,)], [(2.0,)], [(3.0,)]]
    assert model.batches == [["a", "bb", "ccc"]]


async def test_the_next_batch_fills_while_one_is_under_way(encoder: BatchedEncoder, model: GatedModel) -> None:
    model.gate.clear()
    first = asyncio.create_task(encoder.encode(["first"]))
    await until_busy(model)
    others = [asyncio.create_task(encoder.encode([f"other {number}"])) for number in range(5)]
    await asyncio.sleep(0)
    model.gate.set()

    await asyncio.gather(first, *others)

    assert [len(batch) for batch in model.batches] == [1, 5]


async def test_no_batch_is_larger_than_the_setting(encoder: BatchedEncoder, model: GatedModel) -> None:
    vectors = await encoder.encode([str(number) * (number + 1) for number in range(10)] + ["x" * 50] * 3)

    assert [vector[0] for vector in vectors][-1] == 50
    assert [len(batch) for batch in model.batches] == [8, 3]


async def test_equal_texts_are_computed_once(encoder: BatchedEncoder, model: GatedModel) -> None:
    await asyncio.gather(encoder.encode(["a", "a"]), encoder.encode(["a"]))
    await encoder.encode(["a"])

    assert model.batches == [["a"]]


async def test_the_oldest_vector_is_forgotten_beyond_the_bound(encoder: BatchedEncoder, model: GatedModel) -> None:
    await encoder.encode(["1", "2", "3", "4"])
    await encoder.encode(["1"])
    await encoder.encode(["5"])

    await encoder.encode(["1"])
    await encoder.encode(["2"])

    assert model.batches == [["1", "2", "3", "4"], ["5"], ["2"]]


async def test_a_cache_of_none_remembers_nothing(model: GatedModel) -> None:
    encoder = BatchedEncoder(model, EmbedSettings(cache_size=0))

    await encoder.encode(["a"])
    await encoder.encode(["a"])

    assert model.batches == [["a"], ["a"]]
    await encoder.close()


async def test_a_caller_that_gives_up_hurts_nobody_else(encoder: BatchedEncoder, model: GatedModel) -> None:
    model.gate.clear()
    leaving = asyncio.create_task(encoder.encode(["shared", "its own"]))
    await until_busy(model)
    staying = asyncio.create_task(encoder.encode(["shared", "another"]))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    model.gate.set()

    assert leaving.cancelled()
    assert await staying == [(6.0,), (7.0,)]


async def test_a_failure_reaches_every_caller_and_nobody_after(encoder: BatchedEncoder, model: GatedModel) -> None:
    outcomes = await asyncio.gather(encoder.encode(["bad"]), encoder.encode(["fine"]), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [ProviderUnavailable, ProviderUnavailable]
    assert await encoder.encode(["fine"]) == [(4.0,)]


async def test_a_model_that_returns_too_few_vectors_is_a_failure(encoder: BatchedEncoder) -> None:
    with pytest.raises(ProviderUnavailable, match="0 vectors for 1 texts"):
        await encoder.encode(["short"])


@pytest.mark.parametrize(("word", "error"), [("refused", ProviderRefused), ("bug", IndexError)])
async def test_one_text_that_is_not_taken_spoils_no_other(
    encoder: BatchedEncoder, model: GatedModel, word: str, error: type[Exception]
) -> None:
    texts = ["a", "bb", word, "dddd", word + "s"]

    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*(encoder.encode([text]) for text in texts), return_exceptions=True)

    assert outcomes[:2] + outcomes[3:] == [[(1.0,)], [(2.0,)], [(4.0,)], [(len(word) + 1,)]]
    assert type(outcomes[2]) is error
    assert await encoder.encode(["next"]) == [(4.0,)]
    assert len(model.batches) <= 2 * len(texts)


async def test_nobody_waits_for_a_batch_that_was_left(encoder: BatchedEncoder) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(ProviderUnavailable, match="was left"):
            await encoder.encode(["odd"])


async def test_waiting_texts_are_bounded(encoder: BatchedEncoder, model: GatedModel) -> None:
    """A caller beyond the bound waits in its own `encode`; giving up there hurts nobody."""
    model.gate.clear()
    flood = asyncio.create_task(encoder.encode([f"text {number}" for number in range(8 * WAITING_BATCHES * 2)]))
    await until_busy(model)
    assert encoder._jobs.full()
    flood.cancel()
    await asyncio.wait([flood])
    model.gate.set()

    assert await encoder.encode(["after"]) == [(5.0,)]


async def test_nothing_is_encoded_after_the_end(encoder: BatchedEncoder, model: GatedModel) -> None:
    model.gate.clear()
    under_way = asyncio.create_task(encoder.encode(["first"]))
    await until_busy(model)
    waiting = asyncio.create_task(encoder.encode(["second"]))
    await asyncio.sleep(0)
    closing = asyncio.create_task(encoder.close())
    outcomes = await asyncio.gather(under_way, waiting, return_exceptions=True)
    model.gate.set()
    await closing
    await encoder.close()

    assert all(isinstance(outcome, PipelineError) for outcome in outcomes)
    with pytest.raises(ProviderUnavailable, match="shut down"):
        await encoder.encode(["third"])


async def test_no_texts_have_no_vectors(encoder: BatchedEncoder) -> None:
    assert await encoder.encode([]) == []
