"""How verdicts and commands move the ranking of a cell. Pure: the same records in the same order, the same ranking."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from schemas.records import Command, CommandAction, Domain, ModelStanding, Ranking, Task, Verdict
from streams.settings import RankSettings

CELLS = frozenset(f"{domain}/{task}" for domain in Domain for task in Task)
COMMANDS_REMEMBERED = 100
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


def after(ranking: Ranking, said: Verdict | Command, settings: RankSettings) -> Ranking:
    """Return the ranking after a verdict or a command."""
    return ranked(ranking, said, settings) if isinstance(said, Verdict) else obeyed(ranking, said, settings)


def ranked(ranking: Ranking, verdict: Verdict, settings: RankSettings) -> Ranking:
    """Count a verdict, then let the best challenger take over if it may."""
    standings = {standing.model: standing for standing in ranking.standings}
    standings[verdict.model] = _moved(standings.get(verdict.model), verdict, settings)
    counted = replace(ranking, standings=tuple(standings[model] for model in sorted(standings)))
    return counted if ranking.frozen else _contested(counted, verdict.at, settings)


def obeyed(ranking: Ranking, command: Command, settings: RankSettings) -> Ranking:
    """Obey a command once; a repeated id changes nothing.

    A demoted model loses its standing and has to earn its samples anew, otherwise the next verdict would put it back.
    """
    if command.command_id in ranking.commands:
        return ranking
    obeyed_now = replace(ranking, commands=(*ranking.commands, command.command_id)[-COMMANDS_REMEMBERED:])
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


def _moved(standing: ModelStanding | None, verdict: Verdict, settings: RankSettings) -> ModelStanding:
    """Move the averages of one model: new = old + alpha * (verdict - old); the first verdict is the average."""
    newest = min(1.0, max(0.0, verdict.score))
    if standing is None:
        return ModelStanding(
            model=verdict.model,
            score=newest,
            samples=1,
            recent=(newest,),
            peak=newest,
            low=newest,
            latency_ms=verdict.latency_ms,
            as_of=verdict.at,
        )
    score = min(1.0, max(0.0, standing.score + settings.alpha * (newest - standing.score)))
    return ModelStanding(
        model=verdict.model,
        score=score,
        samples=standing.samples + 1,
        recent=(*standing.recent, newest)[-settings.window :],
        peak=max(standing.peak, score),
        low=min(standing.low, score),
        latency_ms=standing.latency_ms + settings.alpha * (verdict.latency_ms - standing.latency_ms),
        as_of=max(standing.as_of, verdict.at),
    )


def _contested(ranking: Ranking, at: datetime, settings: RankSettings) -> Ranking:
    """Let the best model that is not the champion take over, if there is none or it leads by the margin.

    The margin is a share of the champion's score, so that nobody is deposed by noise: at 0.2 a champion above 0.83
    leaves only by getting worse or by command.
    """
    challenger = _best(ranking, settings, but=ranking.champion)
    if challenger is None:
        return ranking
    champion = next((one for one in ranking.standings if one.model == ranking.champion), None)
    if ranking.champion is None:
        reason = f"first with {challenger.samples} verdicts ({challenger.score:.3f})"
    elif champion is None:  # put there by command and never judged: it stays until it is
        return ranking
    elif challenger.score > champion.score and challenger.score >= champion.score * (1.0 + settings.challenge_margin):
        reason = f"{challenger.score:.3f} against {champion.score:.3f} of {champion.model}"
    else:
        return ranking
    return _led_by(ranking, challenger.model, at, reason)


def _demoted(ranking: Ranking, command: Command, settings: RankSettings) -> Ranking:
    model = command.model or ranking.champion
    left = replace(ranking, standings=tuple(one for one in ranking.standings if one.model != model))
    if model != ranking.champion:
        return left
    successor = _best(left, settings, but=model)
    return _led_by(left, successor.model if successor else None, command.at, _ordered(command))


def _best(ranking: Ranking, settings: RankSettings, *, but: str | None) -> ModelStanding | None:
    """Return the best model with enough verdicts; of equals, the first by name."""
    eligible = [one for one in ranking.standings if one.model != but and one.samples >= settings.min_samples]
    return max(eligible, key=lambda one: one.score, default=None)


def _led_by(ranking: Ranking, model: str | None, at: datetime, reason: str) -> Ranking:
    return replace(ranking, champion=model, since=at, reason=reason)


def _ordered(command: Command) -> str:
    return f"{command.action} by {command.issued_by}: {command.reason}"
