"""Language models: sentences, words, lemmas, names."""
