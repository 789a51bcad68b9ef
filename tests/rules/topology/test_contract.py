import pytest

from streams.errors import StartRefused
from streams.settings import KafkaSettings, RegistrySettings
from topology.contract import open_schemas, subjects
from topology.topics import Topics

TOPICS = Topics.of(KafkaSettings(topic_prefix="x-"))


async def test_without_a_registry_every_topic_has_an_id_from_the_lock_file() -> None:
    schemas = await open_schemas(RegistrySettings(), TOPICS)

    ids = [schemas.id_for(subject) for subject, record in subjects(TOPICS).items() if record is not bytes]
    assert all(number > 0 for number in ids)


async def test_a_registry_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(StartRefused, match="FORGESTREAM_REGISTRY_URL") as caught:
        await open_schemas(RegistrySettings(url="http://127.0.0.1:1", timeout_s=0.5), TOPICS)

    assert "\n" not in caught.value.message
