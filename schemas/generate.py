"""Write `schemas/avsc` from the records: `python -m schemas.generate`; with `--check` only compare.

A changed record becomes a new version beside the earlier ones. A change that could not read what an earlier version
wrote is refused: give a new field a default, keep the types of old fields and all symbols, or make a new record.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas.avro_schema import PUBLISHED, schema_of
from schemas.compatibility import unreadable
from schemas.published import LOCK, Published, read, versions

FOLDER = Path(__file__).parent / "avsc"


def pending(known: Mapping[int, Published], records: Sequence[type]) -> tuple[list[Published], list[str]]:
    """Return the versions that must be written, and why changes are refused."""
    new: list[Published] = []
    refused: list[str] = []
    for record in records:
        schema = schema_of(record)
        earlier = versions(known, record.__name__)
        if earlier and earlier[-1].schema == schema:
            continue
        for old in earlier:
            refused += (
                f"{record.__name__} can no longer read its version {old.version}: {problem}"
                for problem in unreadable(old.schema, schema)
            )
        number = max([*known, *(one.schema_id for one in new)], default=0) + 1
        version = earlier[-1].version + 1 if earlier else 1
        new.append(Published(schema_id=number, record=record.__name__, version=version, schema=schema))
    return new, refused


def write(folder: Path, known: Mapping[int, Published], new: Sequence[Published]) -> None:
    """Add versions to the folder; the ones that are there stay untouched."""
    for one in new:
        path = folder / one.record / f"{one.version}.avsc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one.schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    lock = {str(one.schema_id): f"{one.record}/{one.version}" for one in (*known.values(), *new)}
    (folder / LOCK).write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str], folder: Path = FOLDER, records: Sequence[type] = PUBLISHED) -> int:
    """Write or check; return the exit code."""
    known = read(folder) if (folder / LOCK).exists() else {}
    new, refused = pending(known, records)
    names = ", ".join(f"{one.record} {one.version}" for one in new)
    if refused:
        sys.stderr.write("\n".join([*refused, "Give new fields a default, keep old fields and symbols.", ""]))
        return 1
    if "--check" in arguments:
        if new:
            sys.stderr.write(
                f"schemas/avsc lacks {names}: run `python -m schemas.generate` and commit what it writes\n"
            )
        return 1 if new else 0
    write(folder, known, new)
    sys.stdout.write(f"written: {names}\n" if new else "nothing to write\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
