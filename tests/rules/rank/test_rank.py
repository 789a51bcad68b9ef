"""How verdicts and commands move the ranking of a cell."""

from dataclasses import replace
from datetime import timedelta
from functools import reduce
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.rank import evidence, rules
from schemas.records import Command, CommandAction, ModelStanding, Ranking, Verdict
from streams.orders import ORDERS_REMEMBERED
from streams.repeats import DIGEST, repeated
from streams.settings import RankSettings
from tests.given import NOON, a_verdict

SETTINGS = RankSettings(
    alpha=0.5, window=3, challenge_by="score", challenge_margin=0.2, min_samples=2, false_alarm=1.0, trial=0
)
CAREFUL = RankSettings(min_samples=2, trial=50)
CELL = "literary/analysis"


def after(*said: Verdict | Command, ranking: Ranking | None = None, settings: RankSettings = SETTINGS) -> Ranking:
    """Return the ranking after some records; verdicts that look the same are different ones here."""
    ranking = ranking or rules.unranked(CELL)
    numbered = [
        replace(one, verdict_id=f"{len(ranking.seen)}.{n}") if isinstance(one, Verdict) else one
        for n, one in enumerate(said)
    ]
    return reduce(lambda now, one: rules.after(now, one, settings), numbered, ranking)


def contest(*rounds: tuple[float, float], ranking: Ranking | None = None, settings: RankSettings = CAREFUL) -> Ranking:
    """Return the ranking after rounds in which `first` got nine verdicts of one score and `second` one of another."""
    said = [v for first, second in rounds for v in [a_verdict("first", first)] * 9 + [a_verdict("second", second)]]
    return after(*said, ranking=ranking, settings=settings)


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


def just_promoted() -> Ranking:
    """Return a ranking in which `second` has just taken over from `first`."""
    ranking = rules.unranked(CELL)
    while ranking.champion != "second":
        ranking = contest((0.6, 0.8), ranking=ranking)
    return ranking


@pytest.mark.parametrize(("champion", "score", "headroom"), [(0.3, 0.06, 0.06), (0.7, 0.14, 0.06), (0.95, 0.19, 0.01)])
def test_the_lead_needed_is_a_share_of_the_score_or_of_the_headroom(
    champion: float, score: float, headroom: float
) -> None:
    """A share of the score asks 1.14 of who wants to beat 0.95."""
    assert rules.needed_lead(champion, RankSettings(challenge_by="score")) == pytest.approx(score)
    assert rules.needed_lead(champion, RankSettings(challenge_by="headroom")) == pytest.approx(headroom)


def test_a_lead_that_may_be_luck_changes_nothing_and_one_that_lasts_does() -> None:
    few, many = contest(*[(0.6, 0.8)] * 3), contest(*[(0.6, 0.8)] * 60)

    assert few.champion == "first"
    assert many.champion == "second"
    assert "first" in many.reason


def test_a_better_model_that_leads_by_less_than_the_margin_stays_a_challenger() -> None:
    assert contest(*[(0.6, 0.63)] * 300).champion == "first"


def test_a_champion_near_perfection_is_deposed_by_a_share_of_its_headroom() -> None:
    by_score = replace(CAREFUL, challenge_by="score")

    assert contest(*[(0.90, 0.95)] * 200).champion == "second"
    assert contest(*[(0.90, 0.95)] * 200, settings=by_score).champion == "first"


@pytest.mark.parametrize("much", [{"latency_ms": 60_000.0}, {"cost_usd": 2.0}])
def test_who_is_too_slow_or_too_dear_is_not_promoted(much: dict[str, float]) -> None:
    rounds = [[a_verdict("first", 0.5)] * 9 + [replace(a_verdict("second", 0.9), **much)]] * 60  # type: ignore[arg-type]

    ranking = after(*[verdict for one in rounds for verdict in one], settings=CAREFUL)

    assert (ranking.champion, standing(ranking, "second").samples) == ("first", 60)


def test_a_champion_that_was_never_fast_enough_is_not_the_first_either() -> None:
    assert after(*[replace(a_verdict("first"), latency_ms=60_000.0)] * 9, settings=CAREFUL).champion is None


def test_no_title_changes_hands_while_a_circuit_is_open() -> None:
    almost = contest(*[(0.6, 0.8)] * 60, settings=replace(CAREFUL, challenge_margin=5.0))
    verdict = replace(a_verdict("second", 0.8), verdict_id="last")

    for model in ("first", "second"):
        assert rules.after(almost, verdict, CAREFUL, {model}).champion == "first"
    assert rules.after(almost, verdict, CAREFUL, {"third"}).champion == "second"


def test_a_new_champion_that_falls_is_rolled_back() -> None:
    promoted = just_promoted()
    assert promoted.reign is not None
    assert (promoted.reign.previous, promoted.reign.verdicts) == ("first", 1)

    fallen = after(*[a_verdict("second", 0.2)] * 20, ranking=promoted, settings=CAREFUL)

    assert fallen.champion == "first"
    assert fallen.reason.startswith("rolled back: second is at")


def test_a_young_champion_comes_below_its_predecessor_without_a_margin_and_an_old_one_with_it() -> None:
    """What it took over by was not there to stay; later a little less than the best is no reason to change."""
    promoted = just_promoted()
    grown_old = after(*[a_verdict("second", 0.8)] * 50, ranking=promoted, settings=CAREFUL)
    a_little_below = [a_verdict("second", 0.54)] * 45

    assert after(*a_little_below, ranking=promoted, settings=CAREFUL).champion == "first"
    assert after(*a_little_below, ranking=grown_old, settings=CAREFUL).champion == "second"


def test_a_champion_that_breaks_is_followed_by_the_best_of_the_others_at_once() -> None:
    """Its own verdicts say so: no challenger has to fight for it."""
    old = after(
        *[a_verdict("first", 0.8)] * 60, *[a_verdict("second", 0.7), a_verdict("third", 0.5)] * 10, settings=CAREFUL
    )

    broken = after(*[a_verdict("first", 0.2)] * 20, ranking=old, settings=CAREFUL)

    assert (broken.champion, broken.reason.split(",")[0][:10]) == ("second", "first is a")


def test_every_duel_begins_anew_when_the_title_changes() -> None:
    ranking = contest(*[(0.6, 0.8)] * 60)

    assert contest(*[(0.6, 0.8)] * 10, settings=replace(CAREFUL, challenge_margin=5)).standings[1].duel is not None
    assert after(a_command(CommandAction.PROMOTE, "third"), ranking=ranking).standings[0].duel is None


def test_what_a_challenger_proved_long_ago_does_not_help_it_later() -> None:
    """After a long time of being worse its evidence is back at the start, and not below it."""
    worse = contest(*[(0.7, 0.5)] * 300)
    duel = standing(worse, "second").duel
    assert duel is not None
    assert 0.0 < evidence.strength(duel.evidence) <= 1.0

    assert contest(*[(0.7, 0.9)] * 60, ranking=worse).champion == "second"


def test_a_verdict_that_comes_again_counts_once() -> None:
    once = after(a_verdict("first", 0.4))
    again = rules.after(once, replace(a_verdict("first", 0.9), verdict_id="0.0"), SETTINGS)

    assert again == once


def test_the_memory_of_verdicts_is_bounded() -> None:
    settings = replace(SETTINGS, remembered=10)
    ranking = after(*[a_verdict()] * 30, settings=settings)

    assert len(ranking.seen) == 10 * DIGEST
    assert repeated(ranking.seen, "0.29")
    assert not repeated(ranking.seen, "0.3")


def test_the_trend_is_the_newer_half_against_the_older() -> None:
    ranking = after(*[a_verdict(score=score) for score in (0.2, 0.4, 0.8, 1.0)], settings=CAREFUL)

    assert standing(ranking, "first").trend == pytest.approx(0.6)
    assert standing(after(a_verdict()), "first").trend == 0.0


def test_the_price_is_averaged_as_the_score_is() -> None:
    ranking = after(a_verdict(), replace(a_verdict(), cost_usd=1.0))

    assert standing(ranking, "first").cost_usd == 0.5


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

    assert len(ranking.commands) == ORDERS_REMEMBERED


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


@given(st.lists(SAID, max_size=40), st.randoms(use_true_random=False))
def test_records_that_come_again_later_change_nothing(history: list[Verdict | Command], chance: Random) -> None:
    """As after a kill: what was not committed is written again, at new offsets, behind what came meanwhile."""
    known = [replace(one, verdict_id=str(n)) if isinstance(one, Verdict) else one for n, one in enumerate(history)]
    repeating = []
    for position, one in enumerate(known):
        repeating += [one, *(chance.choice(known[: position + 1]) for _ in range(chance.randrange(3)))]

    def fold(said: list[Verdict | Command]) -> Ranking:
        return reduce(lambda now, one: rules.after(now, one, SETTINGS), said, rules.unranked(CELL))

    assert fold(repeating) == fold(known)


@given(st.lists(SAID, max_size=40))
def test_any_history_gives_one_ranking_with_scores_between_0_and_1(history: list[Verdict | Command]) -> None:
    ranking = after(*history)

    assert ranking == after(*history)
    assert [one.model for one in ranking.standings] == sorted({one.model for one in ranking.standings})
    for one in ranking.standings:
        assert 0.0 <= one.low <= one.score <= one.peak <= 1.0
        assert len(one.recent) == min(one.samples, SETTINGS.window)
    assert all(said in ranking.commands for said in {c.command_id for c in history if isinstance(c, Command)})
    if not any(isinstance(said, Command) for said in history) and ranking.champion is not None:
        assert standing(ranking, ranking.champion).samples >= SETTINGS.min_samples
