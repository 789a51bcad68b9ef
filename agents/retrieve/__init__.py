"""retrieve: Embedding -> Context, the passages an answer may rest on, each with the reason it was kept or dropped."""
