"""What each stage does: one folder a stage, `agent.py` is wiring and `rules.py` decides."""
