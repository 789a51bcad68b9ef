"""Which tests may share a process."""

from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SHARES_A_BROKER = (TESTS / "broker", TESTS / "chaos")


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Keep the tests of a real broker in one process, so that they share it; the others go where there is room."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in SHARES_A_BROKER):
            item.add_marker(pytest.mark.xdist_group("broker"))
