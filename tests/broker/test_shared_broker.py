"""The broker that the tests of one run share."""

import os
import subprocess
import sys
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.shared_broker import ROOT, lease

SAMPLE = """
import pytest
from confluent_kafka.admin import AdminClient

@pytest.mark.parametrize("number", range(4))
def test_sample(kafka: str, number: int) -> None:
    cluster = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).cluster_id
    with open("SEEN", "a") as seen:
        seen.write(cluster + "\\n")
"""


def test_all_workers_of_a_run_share_one_broker_and_the_last_one_stops_it(tmp_path: Path) -> None:
    """Two xdist workers see one cluster; after the run nothing of it is left."""
    seen = tmp_path / "seen"
    (tmp_path / "test_sample.py").write_text(SAMPLE.replace("SEEN", str(seen)), encoding="utf-8")
    (tmp_path / "conftest.py").write_text("from tests.conftest import kafka\n", encoding="utf-8")

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base"),
         "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert run.returncode == 0, run.stdout + run.stderr
    clusters = seen.read_text(encoding="utf-8").split()
    assert len(clusters) == 4
    assert len(set(clusters)) == 1
    assert not list(tmp_path.glob("forgestream-kafka-*"))


def test_a_broker_is_not_stopped_while_somebody_still_holds_it(tmp_path: Path) -> None:
    """The first of two leases ends: the second still has an answering broker."""
    with lease(tmp_path / "shared", "embedded") as second:
        with lease(tmp_path / "shared", "embedded") as first:
            pass

        assert first == second
        assert AdminClient({"bootstrap.servers": second}).list_topics(timeout=10).brokers
