"""Wiring of submit. It decides nothing, so it has no rules."""

from collections.abc import Mapping

from schemas.records import CircuitState, Effect, Outcome, SophiaProposal
from streams.app import App
from streams.circuit import SOPHIA
from streams.courier import Books, Courier, Receiver
from streams.emit import Emit
from streams.errors import SophiaRefused, SophiaUnavailable
from streams.ports import Clock, EffectMemory, ProposalSink
from streams.retry import FOR_EVER
from streams.settings import SophiaSettings
from streams.topic import Topic, of_tenant

STAGE = "submit"


def attach(
    app: App,
    *,
    reads: Topic[SophiaProposal],
    outcomes: Topic[Outcome],
    effects: Topic[Effect],
    memory: EffectMemory,
    sink: ProposalSink,
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    settings: SophiaSettings,
) -> None:
    """Submit proposals, in order per conversation; while Sophia is down they wait. One submitted twice has the same id."""
    receiver = Receiver(
        dependency=SOPHIA,
        sink=sink,
        unavailable=SophiaUnavailable,
        refused=SophiaRefused,
        most_records=1,
        parallel=settings.parallel,
    )
    books = Books(outcomes=outcomes, effects=effects, memory=memory)
    courier = Courier(receiver, books, key=reads.key, circuits=circuits, partitions=reads.partitions, clock=clock)

    @app.stage(reads, name=STAGE, ordered=False, patience_s=FOR_EVER, pauses=settings)
    async def submit(proposal: SophiaProposal, emit: Emit) -> None:
        proposed = of_tenant(proposal.origin.tenant, proposal.proposal_id)
        await courier.deliver(proposal, f"{proposed}/{STAGE}", emit)
