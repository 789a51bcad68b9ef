"""How verdicts and commands move the ranking of a cell. Pure: the same records in the same order, the same ranking."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import sqrt
from statistics import fmean

from agents.rank import evidence
from schemas.records import (
    Command,
    CommandAction,
    Duel,
    ModelStanding,
    Ranking,
    Reign,
    Verdict,
)
from streams.cells import CELLS
from streams.orders import with_order
from streams.repeats import remembered, repeated
from streams.settings import RankSettings

_ROUNDING = 1e-9
_ORDERS = frozenset(
    {
        CommandAction.PROMOTE,
        CommandAction.DEMOTE,
        CommandAction.FREEZE,
        CommandAction.UNFREEZE,
        CommandAction.RESET,
    }
)


def unranked(cell: str) -> Ranking:
    """Return the ranking of a cell before its first verdict."""
    return Ranking(cell=cell, counted={})


def cells(said: Verdict | Command) -> Sequence[str]:
    """Return the cell a record is about; none for a command to a circuit."""
    if isinstance(said, Verdict):
        return (said.cell,)
    return (said.subject,) if said.subject in CELLS and said.action in _ORDERS else ()


def after(
    ranking: Ranking, said: Verdict | Command, settings: RankSettings, unwell: Collection[str] = frozenset()
) -> Ranking:
    """Return the ranking after a verdict or a command. `unwell` are the models whose circuit is not closed."""
    if isinstance(said, Command):
        return obeyed(ranking, said, settings)
    if repeated(ranking.seen, said.verdict_id):
        return ranking
    seen = remembered(ranking.seen, said.verdict_id, settings.remembered)
    return ranked(replace(ranking, seen=seen), said, settings, unwell)


def ranked(
    ranking: Ranking, verdict: Verdict, settings: RankSettings, unwell: Collection[str] = frozenset()
) -> Ranking:
    """Count a verdict, then let the title go to another model if the rules say so."""
    standings = {standing.model: standing for standing in ranking.standings}
    compared = _compared(standings, verdict, ranking.champion)
    compared[verdict.model] = _moved(compared.get(verdict.model), verdict, settings)
    counted = replace(ranking, standings=tuple(compared[model] for model in sorted(compared)))
    if verdict.model == ranking.champion:
        counted = replace(counted, reign=_reigned(counted, verdict, settings))
    return counted if ranking.frozen else _contested(counted, verdict.at, settings, unwell)


def obeyed(ranking: Ranking, command: Command, settings: RankSettings) -> Ranking:
    """Obey a command once; a repeated id changes nothing.

    A demoted model loses its standing and has to earn its samples anew, otherwise the next verdict would put it back.
    """
    if command.command_id in ranking.commands:
        return ranking
    obeyed_now = replace(ranking, commands=with_order(ranking.commands, command))
    match command.action:
        case CommandAction.PROMOTE if command.model:
            return _led_by(obeyed_now, command.model, command.at, _ordered(command))
        case CommandAction.DEMOTE:
            return _demoted(obeyed_now, command, settings)
        case CommandAction.FREEZE | CommandAction.UNFREEZE:
            return replace(obeyed_now, frozen=command.action is CommandAction.FREEZE)
        case CommandAction.RESET:
            forgotten = replace(obeyed_now, standings=(), frozen=False)
            return _led_by(forgotten, None, command.at, _ordered(command))
        case _:
            return obeyed_now


def needed_lead(champion: float, settings: RankSettings) -> float:
    """Return how far above a champion's score a challenger's must be.

    A share of the champion's score cannot depose a champion above 0.83, as no score is above 1. A share of the headroom, which is the
    smaller of what it has and what it lacks, asks the same at 0.3 as at 0.7 and lets 0.95 be beaten by 0.96.
    """
    share = champion if settings.challenge_by == "score" else min(champion, 1.0 - champion)
    return settings.challenge_margin * share


def _moved(standing: ModelStanding | None, verdict: Verdict, settings: RankSettings) -> ModelStanding:
    """Move the averages of one model: new = old + alpha * (verdict - old); the first verdict is the average."""
    newest = _score(verdict)
    if standing is None:
        return ModelStanding(
            model=verdict.model,
            score=newest,
            samples=1,
            recent=(newest,),
            peak=newest,
            low=newest,
            latency_ms=verdict.latency_ms,
            cost_usd=verdict.cost_usd,
            as_of=verdict.at,
        )
    score = min(1.0, max(0.0, standing.score + settings.alpha * (newest - standing.score)))
    recent = (*standing.recent, newest)[-settings.window :]
    return replace(
        standing,
        score=score,
        samples=standing.samples + 1,
        recent=recent,
        peak=max(standing.peak, score),
        low=min(standing.low, score),
        latency_ms=standing.latency_ms + settings.alpha * (verdict.latency_ms - standing.latency_ms),
        cost_usd=standing.cost_usd + settings.alpha * (verdict.cost_usd - standing.cost_usd),
        as_of=max(standing.as_of, verdict.at),
        trend=_trend(recent),
    )


def _compared(
    standings: Mapping[str, ModelStanding], verdict: Verdict, champion: str | None
) -> dict[str, ModelStanding]:
    """Add a verdict to the duels it belongs to: the champion's to every one, a challenger's to its own."""
    found = dict(standings)
    leader = found.get(champion) if champion else None
    if leader is None:
        return found
    for model, standing in standings.items():
        if model != champion and verdict.model in {champion, model}:
            found[model] = replace(standing, duel=_fought(standing, leader, verdict))
    return found


def _fought(standing: ModelStanding, leader: ModelStanding, verdict: Verdict) -> Duel:
    """Return a challenger's duel after a verdict on it or on the champion; a pair is made as soon as both have shown something."""
    duel, score = standing.duel or Duel(), _score(verdict)
    if verdict.model == standing.model:
        duel = replace(duel, own_sum=duel.own_sum + score, own_count=duel.own_count + 1)
    else:
        duel = replace(duel, champion_sum=duel.champion_sum + score, champion_count=duel.champion_count + 1)
    if not (duel.own_count and duel.champion_count):
        return duel
    own, other = duel.own_sum / duel.own_count, duel.champion_sum / duel.champion_count
    spread = sqrt(
        evidence.variance(standing.recent) / duel.own_count + evidence.variance(leader.recent) / duel.champion_count
    )
    worst = max(fmean(leader.recent) - min(standing.recent), 0.0)
    grown = evidence.grown(duel.evidence, own - other, spread=spread, worst=worst)
    return Duel(strength=evidence.strength(grown), evidence=grown, pairs=duel.pairs + 1)


def _reigned(ranking: Ranking, verdict: Verdict, settings: RankSettings) -> Reign:
    """Hold a verdict on the champion against the level of its rival.

    The champion gets most of the verdicts: that it has fallen is known long before a challenger has fought enough pairs.
    """
    reign, champion = ranking.reign or Reign(), _standing(ranking, verdict.model)
    reign = replace(reign, verdicts=reign.verdicts + 1)
    rival = _rival(ranking, settings)
    if rival is None:
        return reign
    level = _level(rival)
    grown = evidence.grown(
        reign.evidence,
        level - _score(verdict),
        spread=sqrt(evidence.variance(champion.recent)),
        worst=max(max(champion.recent) - level, 0.0),
    )
    return replace(reign, strength=evidence.strength(grown), evidence=grown)


def _rival(ranking: Ranking, settings: RankSettings) -> ModelStanding | None:
    """Return whom the champion must not fall below: while its reign is young, whom it has deposed; else the best of the others."""
    others = [one for one in ranking.standings if one.model != ranking.champion and _eligible(one, settings)]
    previous = next((one for one in others if _is_young(ranking.reign, settings) == one.model), None)
    return previous or max(others, key=_level, default=None)


def _is_young(reign: Reign | None, settings: RankSettings) -> str | None:
    """Return the model that comes back if the champion fails now."""
    return reign.previous if reign is not None and reign.verdicts < settings.trial else None


def _level(standing: ModelStanding) -> float:
    """Return the score a model can be relied on for: the lower of its average and its window's, less its standard error.

    The best of several is the luckiest as well; what it has shown a few times is not yet what a champion must not fall below.
    """
    error = sqrt(evidence.variance(standing.recent) / len(standing.recent))
    return min(standing.score, fmean(standing.recent)) - error


def _contested(ranking: Ranking, at: datetime, settings: RankSettings, unwell: Collection[str]) -> Ranking:
    """Let another model have the title: the first with enough verdicts, the rival of a fallen champion, a proven challenger."""
    if ranking.champion is None:
        first = _best(ranking, settings, but=None, unwell=unwell)
        reason = f"first with {first.samples} verdicts ({first.score:.3f})" if first else ""
        return _led_by(ranking, first.model, at, reason) if first else ranking
    champion = next((one for one in ranking.standings if one.model == ranking.champion), None)
    if champion is None or champion.model in unwell:  # never judged, by command; or judged in bad days only
        return ranking
    rival = _rival(ranking, settings)
    if rival is not None and rival.model not in unwell and _fallen(ranking, champion, rival, settings):
        rolls_back = rival.model == _is_young(ranking.reign, settings)
        found = ranking.reign.strength if ranking.reign else 1.0
        reason = f"{champion.model} is at {champion.score:.3f}, below {_level(rival):.3f} of {rival.model}, evidence {found:.0f}"
        return _deposed(ranking, rival.model, at, f"rolled back: {reason}" if rolls_back else reason)
    challenger = max(
        (one for one in ranking.standings if one.model not in unwell and _proven(one, champion, settings)),
        key=lambda one: one.score,
        default=None,
    )
    if challenger is None:
        return ranking
    strength = challenger.duel.strength if challenger.duel else 1.0
    reason = f"{challenger.score:.3f} against {champion.score:.3f} of {champion.model}, evidence {strength:.0f}"
    return _deposed(ranking, challenger.model, at, reason)


def _proven(challenger: ModelStanding, champion: ModelStanding, settings: RankSettings) -> bool:
    """Whether a challenger may take over: it leads by the margin, it is not chance, it is fast and cheap enough."""
    return (
        challenger.model != champion.model
        and _eligible(challenger, settings)
        and _leads(challenger, champion, settings)
        and _is_no_chance(challenger.duel.strength if challenger.duel else 1.0, settings)
    )


def _fallen(ranking: Ranking, champion: ModelStanding, rival: ModelStanding, settings: RankSettings) -> bool:
    """Whether the champion has to go; a young one without the margin, as what it took over by was not there to stay."""
    if ranking.reign is None or settings.false_alarm >= 1.0:
        return False
    far = _leads(rival, champion, settings)
    if rival.model == _is_young(ranking.reign, settings):
        far = champion.score < _level(rival)
    return far and _is_no_chance(ranking.reign.strength, settings)


def _leads(one: ModelStanding, champion: ModelStanding, settings: RankSettings) -> bool:
    lead = one.score - champion.score
    return lead > 0.0 and lead >= needed_lead(champion.score, settings) - _ROUNDING


def _is_no_chance(strength: float, settings: RankSettings) -> bool:
    return settings.false_alarm >= 1.0 or strength >= 1.0 / settings.false_alarm


def _eligible(standing: ModelStanding, settings: RankSettings) -> bool:
    return (
        standing.samples >= settings.min_samples
        and standing.latency_ms <= settings.max_latency_ms
        and standing.cost_usd <= settings.max_cost_usd
    )


def _demoted(ranking: Ranking, command: Command, settings: RankSettings) -> Ranking:
    model = command.model or ranking.champion
    left = replace(ranking, standings=tuple(one for one in ranking.standings if one.model != model))
    if model != ranking.champion:
        return left
    successor = _best(left, settings, but=model)
    return _led_by(left, successor.model if successor else None, command.at, _ordered(command))


def _best(
    ranking: Ranking, settings: RankSettings, *, but: str | None, unwell: Collection[str] = frozenset()
) -> ModelStanding | None:
    """Return the best model that may lead; of equals, the first by name."""
    eligible = [
        one for one in ranking.standings if one.model != but and one.model not in unwell and _eligible(one, settings)
    ]
    return max(eligible, key=lambda one: one.score, default=None)


def _deposed(ranking: Ranking, model: str, at: datetime, reason: str) -> Ranking:
    return replace(_led_by(ranking, model, at, reason), reign=Reign(previous=ranking.champion))


def _led_by(ranking: Ranking, model: str | None, at: datetime, reason: str) -> Ranking:
    """Give the title to a model; every duel was against the one before."""
    standings = tuple(replace(one, duel=None) for one in ranking.standings)
    return replace(ranking, champion=model, since=at, reason=reason, standings=standings, reign=None)


def _standing(ranking: Ranking, model: str) -> ModelStanding:
    return next(one for one in ranking.standings if one.model == model)


def _score(verdict: Verdict) -> float:
    return min(1.0, max(0.0, verdict.score))


def _trend(recent: Sequence[float]) -> float:
    half = len(recent) // 2
    return fmean(recent[-half:]) - fmean(recent[:half]) if half else 0.0


def _ordered(command: Command) -> str:
    return f"{command.action} by {command.issued_by}: {command.reason}"
