"""propose: Proposal -> SophiaProposal. The facts of a text, its vector, and where both come from."""
