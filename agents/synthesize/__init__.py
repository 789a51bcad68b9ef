"""synthesize: SpeechRequest -> SpeechChunk, sentence by sentence, on the best rung of a ladder that ends in text."""
