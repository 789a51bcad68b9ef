"""The behaviour suite of the pipeline, on a real broker."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.broker.deployed import KafkaPipeline, deployed, on_broker
from tests.pipeline.test_behaviour import *  # noqa: F403 - the same suite, whatever it grows to
from tests.pipeline.world import SETTINGS, Deploy
from topology.outside import Outside


@pytest.fixture
def deploy(kafka: str, namespace: str, tmp_path: Path) -> Deploy:
    """Run all units on the broker."""
    settings = on_broker(SETTINGS, kafka, namespace)

    def start(outside: Outside) -> AbstractAsyncContextManager[KafkaPipeline]:
        return deployed(settings, outside, tmp_path)

    return start
