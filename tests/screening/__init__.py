"""The labelled corpus of the prompt-injection screen, its training and its measurement: `make screen`."""
