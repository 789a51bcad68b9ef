"""Providers on a bad day, at 50 requests a second: the short form of `make storm`."""

from dataclasses import replace

import pytest

from streams.settings import WatchSettings
from tests.pipeline.storm import Weather, blown, weathers
from tests.pipeline.world import SETTINGS

STORMY = replace(
    SETTINGS,
    route=replace(SETTINGS.route, tries=2, hedge_latest_s=0.2),
    watch=WatchSettings(recovery_s=0.5, probe_s=0.2),
    # in this process everything shares one loop: with a short deadline the test would measure the machine
)


@pytest.mark.parametrize("weather", weathers(slow_s=1.0, period_s=0.3), ids=lambda weather: weather.name)
async def test_every_question_ends_once_in_time_and_with_an_answer_where_anybody_is_well(weather: Weather) -> None:
    seen = await blown(weather, per_s=50, seconds=0.8, deadline_s=20.0, settings=STORMY)

    assert (seen.results, sum(seen.statuses.values()), seen.late) == (seen.asked, seen.asked, 0)
    assert seen.errors == (0 if weather.any_well else seen.asked)
