"""The model catalogue, the user's own file, and the servers that models are reached by."""

from pathlib import Path

import pytest

from schemas.records import Domain
from streams.clients.models.catalogue import catalogue_of
from streams.clients.models.offers import offers
from streams.clients.models.registry import Registry, models_of
from streams.clients.models.tokens import CautiousTokenizer
from streams.errors import SettingsInvalid
from streams.ports import TIERS
from streams.settings import RouteSettings
from tests.contracts.test_model_conformance import answer, ask
from tests.loopback.cases import CANARIES
from tests.loopback.openai_api import CompatibleLoopback
from tests.loopback.serving import serving
from tests.pipeline.world import FRANKENSTEIN

OWN = """
[models.house-model]
provider = "gpu"
id = "org/house-7b"
context_tokens = 32768
usd_per_million_in = 0.5
usd_per_million_out = 1
tier = "economy"
domains = ["market"]
capabilities = ["seed"]
parameters = { top_p = 0.9 }

[models.claude-haiku-5-5]
provider = "anthropic"
context_tokens = 1000

[servers.gpu]
protocol = "openai"
url = "%s"
keys_file = "%s"
"""


def own(folder: Path, text: str) -> str:
    path = folder / "catalogue.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def problems(**changes: str) -> str:
    with pytest.raises(SettingsInvalid) as refused:
        models_of(RouteSettings(**changes))  # type: ignore[arg-type] # texts only
    return "\n".join(refused.value.problems)


def test_every_model_that_ships_has_a_window_a_tier_and_a_price_where_it_costs() -> None:
    models = catalogue_of("").models

    assert {"claude-sonnet-5-5", "gpt-6.1-terra", "smollm2"} <= set(models)
    for name, entry in models.items():
        spec = entry.spec
        assert (spec.name, spec.tier in TIERS, spec.context_tokens > 0) == (name, True, True)
        assert (spec.usd_per_million_out > spec.usd_per_million_in > 0) == (spec.provider in {"anthropic", "openai"})


def test_the_file_of_the_user_adds_and_replaces(tmp_path: Path) -> None:
    catalogue = catalogue_of(own(tmp_path, OWN % ("http://gpu:8000/v1", tmp_path / "keys")))

    spec = catalogue.models["house-model"].spec
    assert (spec.provider, spec.id, spec.context_tokens, spec.domains) == (
        "gpu",
        "org/house-7b",
        32768,
        (Domain.MARKET,),
    )
    assert catalogue.models["claude-haiku-5-5"].spec.context_tokens == 1000
    assert "claude-sonnet-5-5" in catalogue.models
    assert catalogue.servers["gpu"].url == "http://gpu:8000/v1"


async def test_a_server_of_the_user_is_asked_with_its_own_keys_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{CANARIES[0]}\n")
    async with serving(CompatibleLoopback()) as server:
        path = own(tmp_path, OWN % (f"{server.url}/v1", tmp_path / "keys"))
        (model,) = models_of(RouteSettings(models="house-model", catalogue=path))
        await answer(model, ask())
        await model.close()

    (call,) = server.calls
    assert call.key == CANARIES[0]
    assert (call.body["model"], call.body["top_p"]) == ("org/house-7b", 0.9)
    assert "temperature" not in call.body
    assert isinstance(call.body["seed"], int)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models = 5", "models.models must be a table"),
        ("model = {}", "'model' is neither models nor servers"),
        ("[models.a]\nprovider = 'echo'", "models.a needs context_tokens"),
        ("[models.a]\nprovider = 'echo'\ncontext_tokens = 0", "context_tokens must be a number above 0, not 0"),
        ("[models.a]\nprovider = 'echo'\ncontext_tokens = true", "context_tokens must be a number above 0"),
        ("[models.a]\nprovider = 'echo'\ncontext_tokens = 9\nusd_per_million_in = -1", "must be a price, 0 or more"),
        ("[models.a]\nprovider = 'echo'\ncontext_tokens = 9\nusd_per_million_in = nan", "must be a price, 0 or more"),
        ("[models.a]\nprovider = 'echo'\ncontext_tokens = 9\nprice = 1", "models.a.price is unknown"),
        ("[models.a]\nprovider = 'echo'\ncontext_tokens = 9\ndomains = ['law']", "must be a list of literary"),
        ("[models.a]\nprovider = 'echo'\ncontext_tokens = 9\ntier = 'best'", "must be one of local"),
        ("[servers.a]\nprotocol = 'soap'\nurl = 'http://a'", "must be one of anthropic, ollama, openai"),
        ("[models.'a,b']\nprovider = 'echo'\ncontext_tokens = 9", "a name has no spaces or commas"),
        ("[servers.openai]\nprotocol = 'openai'\nurl = 'http://a'", "that name is taken"),
        ("[servers.'a:b']\nprotocol = 'openai'\nurl = 'http://a'", "that name is taken, or holds a colon"),
        ("[models.a", "cannot read"),
        ("\x00", "cannot read"),
    ],
)
def test_a_file_with_problems_is_refused_with_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems(catalogue=own(tmp_path, text))


def test_a_file_of_keys_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = own(tmp_path, OWN % ("http://gpu:8000/v1", tmp_path / "none"))

    assert "servers.gpu.keys_file" in problems(models="house-model", catalogue=path)
    assert "is not a file" in next(
        one.problem for one in offers(RouteSettings(catalogue=path)) if one.provider == "gpu"
    )


def test_all_problems_of_a_file_are_listed(tmp_path: Path) -> None:
    found = problems(catalogue=own(tmp_path, "[models.a]\nprovider = 5\n[servers.b]\nurl = 7\n"))

    assert len(found.splitlines()) == 4


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot read" in problems(catalogue=str(tmp_path / "none.toml"))


def test_what_is_missing_to_reach_a_model_is_told_all_at_once() -> None:
    found = problems(models="claude-haiku-5-5,openai:gpt-99,compatible:a,ollama:,ollama:a", ollama_url="localhost")

    assert "FORGESTREAM_ROUTE_ANTHROPIC_KEYS is empty" in found
    assert "FORGESTREAM_ROUTE_OPENAI_KEYS is empty" in found
    assert "openai:gpt-99 is not in the catalogue" in found
    assert "FORGESTREAM_ROUTE_COMPATIBLE_URL must be" in found
    assert "FORGESTREAM_ROUTE_OLLAMA_URL must be" in found
    assert "write ollama:MODEL" in found


@pytest.mark.parametrize(
    "url", ["", "gpu:8000", "ftp://gpu", "http://", "http://user:pw@gpu", "http://gpu:x", "http://["]
)
def test_an_address_that_is_none_is_refused_at_start(url: str) -> None:
    assert "FORGESTREAM_ROUTE_COMPATIBLE_URL must be" in problems(models="compatible:a", compatible_url=url)


def test_one_model_under_two_names_is_there_twice() -> None:
    found = problems(models="claude-haiku-5-5,anthropic:claude-haiku-5-5", anthropic_keys="sk-a")

    assert "'claude-haiku-5-5' is there twice" in found


def test_offers_are_the_chain_then_the_catalogue_with_what_is_missing() -> None:
    found = {
        one.name: one for one in offers(RouteSettings(models="echo,ollama:m,nonsense", anthropic_keys="sk-a,sk-b"))
    }

    assert [(one.name, one.place) for one in list(found.values())[:3]] == [
        ("echo", 1),
        ("ollama:m", 2),
        ("nonsense", 3),
    ]
    assert (found["claude-haiku-5-5"].problem, found["claude-haiku-5-5"].keys) == ("", 2)
    assert "KEYS is empty" in found["gpt-6-luna"].problem
    assert "unknown" in found["nonsense"].problem
    assert not found["ollama:m"].problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Why do we always see the same side of the Moon?",
        "antidisestablishmentarianism",
        "f(x) = 3.14159 * x**2; // hm",
        "one\n\n\ntwo\n",
        FRANKENSTEIN.text,
    ],
)
def test_the_estimate_of_tokens_errs_on_the_long_side(text: str) -> None:
    real = models_of(RouteSettings(models="smollm2"))[0].tokenizer.count(text)

    assert real <= CautiousTokenizer().count(text) <= real * 3


@pytest.mark.parametrize("text", ["日本の首都はどこですか?", "Здравствуйте, как дела?", "🦊👩‍👩‍👧"])
def test_the_estimate_counts_other_scripts_by_their_characters(text: str) -> None:
    visible = len(text.replace(" ", ""))

    assert visible <= CautiousTokenizer().count(text) <= visible * 2


@pytest.mark.parametrize(
    ("keys", "chain"),
    [
        ({}, ["smollm2", "extractive"]),
        ({"openai_keys": "k"}, ["smollm2", "gpt-6-luna", "extractive"]),
        ({"anthropic_keys": "k", "openai_keys": "k"}, ["smollm2", "claude-haiku-5-5", "gpt-6-luna", "extractive"]),
        ({"models": "echo, auto"}, ["echo", "smollm2", "extractive"]),
        ({"models": "echo"}, ["echo"]),
    ],
)
def test_without_a_choice_the_chain_is_this_machine_the_cheapest_of_each_provider_with_keys_then_sentences(
    keys: dict[str, str], chain: list[str]
) -> None:
    assert Registry(RouteSettings(**keys)).chain_names() == chain  # type: ignore[arg-type] # texts only


def test_models_of_the_other_chains_are_built_as_reserves() -> None:
    settings = RouteSettings(
        models="echo", overflow_models="extractive", refusal_models="extractive,ollama:lenient,echo"
    )

    assert [(model.spec.name, model.spec.reserve) for model in models_of(settings)] == [
        ("echo", False), ("extractive", True), ("ollama:lenient", True),
    ]  # fmt: skip
    assert [model.spec.name for model in models_of(RouteSettings(models="echo", refusal_models="none"))] == ["echo"]
    assert "'gone' is unknown" in problems(models="echo", overflow_models="gone")
