"""watch: Outcome, Command -> CircuitState. The only writer of the table of circuits."""
