"""DataForge goes away and comes back: answers go on, feedback waits on its topic and arrives once each."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from schemas.records import Status
from streams.circuit import DATAFORGE_FEEDBACK
from topology.demo import library
from topology.demo.act import Run
from topology.demo.expect import Check, check, unreported
from topology.demo.journeys import Story
from topology.demo.questions import Asked, Question, asked

MODEL = "extractive"
AWAY = 4  # questions while nobody listens
TOKENS = 32
ARRIVAL_S = 15.0
POLL_S = 0.05


class Delivery:
    """What DataForge has is asked of it, not of the topic."""

    name = "delivery"
    title = "DataForge goes away"
    about = (
        "Every answer is told to DataForge, here one of the demo's own on loopback. It stops listening, and comes back."
    )
    script: Sequence[Asked] = ()

    def missing(self, run: Run) -> str:
        """Return why nothing would be quick to answer."""
        return "" if MODEL in run.models else f"{MODEL} is not among the models"

    async def play(self, run: Run) -> Sequence[Check]:
        """Compare, stop, ask, start, compare."""
        dataforge = run.neighbours.dataforge
        if not run.story.feedback:
            await run.answered(_questions("before", 2))
        before = await _arrived(run)
        _say(run, "so far")
        await dataforge.stop()
        run.screen.done("DataForge does not listen any more", {"dataforge": "stopped"})
        away = _questions("away", AWAY)
        answered = await run.answered(away)
        meanwhile = len(dataforge.known())
        waiting = len(_ids(run.story)) - meanwhile
        run.screen.done(
            f"{len(away)} more questions were answered; {waiting} feedback records wait on topic `{run.topics.feedback.name}`",
            {"answered": len(away), "waiting": waiting},
        )
        began = time.monotonic()
        await dataforge.start()
        after = await _arrived(run)
        _say(run, f"{time.monotonic() - began:.1f} s after it came back")
        await _well_again(run)
        served = [run.story.journey(one.request_id).result for one in away]
        in_time = answered and all(one is not None and one.status in {Status.OK, Status.DEGRADED} for one in served)
        return [
            check("DataForge had the feedback of every answer, under the same ids", met=before),
            check(
                f"while it was away {len(away)} requests were answered, and their feedback waited",
                met=in_time and waiting == len(away),
                otherwise=f"{waiting} records waited",
            ),
            check(
                "after its return all feedback arrived, each record once",
                met=after and not dataforge.twice() and not dataforge.refused,
                otherwise=_odd(run),
            ),
        ]


def _questions(act: str, count: int) -> Sequence[Asked]:
    rows = library.labelled()[-count:] if act == "away" else library.labelled()[:count]
    return [
        asked(
            Question(number=0, text=row.question, domain="general", model=MODEL, max_tokens=TOKENS), f"delivery {act}"
        )
        for row in rows
    ]


def _ids(story: Story) -> frozenset[str]:
    return frozenset(story.feedback)


async def _arrived(run: Run) -> bool:
    """Wait until DataForge knows what the topic holds. False when it does not in time."""
    run.screen.doing("waiting for feedback to arrive")
    until = time.monotonic() + ARRIVAL_S
    while not (unreported(run.story) == 0 and run.neighbours.dataforge.known() == _ids(run.story)):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def _well_again(run: Run) -> None:
    """Ask once more when the circuit of DataForge has opened: it is the next delivery that closes it."""
    state = run.story.circuits.get(DATAFORGE_FEEDBACK)
    if state is None or state.open_until is None:
        return
    await asyncio.sleep(max(0.0, (state.open_until - datetime.now(UTC)).total_seconds()) + POLL_S)
    await run.answered(_questions("afterwards", 1))
    await run.observer.until(
        lambda story: story.circuits[DATAFORGE_FEEDBACK].open_until is None, within_s=ARRIVAL_S, moved=lambda _: None
    )


def _say(run: Run, when: str) -> None:
    known = run.neighbours.dataforge.known()
    same = known == _ids(run.story)
    run.screen.done(
        f"DataForge has {len(known)} feedback records {when}, {'the same ids as' if same else 'not those'} on the topic",
        {"delivered": len(known), "same": same},
    )


def _odd(run: Run) -> str:
    dataforge = run.neighbours.dataforge
    missing, twice = len(_ids(run.story) - dataforge.known()), len(dataforge.twice())
    parts = [
        f"{missing} missing" if missing else "",
        f"{twice} twice" if twice else "",
        "; ".join(dataforge.refused[:3]),
    ]
    return ", ".join(part for part in parts if part)
