from dataclasses import replace
from pathlib import Path

import pytest

from streams.errors import ModelMissing, SettingsInvalid, StartRefused
from streams.settings import EmbeddedSettings, EmbedSettings, KafkaSettings, RouteSettings, Settings, StoreSettings
from topology.outside import Port, open_outside
from topology.stack import refuse_forgetful_store, running
from topology.units import Unit

SMALL = Settings(
    kafka=KafkaSettings(bootstrap="127.0.0.1:1", timeout_s=0.2),
    embed=EmbedSettings(provider="hashing"),
    store=StoreSettings(uri="memory"),
    route=RouteSettings(models="extractive"),
)


def test_a_store_thrown_away_beside_a_kafka_that_stays_is_refused() -> None:
    with pytest.raises(StartRefused, match="FORGESTREAM_STORE_URI"):
        refuse_forgetful_store(replace(SMALL, store=StoreSettings()), {"store"})


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        replace(SMALL, store=StoreSettings(), embedded=EmbeddedSettings(data_dir="/kept")),
        replace(SMALL, store=StoreSettings(), kafka=KafkaSettings()),
    ],
)
def test_a_store_that_stays_or_goes_with_its_kafka_is_fine(settings: Settings) -> None:
    refuse_forgetful_store(settings, {"store"})


def test_units_without_a_store_need_none() -> None:
    refuse_forgetful_store(replace(SMALL, store=StoreSettings()), {"clock"})


async def test_only_what_the_units_use_is_loaded(tmp_path: Path) -> None:
    """A unit that embeds and searches loads no language model, and the other way round."""
    told: list[str] = []

    async with open_outside(
        SMALL, uses={"encoder", "store"}, data_dir=tmp_path, cache_dir=tmp_path, tell=told.append
    ) as outside:
        assert isinstance(outside.models, Port)
        assert outside.encoder.dimension == 384

    assert len(told) == 2
    assert not any("language model" in line for line in told)


async def test_the_prompt_fits_the_smallest_window_of_the_chain(tmp_path: Path) -> None:
    async with open_outside(
        SMALL, uses={"models", "window_tokens"}, data_dir=tmp_path, cache_dir=tmp_path, tell=print
    ) as outside:
        assert outside.window_tokens == min(model.spec.context_tokens for model in outside.models)
        assert outside.tokenizer is outside.models[0].tokenizer


@pytest.mark.parametrize(
    ("models", "error"),
    [("nothing-like-it", SettingsInvalid), ("llamacpp:/nowhere.gguf", ModelMissing), ("", SettingsInvalid)],
)
async def test_a_model_that_is_not_there_refuses_the_start(
    models: str, error: type[StartRefused], tmp_path: Path
) -> None:
    wrong = replace(SMALL, route=RouteSettings(models=models))

    with pytest.raises(error):
        async with open_outside(wrong, uses={"encoder", "models"}, data_dir=tmp_path, cache_dir=tmp_path, tell=print):
            pass


async def test_an_unreachable_broker_refuses_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match=r"127\.0\.0\.1:1"):
        async with running(SMALL, [Unit.INTAKE], tell=print):
            pass


async def test_a_data_directory_that_cannot_be_made_refuses_the_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(StartRefused, match="FORGESTREAM_EMBEDDED_DATA_DIR"):
        async with running(replace(SMALL, embedded=EmbeddedSettings(data_dir=str(file))), [Unit.INTAKE], tell=print):
            pass
