"""How stages are connected: topics, units, graph, worker, command line, embedded stack."""
