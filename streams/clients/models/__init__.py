"""Model providers; the contract is docs/providers.md."""
