"""Context that an operator keeps beside the program, for when nothing else can be had."""

import json
from collections.abc import Mapping
from pathlib import Path

from streams.clients.pack_reading import pack_of
from streams.errors import PackInvalid, SettingsInvalid
from streams.packs import Pack


def static_packs(directory: str) -> Mapping[str, Pack]:
    """Return the packs of a directory by the names of their files; none without a directory.

    Raises:
        SettingsInvalid: with every file that is no pack.
    """
    if not directory:
        return {}
    name, folder = "FORGESTREAM_RETRIEVE_STATIC_PACKS", Path(directory).expanduser()
    if not folder.is_dir():
        raise SettingsInvalid([f"{name}: {directory} is no directory"])
    packs: dict[str, Pack] = {}
    problems: list[str] = []
    for file in sorted(folder.glob("*.json")):
        try:
            packs[file.stem] = pack_of(file.stem, json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            problems.append(f"{name}: {file.name} cannot be read ({type(error).__name__})")
        except PackInvalid as error:
            problems.append(f"{name}: {file.name}: {error.message}")
    if problems:
        raise SettingsInvalid(problems)
    return packs
