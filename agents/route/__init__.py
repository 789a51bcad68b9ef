"""route: Prompt -> Answer, by the model that strategy, champions and circuits choose; tokens are streamed."""
