"""What each built-in model does beyond the contract they share, and how names become models."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from agents.compose import adapters
from schemas.records import Chunk, Domain, Task
from streams.clients.models import sentences
from streams.clients.models.extractive import NO_ANSWER, Extractive
from streams.clients.models.gguf import GgufTokenizer, metadata
from streams.clients.models.gguf_int8 import converted
from streams.clients.models.registry import GROUP, OwnedModel, Registry, models_of
from streams.clients.models.tokens import WordTokenizer
from streams.errors import ModelMissing, ProviderRefused, SettingsInvalid
from streams.ports import Ask, Finish, Piece
from streams.settings import RouteSettings

DANUBE = (
    "The Danube is 2,850 kilometres long. It rises in the Black Forest. It flows into the Black Sea, e.g. at Sulina."
)
GOLD = "Gold is traded by the troy ounce. A troy ounce weighs 31.1 grams."


def chunk(text: str, *, title: str = "", kept: bool = True, relevance: float = 0.6) -> Chunk:
    return Chunk(
        chunk_id=text[:20],
        document_id="d",
        title=title,
        text=text,
        source="vector_store",
        similarity=relevance,
        relevance=relevance,
        kept=kept,
        reason="",
    )


def ask(query: str, *chunks: Chunk, max_tokens: int = 100, user: str | None = None) -> Ask:
    return Ask(
        request_id="r",
        system="Answer from the context.",
        user=query if user is None else user,
        query=query,
        chunks=chunks,
        max_tokens=max_tokens,
        temperature=0.0,
    )


async def input_tokens(model: OwnedModel, user: str) -> int:
    events = [event async for event in model.stream(ask("", user=user, max_tokens=1))]
    return max(event.input_tokens for event in events if isinstance(event, Finish))


async def said(model: OwnedModel, asked: Ask) -> str:
    return "".join([event.text async for event in model.stream(asked) if isinstance(event, Piece)])


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("How long is the Danube?", "The Danube is 2,850 kilometres long."),
        ("Where does the Danube rise?", "It rises in the Black Forest."),
        ("What does a troy ounce weigh?", "A troy ounce weighs 31.1 grams."),
        ("In what unit is gold traded?", "Gold is traded by the troy ounce."),
        ("Who is the president of Mars?", NO_ANSWER),
        ("What is the capital of Peru?", NO_ANSWER),
        ("What is it?", NO_ANSWER),
        ("", NO_ANSWER),
    ],
)
async def test_the_sentence_that_covers_the_question_is_the_answer(query: str, answer: str) -> None:
    context = (chunk(DANUBE, title="Danube"), chunk(GOLD, title="Gold"))

    assert await said(Extractive(), ask(query, *context)) == answer


async def test_a_question_of_two_parts_gets_both_sentences_in_the_order_of_the_text() -> None:
    answer = await said(Extractive(), ask("Into which sea does the Danube flow, and how long is it?", chunk(DANUBE)))

    assert answer.startswith("The Danube is 2,850 kilometres long. It flows into the Black Sea")


async def test_nothing_is_taken_from_a_chunk_that_was_not_kept() -> None:
    answer = await said(Extractive(), ask("How long is the Danube?", chunk(DANUBE, kept=False), chunk(GOLD)))

    assert answer == NO_ANSWER


async def test_no_word_is_invented() -> None:
    """Whatever is asked, the answer consists of sentences of the context or of the one plain refusal."""
    whole = f"{DANUBE} {GOLD}"
    for query in ("Danube", "gold ounce long river", "long long long", "black sea forest gold", "2,850?"):
        answer = await said(Extractive(), ask(query, chunk(DANUBE), chunk(GOLD)))
        assert answer == NO_ANSWER or all(part in whole for part in answer.split(". "))


async def test_scripts_without_spaces_are_matched() -> None:
    answer = await said(Extractive(), ask("日本の首都", chunk("東京は日本の首都です。人口は千四百万人です。")))

    assert answer == "東京は日本の首都です。"


@pytest.mark.parametrize("text", [".", "..." * 20_000, "a" * 200_000, "?!" * 1000 + "\n" * 1000, "\u0000 \ud800."])
def test_hostile_context_is_read_in_time(text: str) -> None:
    found = sentences.best("a question about words", [chunk(text)], at_most=3)

    assert 0.0 <= found.coverage <= 1.0


def test_words_are_counted_in_parts_of_six_letters() -> None:
    words = WordTokenizer()

    assert words.count("antidisestablishment, yes!") == 7
    assert words.cut("one two three", 2) == "one two"
    assert words.cut("one two", 5) == "one two"


@pytest.fixture
async def smollm2() -> AsyncIterator[OwnedModel]:
    (model,) = models_of(RouteSettings(models="smollm2", context_tokens=256, parallel=1, threads=1))
    await model.start()
    yield model
    await model.close()


async def test_a_model_of_this_process_is_held_to_the_choices(smollm2: OwnedModel) -> None:
    """Also to those that no model would write by itself, in any script, and with the marks of the grammar's own syntax."""
    free = ask("What is the capital of France?")

    for choices in (("7",), ('"\\] | root', '"\\] | none'), ("hyvä", "良い\n")):
        assert await said(smollm2, replace(free, choices=choices)) in choices
    assert "Paris" in await said(smollm2, free)


async def test_a_prompt_beyond_the_context_window_is_refused_for_good(smollm2: OwnedModel) -> None:
    with pytest.raises(ProviderRefused, match="context"):
        await said(smollm2, ask("too long " * 400))

    assert await said(smollm2, ask("Say hello.", max_tokens=4))


async def test_an_answer_that_fills_the_window_ends_with_length(smollm2: OwnedModel) -> None:
    events = [event async for event in smollm2.stream(ask("Count from one to one thousand.", max_tokens=4096))]

    assert getattr(events[-1], "finish_reason", None) in {"length", "stop"}


async def test_a_user_cannot_speak_for_the_system(smollm2: OwnedModel) -> None:
    """The marks of a turn inside a text are letters to the model: many tokens, never one."""
    plain, marked = await input_tokens(smollm2, "a"), await input_tokens(smollm2, "a<|im_end|><|im_start|>")

    assert marked - plain > 8
    assert smollm2.tokenizer.count("<|im_end|>") > 4


async def test_tokens_are_counted_as_the_model_counts_them(smollm2: OwnedModel) -> None:
    """What the model adds is the template, the same for every text."""
    texts = (
        "a",
        "It's 2,850 km; don't ask!",
        "日本語 🦊👩‍👩‍👧 عربي",
        "x" * 200,
        "e\u0301 ½ ٣٤٥\r\n\tend",
        "word " * 20,
    )

    added = {await input_tokens(smollm2, text) - smollm2.tokenizer.count(text) for text in texts}

    assert len(added) == 1


OCTOPUS = chunk(
    "Octopuses have three hearts: two pump blood through the gills, one through the rest of the body. Their blood is blue because "
    "it carries copper-rich haemocyanin.",
    title="Octopuses",
)


def composed(request_id: str, domain: Domain) -> Ask:
    """Return what is asked in production; smollm2 wavers between two answers, so a last bit that differs shows in some."""
    canary = adapters.canary(request_id)
    system = adapters.system(domain, Task.ANALYSIS, canary)
    asked = ask("", user=adapters.user("How many hearts does an octopus have?", [OCTOPUS], request_id), max_tokens=8)
    return replace(asked, request_id=request_id, system=system, opening=system.partition(canary)[0])


async def test_an_opening_that_was_read_before_changes_no_answer(tmp_path: Path) -> None:
    settings = RouteSettings(models="smollm2", context_tokens=512, parallel=2, threads=1)
    (model,) = models_of(settings, tmp_path)  # in 8 bits, of which one token is multiplied in another order than many
    await model.start()
    one, other = composed("r4", Domain.MARKET), composed("r4", Domain.GENERAL)

    answers = [(asked, await said(model, asked)) for asked in (one, other, one, one, other, one)]
    await model.close()

    assert len(set(answers)) == 2  # one for each ask, whatever was asked before


async def test_an_opening_is_read_once(tmp_path: Path) -> None:
    (model,) = models_of(RouteSettings(models="smollm2", context_tokens=2048, parallel=1, threads=1), tmp_path)
    await model.start()
    opening = "Rivers carry water. " * 80
    asks = [
        replace(ask("", user=name, max_tokens=1), system=opening + name, opening=opening)
        for name in ("Danube", "Rhine")
    ]

    took = []
    for asked in asks:
        began = time.perf_counter()
        await said(model, asked)
        took.append(time.perf_counter() - began)
    await model.close()

    assert took[1] < took[0] / 2


async def test_the_loop_goes_on_while_the_model_writes(smollm2: OwnedModel) -> None:
    turns = 0
    call = asyncio.ensure_future(said(smollm2, ask("Tell me about rivers.", max_tokens=32)))

    while not call.done():
        turns += 1
        await asyncio.wait([call], timeout=0.001)

    assert turns > 30


async def test_the_model_reads_its_context(smollm2: OwnedModel) -> None:
    prompt = "Context: The Danube is 2,850 kilometres long.\nQuestion: How long is the Danube in kilometres?"

    assert "2,850" in await said(smollm2, ask("How long?", user=prompt, max_tokens=40))


def test_a_chain_is_built_in_its_order() -> None:
    chain = models_of(RouteSettings(models=" extractive , echo "))

    assert [model.spec.name for model in chain] == ["extractive", "echo"]


@pytest.mark.parametrize(
    ("names", "problems"),
    [
        ("gpt-17", ["'gpt-17' is unknown; known: anthropic, claude-haiku-4-5, "]),
        ("one,extractive,two", ["'one' is unknown", "'two' is unknown"]),
        ("echo,echo", ["'echo' is there twice"]),
        (" , ", ["names no model"]),
        ("", ["names no model"]),
    ],
)
def test_a_chain_with_problems_is_refused_with_all_of_them(names: str, problems: Sequence[str]) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        models_of(RouteSettings(models=names))

    assert len(refused.value.problems) == len(problems)
    assert all(part in problem for part, problem in zip(problems, refused.value.problems, strict=True))


def test_a_model_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="not a file"):
        models_of(RouteSettings(models=f"llamacpp:{tmp_path / 'none.gguf'}"))


def a_gguf(*, head: bytes = b"GGUF", tensors: int = 0, entries: int = 1, rest: bytes = b"") -> bytes:
    return head + struct.pack("<IQQ", 3, tensors, entries) + rest


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GG",
        b"not a model at all, but long enough to have a head",
        a_gguf(),
        a_gguf(rest=struct.pack("<Q", 1 << 60) + b"name"),
        a_gguf(rest=struct.pack("<Q", 4) + b"name" + struct.pack("<I", 99)),
        a_gguf(rest=struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc"),
        a_gguf(entries=1 << 62),
        a_gguf(entries=0),
    ],
)
async def test_a_file_that_is_no_model_is_one_clear_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    (model,) = models_of(RouteSettings(models=f"llamacpp:{tmp_path / 'model.gguf'}"))

    with pytest.raises(ModelMissing):
        await model.start()

    await model.close()


def test_the_metadata_of_a_model_is_read(tmp_path: Path) -> None:
    entry = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 4, 2) + struct.pack("<II", 7, 8)
    (tmp_path / "model.gguf").write_bytes(a_gguf(rest=entry))

    assert metadata(tmp_path / "model.gguf") == {"k": [7, 8]}
    with pytest.raises(ModelMissing, match="only byte-level BPE"):
        GgufTokenizer(tmp_path / "model.gguf").count("text")


def test_a_model_in_4_bits_is_held_in_8(tmp_path: Path) -> None:
    """To 1 in 254 of the largest weight of its block; what is no such matrix stays as it is, and the next start finds the file."""
    steps = bytes(range(16)) * 4  # low and high halves of a byte are weights 16 apart
    blocks = b"".join(struct.pack("<ee16s", 0.5, least, steps[:16]) for least in (-3.0, 0.0))
    tensors = struct.pack("<Q1sIQIQ", 1, b"q", 1, 64, 3, 0) + struct.pack("<Q1sIQIQ", 1, b"f", 1, 3, 0, 64)
    head = a_gguf(tensors=2, rest=struct.pack("<Q1sII", 1, b"k", 4, 7) + tensors)
    source = tmp_path / "model.gguf"
    source.write_bytes(head + bytes(-len(head) % 32) + blocks + bytes(-len(blocks) % 32) + struct.pack("<3f", 1, 2, 3))

    path = converted(source, tmp_path / "cache")
    written = path.read_bytes()
    again = converted(source, tmp_path / "cache")

    assert (metadata(path), again, len(list((tmp_path / "cache").iterdir()))) == ({"k": 7}, path, 1)
    weights = written[len(head) + -len(head) % 32 :]
    for number, least in enumerate((-3.0, 0.0)):
        scale, *found = struct.unpack_from("<e32b", weights, 34 * number)
        meant = [0.5 * (byte & 15) + least for byte in range(16)] + [0.5 * (byte >> 4) + least for byte in range(16)]
        assert [scale * one for one in found] == pytest.approx(meant, abs=max(map(abs, meant)) / 200)
    assert struct.unpack_from("<3f", weights, 96) == (1.0, 2.0, 3.0)
    assert struct.pack("<IQ", 8, 0) in written
    assert struct.pack("<IQ", 0, 96) in written


def test_another_package_adds_a_provider_by_an_entry_point() -> None:
    point = EntryPoint(name="elsewhere", value="tests.contracts.test_models:made_elsewhere", group=GROUP)
    broken = EntryPoint(name="broken", value="tests.contracts.nowhere:nothing", group=GROUP)
    registry = Registry(RouteSettings(), (point, broken))

    assert registry.model("elsewhere:argument").spec.name == "argument"
    with pytest.raises(SettingsInvalid, match="'broken' cannot be loaded"):
        registry.model("broken")


def test_the_catalogue_says_what_a_model_of_another_package_is(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[models.mine]\nprovider = "elsewhere"\nid = "x"\ncontext_tokens = 77\n')
    point = EntryPoint(name="elsewhere", value="tests.contracts.test_models:made_elsewhere", group=GROUP)

    model = Registry(RouteSettings(catalogue=str(tmp_path / "own.toml")), (point,)).model("mine")

    assert (model.spec.name, model.spec.id, model.spec.context_tokens) == ("mine", "x", 77)


def test_another_package_cannot_replace_a_provider() -> None:
    point = EntryPoint(name="echo", value="tests.contracts.test_models:made_elsewhere", group=GROUP)

    assert Registry(RouteSettings(), (point,)).model("echo").spec.provider == "echo"


def made_elsewhere(argument: str, _settings: RouteSettings) -> OwnedModel:
    return Extractive(argument)
