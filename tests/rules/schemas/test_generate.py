"""`python -m schemas.generate`: new versions beside the old ones, and no change that old bytes would not survive."""

import json
from dataclasses import field, make_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pytest

from schemas.generate import main
from schemas.published import LOCK, read, versions


def a_record(doc: str = "A thing.", **fields: Any) -> type:  # noqa: ANN401 - annotations
    """Return a record class `Thing`; a field given as (type, default) has a default."""
    made = make_dataclass(
        "Thing",
        [
            (name, Annotated[given[0], name], field(default=given[1]))
            if isinstance(given, tuple)
            else (name, Annotated[given, name])
            for name, given in fields.items()
        ],
        frozen=True,
        kw_only=True,
    )
    made.__doc__ = doc
    return made


def lock(folder: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads((folder / LOCK).read_text())


def test_the_first_run_publishes_version_one(tmp_path: Path) -> None:
    assert main([], tmp_path, [a_record(name=str)]) == 0

    assert lock(tmp_path) == {"1": "Thing/1"}
    [only] = versions(read(tmp_path), "Thing")
    assert only.schema["fields"] == [{"name": "name", "type": "string", "doc": "name"}]


def test_nothing_changed_nothing_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([], tmp_path, [a_record(name=str)])

    assert main([], tmp_path, [a_record(name=str)]) == 0
    assert main(["--check"], tmp_path, [a_record(name=str)]) == 0

    assert capsys.readouterr().out.endswith("nothing to write\n")
    assert lock(tmp_path) == {"1": "Thing/1"}


def test_a_change_is_a_new_version_and_the_old_one_stays(tmp_path: Path) -> None:
    main([], tmp_path, [a_record(name=str)])
    first = (tmp_path / "Thing" / "1.avsc").read_bytes()

    assert main([], tmp_path, [a_record(name=str, at=(datetime | None, None))]) == 0

    assert lock(tmp_path) == {"1": "Thing/1", "2": "Thing/2"}
    assert (tmp_path / "Thing" / "1.avsc").read_bytes() == first
    assert main(["--check"], tmp_path, [a_record(name=str, at=(datetime | None, None))]) == 0


def test_the_check_says_what_is_missing_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([], tmp_path, [a_record(name=str)])

    assert main(["--check"], tmp_path, [a_record(name=str, size=(int, 0))]) == 1

    assert "lacks Thing 2: run `python -m schemas.generate`" in capsys.readouterr().err
    assert lock(tmp_path) == {"1": "Thing/1"}


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_an_incompatible_change_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    main([], tmp_path, [a_record(name=str)])

    assert main(arguments, tmp_path, [a_record(name=str, size=int)]) == 1

    assert "Thing can no longer read its version 1: Thing.size is new and has no default" in capsys.readouterr().err
    assert lock(tmp_path) == {"1": "Thing/1"}


def test_all_earlier_versions_count_not_only_the_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A field that came in version 2 cannot become required in version 3: version 1 has none."""
    main([], tmp_path, [a_record(name=str)])
    main([], tmp_path, [a_record(name=str, size=(int, 0))])

    assert main([], tmp_path, [a_record(name=str, size=int)]) == 1

    assert "can no longer read its version 1" in capsys.readouterr().err


def test_ids_are_never_given_twice(tmp_path: Path) -> None:
    """Also when the record they belonged to is gone."""
    other = a_record(name=str)
    other.__name__ = "Other"
    main([], tmp_path, [a_record(name=str), other])
    main([], tmp_path, [a_record(name=str, size=(int, 0))])

    assert lock(tmp_path) == {"1": "Thing/1", "2": "Other/1", "3": "Thing/2"}
