"""The command line."""

from topology.cli.root import main

__all__ = ["main"]
