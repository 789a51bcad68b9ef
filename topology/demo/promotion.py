"""The order that `forgestream champions promote` gives, given by an act."""

import asyncio
import hashlib
from datetime import UTC, datetime

from schemas.ids import RANDOM_BYTES, uuid7
from schemas.records import Command, CommandAction
from topology.demo.act import Run
from topology.demo.journeys import Story
from topology.demo.questions import ID_EPOCH_MS

OBEYED_S = 10.0
VIEW_S = 0.2  # for the router's view to follow what the observer has seen


async def promoted(run: Run, cell: str, model: str, reason: str) -> None:
    """Give the title of a cell to a model, and show how a person would.

    Raises:
        DeliveryFailed: the broker did not take the order.
    """
    order = Command(
        command_id=uuid7(ID_EPOCH_MS, hashlib.sha256(f"{cell} {model}".encode()).digest()[:RANDOM_BYTES]),
        subject=cell,
        action=CommandAction.PROMOTE,
        model=model,
        issued_by="forgestream demo",
        reason=reason,
        at=datetime.now(UTC),
    )
    run.sender.send(run.topics.commands, order)
    await run.sender.confirmed()

    def obeyed(story: Story) -> bool:
        return cell in story.rankings and order.command_id in story.rankings[cell].commands

    await run.observer.until(obeyed, within_s=OBEYED_S, moved=lambda _: None)
    command = f"forgestream champions promote {cell} {model} --reason {reason!r}"
    run.screen.done(f"`{model}` leads {cell} by order, as by: {command}", {"order": order})
    await asyncio.sleep(VIEW_S)
