"""Context packs of DataForge: an answer rests on one, the pack changes, and one that is not there is done without."""

from collections.abc import Sequence
from datetime import UTC, datetime

from schemas.records import Invalidation, Result
from streams.packs import SUBJECT
from topology.demo.act import Run
from topology.demo.expect import Check, check
from topology.demo.questions import Asked, Question, asked

MODEL = "extractive"
PACK, NOWHERE = "harbour-museum", "no-such-pack"
OPENING = "When did the whale hall of the harbour museum open?"
FIRST, SECOND = (
    "The whale hall of the harbour museum opened in 1987.",
    "The whale hall of the harbour museum opened in 1991.",
)
LIBRARY = "Why is the blood of an octopus blue?"
TRIES = 20  # until every worker has heard of a change, which takes a tenth of a second


class Pack:
    """What the library does not know, DataForge does."""

    name = "pack"
    title = "A context pack of DataForge"
    about = (
        "A question may name a pack that DataForge has put together. It is fetched once and cached; when its curator changes it, "
        "a record on `invalidations` says so, and no worker uses the older version any more."
    )
    script: Sequence[Asked] = ()

    def missing(self, run: Run) -> str:
        """Return why nobody would quote the pack."""
        return "" if MODEL in run.models else f"{MODEL} is not among the models"

    async def play(self, run: Run) -> Sequence[Check]:
        """Ask, change the pack, ask again; ask for one that is not there."""
        packs = run.neighbours.dataforge.packs
        packs[PACK] = _pack("v1", FIRST)
        before = await _answer(run, _question(OPENING, PACK, "before"))
        packs[PACK] = _pack("v2", SECOND)
        run.sender.send(
            run.topics.invalidations,
            Invalidation(subject=f"{SUBJECT}{PACK}", version="v2", reason="updated", at=datetime.now(UTC)),
        )
        await run.sender.confirmed()
        run.screen.done(f"the curator corrects `{PACK}`; `{run.topics.invalidations.name}` says so", {"changed": PACK})
        after = await _changed(run)
        without = await _answer(run, _question(LIBRARY, NOWHERE, "nowhere"))
        return [
            check(
                f"an answer rested on the pack `{PACK}` and says in which version",
                met=_rests(before, "v1", "1987"),
                otherwise=_seen(before),
            ),
            check(
                "after its invalidation it rested on the new version",
                met=_rests(after, "v2", "1991"),
                otherwise=_seen(after),
            ),
            check(
                "without its pack a question is answered from the library, and says so",
                met=without is not None
                and "context_pack_not_found" in without.degradations
                and {source.source for source in without.sources} == {"vector_store"},
                otherwise=_seen(without),
            ),
        ]


def _pack(version: str, text: str) -> dict[str, object]:
    passage = {"chunk_id": f"{PACK}:{version}", "document_id": PACK, "title": "Harbour museum", "text": text}
    return {"context_pack_id": PACK, "bundle_hash": version, "primary": passage, "supporting": [], "metadata": {}}


def _question(text: str, pack_id: str, when: str) -> Asked:
    question = Question(number=0, text=text, domain="general", model=MODEL, context_pack_id=pack_id)
    return asked(question, f"pack {when}")


async def _answer(run: Run, one: Asked) -> Result | None:
    await run.answered([one])
    result = run.story.journey(one.request_id).result
    run.screen.done(f"pack `{one.question.context_pack_id}`: {_seen(result)}", {"pack": one.question.context_pack_id})
    return result


async def _changed(run: Run) -> Result | None:
    """Ask until the change has come round; the last result."""
    for attempt in range(TRIES):
        one = _question(OPENING, PACK, f"after {attempt}")
        await run.answered([one])
        result = run.story.journey(one.request_id).result
        if result is not None and result.pack_version == "v2":
            break
    run.screen.done(f"pack `{PACK}`: {_seen(result)}", {"pack": PACK})
    return result


def _rests(result: Result | None, version: str, said: str) -> bool:
    return result is not None and result.pack_version == version and said in result.text


def _seen(result: Result | None) -> str:
    if result is None:
        return "no result within its deadline"
    missed = f", without: {', '.join(result.degradations)}" if result.degradations else ""
    return f"version {result.pack_version or 'none'}: {result.text}{missed}"
