"""Servers on loopback that speak the protocols of model providers, event by event, and misbehave on demand."""
