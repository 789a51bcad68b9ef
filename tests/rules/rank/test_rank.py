"""How verdicts and commands move the ranking of a cell."""

from dataclasses import replace
from datetime import timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.rank import rules
from schemas.records import Command, CommandAction, ModelStanding, Ranking, Verdict
from streams.settings import RankSettings
from tests.given import NOON, a_verdict

SETTINGS = RankSettings(alpha=0.5, window=3, challenge_margin=0.2, min_samples=2)
CELL = "literary/analysis"


def after(*said: Verdict | Command, ranking: Ranking | None = None) -> Ranking:
    return reduce(lambda now, one: rules.after(now, one, SETTINGS), said, ranking or rules.unranked(CELL))


def a_command(action: CommandAction, model: str | None = None, command_id: str = "c1", subject: str = CELL) -> Command:
    return Command(
        command_id=command_id, subject=subject, action=action, model=model, issued_by="ops", reason="test", at=NOON
    )


def standing(ranking: Ranking, model: str) -> ModelStanding:
    return next(one for one in ranking.standings if one.model == model)


def test_the_average_moves_by_its_share_towards_the_newest_verdict() -> None:
    ranking = after(a_verdict(score=0.8), a_verdict(score=0.4), a_verdict(score=1.0))

    first = standing(ranking, "first")
    assert first.score == pytest.approx(0.8)
    assert (first.samples, first.recent) == (3, (0.8, 0.4, 1.0))
    assert [first.peak, first.low] == pytest.approx([0.8, 0.6])
    assert first.latency_ms == 100.0


def test_only_the_newest_verdicts_are_remembered_one_by_one() -> None:
    ranking = after(*(a_verdict(score=score / 10) for score in range(10)))

    assert standing(ranking, "first").recent == (0.7, 0.8, 0.9)
    assert standing(ranking, "first").samples == 10


def test_the_first_with_enough_verdicts_becomes_champion() -> None:
    once = after(a_verdict("first"), a_verdict("second"))
    twice = after(a_verdict("second"), ranking=once)

    assert once.champion is None
    assert (twice.champion, twice.since) == ("second", NOON)


def test_a_challenger_takes_over_when_it_leads_by_the_margin() -> None:
    champion = [a_verdict("first", 0.5)] * 2

    assert after(*champion, *[a_verdict("second", 0.59)] * 2).champion == "first"
    assert after(*champion, *[a_verdict("second", 0.60)] * 2).champion == "second"


def test_a_challenger_needs_enough_verdicts() -> None:
    assert after(*[a_verdict("first", 0.3)] * 2, a_verdict("second", 1.0)).champion == "first"


def test_a_champion_with_nothing_to_show_is_beaten_by_anything() -> None:
    assert after(*[a_verdict("first", 0.0)] * 2, *[a_verdict("second", 0.0)] * 2).champion == "first"
    assert after(*[a_verdict("first", 0.0)] * 2, *[a_verdict("second", 0.01)] * 2).champion == "second"


def test_a_late_verdict_does_not_turn_the_clock_back() -> None:
    late = a_verdict(at=NOON - timedelta(days=1))

    assert standing(after(a_verdict(), late), "first").as_of == NOON


def test_an_operator_promotes_and_the_promoted_stays_until_it_is_judged() -> None:
    ranking = after(*[a_verdict("first", 0.5)] * 2, a_command(CommandAction.PROMOTE, "second"))

    assert ranking.champion == "second"
    assert "ops" in ranking.reason
    assert after(a_verdict("first", 0.9), ranking=ranking).champion == "second"
    assert after(*[a_verdict("second", 0.1)] * 2, a_verdict("first", 0.9), ranking=ranking).champion == "first"


def test_a_demoted_champion_is_followed_by_the_next_best_and_begins_anew() -> None:
    judged = [*[a_verdict("first", 0.9)] * 2, *[a_verdict("second", 0.5)] * 2, *[a_verdict("third", 0.6)] * 2]

    ranking = after(*judged, a_command(CommandAction.DEMOTE))

    assert ranking.champion == "third"
    assert [one.model for one in ranking.standings] == ["second", "third"]
    assert after(a_verdict("first", 0.9), ranking=ranking).champion == "third"


def test_a_demoted_champion_without_successor_leaves_the_cell_without_one() -> None:
    ranking = after(*[a_verdict("first", 0.9)] * 2, a_command(CommandAction.DEMOTE, "first"))

    assert ranking.champion is None
    assert after(a_verdict("first", 0.9), ranking=ranking).champion is None


def test_a_frozen_ranking_counts_and_changes_no_champion_until_it_thaws() -> None:
    frozen = after(*[a_verdict("first", 0.3)] * 2, a_command(CommandAction.FREEZE))
    counted = after(*[a_verdict("second", 0.9)] * 2, ranking=frozen)
    thawed = after(a_command(CommandAction.UNFREEZE, command_id="c2"), a_verdict("second", 0.9), ranking=counted)

    assert (counted.champion, standing(counted, "second").samples) == ("first", 2)
    assert thawed.champion == "second"


def test_reset_forgets_everything_but_the_commands() -> None:
    ranking = after(*[a_verdict("first")] * 2, a_command(CommandAction.RESET))

    assert (ranking.champion, ranking.standings, ranking.commands) == (None, (), ("c1",))


def test_a_repeated_command_changes_nothing() -> None:
    promote, demote = a_command(CommandAction.PROMOTE, "second"), a_command(CommandAction.DEMOTE, "second", "c2")
    ranking = after(promote, demote)

    assert after(promote, ranking=ranking) == ranking


def test_the_memory_of_commands_is_bounded() -> None:
    ranking = after(*(a_command(CommandAction.FREEZE, command_id=f"c{n}") for n in range(300)))

    assert len(ranking.commands) == rules.COMMANDS_REMEMBERED


@pytest.mark.parametrize(
    ("action", "subject", "cells"),
    [
        (CommandAction.PROMOTE, CELL, (CELL,)),
        (CommandAction.RESET, CELL, (CELL,)),
        (CommandAction.RESET, "smollm2", ()),
        (CommandAction.FORCE_OPEN, "smollm2", ()),
        (CommandAction.FORCE_OPEN, CELL, ()),
        (CommandAction.PROMOTE, "no/cell", ()),
    ],
)
def test_commands_to_circuits_are_not_for_us(action: CommandAction, subject: str, cells: tuple[str, ...]) -> None:
    assert rules.cells(a_command(action, "m", subject=subject)) == cells


@pytest.mark.parametrize("action", [CommandAction.FORCE_OPEN, CommandAction.DISABLE, CommandAction.PROMOTE])
def test_a_command_without_meaning_here_is_remembered_and_changes_nothing_else(action: CommandAction) -> None:
    before = after(*[a_verdict("first")] * 2)

    assert after(a_command(action), ranking=before) == replace(before, commands=("c1",))


MODELS = st.sampled_from(["first", "second", "third"])
SAID = st.one_of(
    st.builds(a_verdict, MODELS, st.floats(allow_nan=False)),
    st.builds(a_command, st.sampled_from(CommandAction), st.none() | MODELS, st.sampled_from(["c1", "c2", "c3", "c4"])),
)


@given(st.lists(SAID, max_size=40))
def test_any_history_gives_one_ranking_with_scores_between_0_and_1(history: list[Verdict | Command]) -> None:
    ranking = after(*history)

    assert ranking == after(*history)
    assert [one.model for one in ranking.standings] == sorted({one.model for one in ranking.standings})
    for one in ranking.standings:
        assert 0.0 <= one.low <= one.score <= one.peak <= 1.0
        assert len(one.recent) == min(one.samples, SETTINGS.window)
    if not any(isinstance(said, Command) for said in history) and ranking.champion is not None:
        assert standing(ranking, ranking.champion).samples >= SETTINGS.min_samples
