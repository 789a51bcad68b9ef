"""Cells: the kinds of work in which models compete."""

from schemas.records import Domain, Task


def cell(domain: str, task: str) -> str:
    """Return the name of a cell; whether there is such a one, `CELLS` says."""
    return f"{domain}/{task}"


CELLS = tuple(cell(domain, task) for domain in Domain for task in Task)
