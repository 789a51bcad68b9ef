"""Ten questions: answerable, unanswerable, malformed, repeated, in one conversation."""

from collections.abc import Sequence

from topology.demo.act import Run
from topology.demo.expect import Check, endings, order
from topology.demo.questions import acts, scripted


class Questions:
    """What is asked at once is on its way at once; nothing more is asked when a portion does not end."""

    name = "questions"
    title = "Questions"
    about = "Each with its way through the stages, its answer, the passages it rests on, and five scores."
    script = tuple(scripted())

    def missing(self, _run: Run) -> str:
        """Return nothing: this needs what every run has."""
        return ""

    async def play(self, run: Run) -> Sequence[Check]:
        """Ask portion by portion."""
        for portion in acts(self.script):
            if not await run.shown(portion):
                break
        return [*endings(run.story, self.script), *order(run.story, self.script)]
