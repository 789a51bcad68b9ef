"""How any record is handled: engine, error taxonomy, settings, telemetry, clients of outside systems."""
