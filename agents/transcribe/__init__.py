"""transcribe: AudioChunk -> Transcript, and on as TextQuery or Proposal. Clips come in chunks, live speech in frames."""
