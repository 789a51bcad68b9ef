"""The pipeline in memory."""

import pytest

from tests.clock import FixedClock
from tests.pipeline.world import SETTINGS, Deploy
from topology.memory import MemoryPipeline
from topology.outside import Outside


@pytest.fixture
def deploy(clock: FixedClock) -> Deploy:
    """Run all units in memory."""

    def start(outside: Outside) -> MemoryPipeline:
        return MemoryPipeline(SETTINGS, outside, clock=clock)

    return start
