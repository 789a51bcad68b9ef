"""The pipeline in memory."""

import pytest

from tests.pipeline.world import SETTINGS, Deploy
from topology.memory import MemoryPipeline
from topology.outside import Outside


@pytest.fixture
def deploy() -> Deploy:
    """Run all units in memory."""

    def start(outside: Outside) -> MemoryPipeline:
        return MemoryPipeline(SETTINGS, outside, clock=outside.clock)

    return start
