"""Context beside the program."""

import json
from pathlib import Path

import pytest

from streams.clients.static_packs import static_packs
from streams.errors import SettingsInvalid


def test_every_file_is_a_pack_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "general.json").write_text(json.dumps({"primary": "One.", "bundle_hash": "v1"}), encoding="utf-8")
    (tmp_path / "pack-7.json").write_text(json.dumps({"primary": {"text": "Two."}}), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no pack", encoding="utf-8")

    packs = static_packs(str(tmp_path))

    assert {name: pack.passages[0].text for name, pack in packs.items()} == {"general": "One.", "pack-7": "Two."}
    assert static_packs("") == {}


def test_all_files_that_are_no_packs_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    (tmp_path / "b.json").write_text("{}", encoding="utf-8")

    with pytest.raises(SettingsInvalid) as raised:
        static_packs(str(tmp_path))

    assert ["a.json" in raised.value.problems[0], "b.json" in raised.value.problems[1]] == [True, True]
    with pytest.raises(SettingsInvalid, match="is no directory"):
        static_packs(str(tmp_path / "gone"))
