"""The prompt-injection screen: pure layers, and the one class that asks them all. See docs/screen.md."""
