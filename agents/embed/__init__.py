"""embed: Request -> Embedding, the vector of its query."""
