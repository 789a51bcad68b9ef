"""What an act of the demo is, and what it has at hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from streams.settings import Settings
from topology.demo.ask import Sender
from topology.demo.expect import Check
from topology.demo.journeys import Story
from topology.demo.neighbours import Neighbours
from topology.demo.observe import Observer
from topology.demo.questions import DEADLINE, Asked, text_query
from topology.demo.screen import Screen
from topology.topics import Topics

GRACE_S = 5.0  # beyond a request's deadline: its expiry is a result too


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What an act has at hand once everything is up."""

    settings: Settings
    topics: Topics
    sender: Sender
    observer: Observer
    screen: Screen
    neighbours: Neighbours

    @property
    def story(self) -> Story:
        """What has been seen so far."""
        return self.observer.story

    @property
    def models(self) -> Sequence[str]:
        """The models of the chain, first choice first."""
        return [name.strip() for name in self.settings.route.models.split(",") if name.strip()]

    async def ask(self, asked: Sequence[Asked]) -> None:
        """Ask all of them at once.

        Raises:
            DeliveryFailed: the broker did not take a question.
        """
        for one in asked:
            self.sender.send(self.topics.texts, text_query(one, datetime.now(UTC)))
        await self.sender.confirmed()

    async def ended(self, asked: Sequence[Asked], moved: Callable[[Story], None] = lambda _: None) -> bool:
        """Wait for the results of what was asked; `moved` hears of all news. False when one has none."""
        return await self.observer.until(
            lambda story: all(story.journey(one.request_id).complete for one in asked),
            within_s=DEADLINE.total_seconds() + GRACE_S,
            moved=moved,
        )

    async def answered(self, asked: Sequence[Asked], moved: Callable[[Story], None] = lambda _: None) -> bool:
        """Ask all of them at once and wait for their results. Raises DeliveryFailed."""
        await self.ask(asked)
        return await self.ended(asked, moved)

    async def shown(self, asked: Sequence[Asked]) -> bool:
        """As `answered`, with a panel for each that shows its way, its answer, its sources and its scores."""
        ended = await self.answered(asked, lambda story: self.screen.watching(asked, story))
        for one in asked:
            self.screen.ended(one, self.story.journey(one.request_id))
        return ended


class Act(Protocol):
    """A part of the demo that can be played by itself, once the library is loaded."""

    @property
    def name(self) -> str:
        """What `--act` calls it."""

    @property
    def title(self) -> str:
        """What stands above it."""

    @property
    def about(self) -> str:
        """What is about to be seen."""

    @property
    def script(self) -> Sequence[Asked]:
        """What it asks in panels of its own; the summary lists it."""

    def missing(self, run: Run) -> str:
        """Return why it cannot be played here; empty when it can."""

    async def play(self, run: Run) -> Sequence[Check]:
        """Do it, show it, and judge it.

        Raises:
            DeliveryFailed: the broker did not take a record.
        """
