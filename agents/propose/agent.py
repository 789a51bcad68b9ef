"""Wiring of propose."""

from agents.propose import rules
from schemas.records import Proposal, SophiaProposal
from streams.app import App
from streams.emit import Emit
from streams.language import Analyst
from streams.ports import Encoder
from streams.settings import ProposeSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Proposal],
    writes: Topic[SophiaProposal],
    analyst: Analyst,
    encoder: Encoder,
    settings: ProposeSettings,
) -> None:
    """Make proposals what Sophia takes: facts are extracted where the producer gives none."""

    @app.stage(reads, name="propose")
    async def propose(proposal: Proposal, emit: Emit) -> None:
        rules.check(proposal, settings)
        analysis = None
        if not (proposal.nodes or proposal.edges):
            analysis = await analyst.analyse(proposal.origin, proposal.raw_text, operations=rules.OPERATIONS)
        (vector,) = await encoder.encode([proposal.raw_text])
        emit(writes, rules.sophia_proposal(proposal, analysis, encoder.model, vector, settings))
