"""submit: SophiaProposal -> Sophia."""
