"""How a DataForge pack is read: whatever version wrote it, what can be understood is taken and the rest is named."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from streams.errors import PackInvalid
from streams.packs import Pack, Passage

MOST_PASSAGES = 64
MOST_BYTES = 300_000  # of all passages: far more than a prompt holds, far less than a record may have
LONGEST_TITLE = 300
LONGEST_NAME = 200
_DIGEST_LETTERS = 12
_TEXT = ("text", "content", "body")
_ID = ("chunk_id", "id")


def pack_of(pack_id: str, said: object) -> Pack:
    """Return the pack. Missing and unknown fields are fine; what is of the wrong kind is left out and named.

    Raises:
        PackInvalid: there is no text in it.
    """
    if not isinstance(said, Mapping):
        raise PackInvalid(f"pack {pack_id} is no object")
    problems: list[str] = []
    primary = list(_passages(pack_id, said.get("primary"), "primary", problems))
    found = [*primary, *_passages(pack_id, said.get("supporting"), "supporting", problems)]
    passages = _bounded(found, problems)
    if not passages:
        listed = f": {'; '.join(problems)}" if problems else ""
        raise PackInvalid(f"pack {pack_id} has no text{listed}")
    if not primary:
        problems.append("primary is missing")
    return Pack(pack_id=pack_id, version=_version(said, passages), passages=tuple(passages), incomplete=tuple(problems))


def _passages(pack_id: str, value: object, name: str, problems: list[str]) -> Iterator[Passage]:
    if value is None:
        return
    items: Sequence[object] = value if isinstance(value, list) else [value]
    for position, item in enumerate(items[: MOST_PASSAGES + 1]):
        passage = _passage(pack_id, item, primary=name == "primary")
        if passage is None:
            problems.append(f"{name}[{position}] has no text")
        else:
            yield passage


def _passage(pack_id: str, item: object, *, primary: bool) -> Passage | None:
    fields: Mapping[object, object] = item if isinstance(item, Mapping) else {"text": item}
    text = _first(fields, _TEXT, numbers=False)
    if not text.strip():
        return None
    named = _first(fields, _ID)[:LONGEST_NAME]
    return Passage(
        chunk_id=named or f"{pack_id}#{_digest(text)}",
        document_id=_first(fields, ("document_id",))[:LONGEST_NAME] or pack_id,
        title=_first(fields, ("title",))[:LONGEST_TITLE],
        text=text,
        primary=primary,
    )


def _bounded(passages: Sequence[Passage], problems: list[str]) -> Sequence[Passage]:
    """Return whole passages within the bounds, each id once."""
    taken: dict[str, Passage] = {}
    room = MOST_BYTES
    for passage in passages:
        if passage.chunk_id in taken:
            continue
        size = len(passage.text.encode())
        if len(taken) == MOST_PASSAGES or size > room:
            problems.append(f"{passage.chunk_id} is beyond {MOST_PASSAGES} passages or {MOST_BYTES:,} bytes")
            continue
        taken[passage.chunk_id] = passage
        room -= size
    return list(taken.values())


def _version(said: Mapping[object, object], passages: Sequence[Passage]) -> str:
    """Return the version DataForge names; the hash of the content when it names none."""
    metadata = said.get("metadata")
    named = _first(said, ("bundle_hash", "version"))
    if not named and isinstance(metadata, Mapping):
        named = _first(metadata, ("bundle_hash", "version"))
    return named[:LONGEST_NAME] or _digest("\0".join(passage.text for passage in passages))


def _first(fields: Mapping[object, object], names: Sequence[str], *, numbers: bool = True) -> str:
    """Return the first text of these fields, or whole number where one will do; empty when there is none."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value.encode("utf-8", "replace").decode()  # lone surrogates cannot be written to a record
        if numbers and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LETTERS]
