"""index: KnowledgeDocument -> chunks in the vector store, and an Invalidation for caches."""
