"""Language analysis with the real models, on texts of every kind."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from streams.clients.language.analyst import ProgramAnalyst
from streams.clients.language.identification import identified
from streams.clients.language.operations import Draft, operation, operations
from streams.clients.language.readers import Spacy, spacy_folder
from streams.clients.language.reading import Reading
from streams.clients.language.registry import OwnedAnalyst, analyst_of
from streams.errors import SettingsInvalid
from streams.settings import AnalyseSettings
from tests.child import REPOSITORY
from tests.given import an_origin

ALL = AnalyseSettings(operations="language,sentences,tokens,entities,keywords")


on_one_loop = pytest.mark.asyncio(loop_scope="module")  # that of the program they share


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def analyst() -> AsyncIterator[OwnedAnalyst]:
    made = analyst_of(ALL)
    await made.start()
    yield made
    await made.close()


@on_one_loop
async def test_english_has_sentences_lemmas_parts_of_speech_and_names(analyst: OwnedAnalyst) -> None:
    text = "Mary Shelley wrote Frankenstein in Geneva. She was eighteen years old."

    found = await analyst.analyse(an_origin(), text)

    assert (found.language, len(found.sentences), found.model) == ("en", 2, "en_core_web_sm")
    wrote = next(token for token in found.tokens if token.text == "wrote")
    assert (wrote.lemma, wrote.pos) == ("write", "VERB")
    assert {("Mary Shelley", "PERSON"), ("Geneva", "GPE")} <= {(name.text, name.label) for name in found.entities}
    assert all(text[name.start : name.end] == name.text for name in found.entities)
    assert "geneva" in json.loads(found.findings[0])["keywords"]


@on_one_loop
@pytest.mark.parametrize(
    ("text", "language", "word", "lemma"),
    [
        ("Die Kinder spielten gestern lange im Garten.", "de", "Kinder", "Kind"),
        ("Les enfants jouaient dans les jardins de la ville.", "fr", "enfants", "enfant"),
    ],
)
async def test_other_languages_have_lemmas_from_dictionaries(
    analyst: OwnedAnalyst, text: str, language: str, word: str, lemma: str
) -> None:
    found = await analyst.analyse(an_origin(), text)

    assert (found.language, found.model, found.entities) == (language, "simplemma", ())
    assert {token.text: token.lemma for token in found.tokens}[word] == lemma


@on_one_loop
@pytest.mark.parametrize(
    "text",
    [
        "", " ", "42", "\ud800 lone", "👩‍👩‍👧‍👦 🇺🇳", "مرحبا بالعالم", "\u202eoverride\u202c", "zero\u200bwidth",
        "x" * 100_000, "word " * 20_000, "界" * 500,
    ],
    ids=range(11),
)  # fmt: skip
async def test_any_text_is_analysed(analyst: OwnedAnalyst, text: str) -> None:
    found = await analyst.analyse(an_origin(), text)

    assert len(found.tokens) <= 20_000
    assert found.operations == ("language", "sentences", "tokens", "entities", "keywords")


@pytest.fixture
async def counting(request: pytest.FixtureRequest) -> AsyncIterator[ProgramAnalyst]:
    """An analyst that remembers as much as the test says, on a program that counts."""
    made = ProgramAnalyst(request.param, ["sentences"], module="tests.contracts.counting_program")
    await made.start()
    yield made
    await made.close()


@pytest.mark.parametrize("counting", [AnalyseSettings()], indirect=True)
async def test_equal_texts_are_analysed_once_for_whoever_asks(counting: ProgramAnalyst) -> None:
    first = await counting.analyse(an_origin("a"), "Whales are large.")
    second = await counting.analyse(an_origin("b"), "Whales are large.")
    other = await counting.analyse(an_origin("b"), "Whales are large.", operations=["sentences", "tokens"])

    assert (first.origin.request_id, second.origin.request_id) == ("a", "b")
    assert second == replace(first, origin=second.origin)
    assert [found.findings for found in (first, second, other)] == [("1",), ("1",), ("2",)]


@pytest.mark.parametrize(
    "counting",
    [AnalyseSettings(cache_size=1), AnalyseSettings(cache_mb=4_000 / 2**20), AnalyseSettings(cache_size=0)],
    ids=["entries", "bytes", "nothing"],
    indirect=True,
)
async def test_what_is_remembered_is_bounded(counting: ProgramAnalyst) -> None:
    """4,000 bytes hold one of two texts of 3,000."""
    texts = ["a" * 3_000, "b" * 3_000, "a" * 3_000]

    assert [(await counting.analyse(an_origin(), text)).findings for text in texts] == [("1",), ("2",), ("3",)]


def test_others_may_add_an_operation() -> None:
    @operation("length-of-tests")
    def length(draft: Draft) -> None:
        draft.findings.append(json.dumps({"length": len(draft.text)}))

    reading = Reading(english=None, identify=lambda _: "en")

    assert reading.read("four", ["length-of-tests"]).findings == ['{"length": 4}']
    assert "length-of-tests" in operations()
    with pytest.raises(ValueError, match="already"):
        operation("length-of-tests")(length)


PACKAGE = """
import json
from streams.clients.language.operations import operation

@operation("shouting")
def shouting(draft):
    draft.findings.append(json.dumps({"shouting": draft.text.isupper()}))
"""
WORKER = """
import asyncio
from streams.clients.language.registry import analyst_of
from streams.settings import AnalyseSettings
from tests.child import REPOSITORY
from tests.given import an_origin

async def main():
    analyst = analyst_of(AnalyseSettings(operations="language,shouting"))
    await analyst.start()
    print((await analyst.analyse(an_origin(), "WHALES ARE LARGE.")).findings)
    await analyst.close()

asyncio.run(main())
"""


def test_an_installed_package_adds_an_operation_to_the_worker_and_to_its_program(tmp_path: Path) -> None:
    """As documented: by an entry point, and the setting that names the operation."""
    about = tmp_path / "shouting-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[forgestream.operations]\nshouting = shouting\n")
    (tmp_path / "shouting.py").write_text(PACKAGE)

    ran = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, ran.stdout.strip()) == (0, """('{"shouting": true}',)"""), ran.stderr


def test_an_operation_nobody_knows_is_a_problem_of_the_settings() -> None:
    with pytest.raises(SettingsInvalid, match="sentiment is unknown; there are language, sentences"):
        analyst_of(AnalyseSettings(operations="language,sentiment"))


@pytest.fixture(scope="module")
def english() -> Reading:
    """The reader of the program, in this process."""
    folder = spacy_folder()
    assert folder is not None
    reading = Reading(english=Spacy(folder), identify=identified)
    reading.load()
    return reading


def stated(english: Reading, text: str) -> list[tuple[str, str, str]]:
    (finding,) = (json.loads(one) for one in english.read(text, ["language", "relations"]).findings)
    return [(one["subject"], one["relation"], one["object"]) for one in finding["relations"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mary Shelley wrote Frankenstein in Geneva.", ("Mary Shelley", "write", "Frankenstein")),
        ("Mary Shelley wrote Frankenstein in Geneva.", ("Mary Shelley", "write in", "Geneva")),
        ("Frankenstein was written by Mary Shelley.", ("Mary Shelley", "write", "Frankenstein")),
        ("The Danube flows through ten countries.", ("Danube", "flow through", "ten countries")),
        ("Paris is the capital of France.", ("Paris", "be", "capital")),
        ("Apple bought Beats and sold Shazam.", ("Apple", "sell", "Shazam")),
        ("Percy and Mary visited Geneva.", ("Mary", "visit", "Geneva")),
    ],
)
def test_what_a_sentence_plainly_says_is_a_relation(
    english: Reading, text: str, expected: tuple[str, str, str]
) -> None:
    assert expected in stated(english, text)


@pytest.mark.parametrize(
    "text",
    [
        "Did Mary Shelley write Frankenstein?",
        "Mary Shelley did not write Dracula.",
        "Mary Shelley might have written Dracula.",
        "She wrote Frankenstein.",
        "No woman wrote Dracula.",
        "Die Kinder spielten gestern lange im Garten.",
        "",
        "42 1816",
    ],
)
def test_what_is_asked_denied_supposed_or_said_of_nobody_is_none(english: Reading, text: str) -> None:
    assert stated(english, text) == []


@on_one_loop
async def test_operations_of_one_call_are_not_remembered_for_another(analyst: OwnedAnalyst) -> None:
    text = "Mary Shelley wrote Frankenstein."

    bare = await analyst.analyse(an_origin(), text, operations=("language",))
    full = await analyst.analyse(an_origin(), text)

    assert (bare.operations, bare.tokens) == (("language",), ())
    assert full.tokens
