"""Replays: historical topics through the same graph, in a namespace of their own, and a report that compares."""
