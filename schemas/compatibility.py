"""Whether what was written with one schema can be read with another: Avro's resolution rules, before any byte is read.

Stricter than Avro where bytes could do harm: a writer's schema that contains itself (unbounded depth) or has arrays of
nothing (2**60 items in nine bytes) is refused, and so is a change of a logical type, which Avro lets pass.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from schemas.avro_schema import Schema

PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def unreadable(written: Schema, reader: Schema) -> list[str]:
    """Return why a reader cannot read what was written, one sentence per problem; nothing when it can."""
    try:
        return list(_problems(expanded(written), expanded(reader), "the record"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"the schema is refused: {error}"]


def expanded(schema: object, namespace: str = "", known: dict[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
    """Return the schema with every name replaced by what it stands for.

    Raises:
        ValueError: a type contains itself or is unknown, or the items of an array take no bytes.
        TypeError, KeyError, AttributeError: this is no Avro schema.
    """
    known = {} if known is None else known
    if isinstance(schema, list):
        return [expanded(arm, namespace, known) for arm in schema]
    if isinstance(schema, str):
        return {"type": schema} if schema in PRIMITIVES else _named(schema, namespace, known)
    if not isinstance(schema, dict):
        raise TypeError(f"{schema!r} is not a type")
    kind = schema["type"]
    if kind in {"record", "error", "enum", "fixed"}:
        return _definition(schema, namespace, known)
    if kind in {"array", "map"}:
        inside = "items" if kind == "array" else "values"
        item = expanded(schema[inside], namespace, known)
        if kind == "array" and _takes_no_bytes(item):
            raise ValueError("an array has items that take no bytes")
        return {"type": kind, "inside": item}
    if isinstance(kind, str) and kind in PRIMITIVES:
        return {"type": kind, "logicalType": schema.get("logicalType")}
    return expanded(kind, namespace, known)


def _definition(schema: Schema, namespace: str, known: dict[str, object]) -> Schema:
    name: str = schema["name"]
    namespace = name.rpartition(".")[0] or schema.get("namespace") or namespace
    full = name if "." in name else f"{namespace}.{name}".lstrip(".")
    known[full] = None  # under way: a reference to it from inside is a recursion
    found: Schema = {**schema, "type": "record" if schema["type"] == "error" else schema["type"], "name": full}
    if found["type"] == "record":
        found["fields"] = [{**field, "type": expanded(field["type"], namespace, known)} for field in schema["fields"]]
    elif found["type"] == "fixed" and not (isinstance(found["size"], int) and found["size"] >= 0):
        raise ValueError(f"{full} has no size but {found['size']!r}")
    elif found["type"] == "enum" and not all(isinstance(symbol, str) for symbol in found["symbols"]):
        raise TypeError(f"{full} has a symbol that is no string")
    known[full] = found
    return found


def _named(name: str, namespace: str, known: dict[str, object]) -> object:
    full = name if "." in name or not namespace else f"{namespace}.{name}"
    if full not in known:
        raise ValueError(f"the type {full} is not defined")
    if known[full] is None:
        raise ValueError(f"the type {full} contains itself")
    return known[full]


def _takes_no_bytes(schema: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(schema, list):
        return False
    if schema["type"] == "record":
        return all(_takes_no_bytes(field["type"]) for field in schema["fields"])
    return bool(schema["type"] == "null" or (schema["type"] == "fixed" and schema["size"] == 0))


def _problems(written: Any, reader: Any, at: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(written, list):
        yield from chain.from_iterable(_problems(arm, reader, at) for arm in written)
    elif isinstance(reader, list):
        if all(any(_problems(written, arm, at)) for arm in reader):
            yield f"{at} was {_shown(written)} and must be {_shown(reader)}"
    elif written["type"] != reader["type"]:
        if reader["type"] not in PROMOTIONS.get(written["type"], ()):
            yield f"{at} was {_shown(written)} and must be {_shown(reader)}"
    elif written["type"] in {"array", "map"}:
        yield from _problems(written["inside"], reader["inside"], f"an item of {at}")
    elif written["type"] in PRIMITIVES:
        if written.get("logicalType") != reader.get("logicalType"):
            yield f"{at} was {_shown(written)} and must be {_shown(reader)}"
    else:
        yield from _named_problems(written, reader, at)


def _named_problems(written: Schema, reader: Schema, at: str) -> Iterator[str]:
    if written["name"].rpartition(".")[2] != reader["name"].rpartition(".")[2]:
        yield f"{at} was {written['name']} and must be {reader['name']}"
    elif written["type"] == "enum":
        lost = [symbol for symbol in written["symbols"] if symbol not in reader["symbols"]]
        if lost:
            yield f"{at} may be {', '.join(lost)}, which {reader['name']} no longer has"
    elif written["type"] == "fixed":
        if written["size"] != reader["size"]:
            yield f"{at} had {written['size']} bytes and must have {reader['size']}"
    else:
        before = {field["name"]: field for field in written["fields"]}
        for field in reader["fields"]:
            if field["name"] in before:
                inside = f"{reader['name'].rpartition('.')[2]}.{field['name']}"
                yield from _problems(before[field["name"]]["type"], field["type"], inside)
            elif "default" not in field:
                yield f"{reader['name'].rpartition('.')[2]}.{field['name']} is new and has no default"


def _shown(schema: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(schema, list):
        return " or ".join(_shown(arm) for arm in schema)
    return str(schema.get("logicalType") or schema.get("name") or schema["type"])
