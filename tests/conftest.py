"""Fixtures every test may use. Nothing is started for a test that does not ask for it."""

import os
import signal
import uuid
from collections.abc import Iterator

import hypothesis
import pytest

from tests.clock import FixedClock

# A busy machine is slow at times; what hangs meets the time-out of the test. The same code has the same examples, so that a change
# is judged by what it changed; `make fuzz` looks for new ones.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=5_000, print_blob=True)
hypothesis.settings.load_profile("repeatable")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as shells start what runs in the background; children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> FixedClock:
    """A clock at 2026-11-21 12:00 UTC that only `advance` moves."""
    return FixedClock()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real broker, shared by all workers of the run; isolate with `namespace`.

    FORGESTREAM_KAFKA names a cluster to use instead. Otherwise it is the embedded broker, also where Docker is: a run
    is the same everywhere, starts in two seconds and pulls no image. With FORGESTREAM_TEST_KAFKA=docker testcontainers
    starts it.
    """
    cluster = os.environ.get("FORGESTREAM_KAFKA")
    if cluster:
        yield cluster
        return
    from tests.shared_broker import lease  # noqa: PLC0415 - tests without a broker do not load its client

    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-broker"
    with lease(directory, os.environ.get("FORGESTREAM_TEST_KAFKA", "embedded")) as address:
        yield address


@pytest.fixture
def namespace() -> str:
    """A prefix for topics and groups that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}-"
