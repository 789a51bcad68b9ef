"""Write the documents that follow from the code. `--check` writes nothing and fails when one is out of date."""

import asyncio
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.published import published, versions
from schemas.records import Origin, Status, TextQuery
from schemas.registry import LockedIds, serde
from streams import errors
from streams.errors import PipelineError
from streams.settings import Settings
from streams.topic import Topic
from topology.cli.settings_command import markdown as settings_page
from topology.diagram import drawn, kept, mermaid
from topology.overview import overview
from topology.topics import OPERATORS, PRODUCERS

ROOT = Path(__file__).resolve().parent.parent

# What becomes of the worker, the command or the answer, where no record is given up; by the nearest ancestor that says it.
FATES: Mapping[type[PipelineError], str] = {
    errors.StartRefused: "the command ends with exit code 2 before any record is read",
    errors.DeliveryFailed: "nothing is acknowledged; the worker stops, and the record is read again after its restart",
    errors.HedgeLost: "nothing fails: the answer of the other model is used, and what the call cost is on `outcomes`",
    errors.AnswerRefused: "terminal result `failed` without the text, with sources and scores",
    errors.TableLost: "the worker stops, and refuses to go on until an operator has decided; nothing is taken meanwhile",
    errors.PageUnavailable: "no record is concerned: the command goes on and ends with exit code 1",
    errors.ConsumerLost: "the worker stops; after its restart it joins its group again",
    errors.WorkerStalled: "the worker stops; after its restart the records are read again",
}

FAMILIES = frozenset({errors.Transient, errors.Permanent, errors.AnswerRefused})  # never raised themselves

READ_OUTSIDE_TOO = ("results", "evaluations", "feedback")  # end at readers of ours, and are meant for others as well

ERRORS_HEAD = """# Errors

Written by `make generate` from `streams/errors.py`; do not edit.

One taxonomy for records, results, dead letters, exit codes and logs: `error_code` in a `results` record and the header
`forgestream.error-code` of a dead letter are codes of this table. The class of an error decides what happens.
A record is tried FORGESTREAM_ENGINE_RETRY_ATTEMPTS times. Ratings are tried for FORGESTREAM_RATE_WAIT_S; feedback, proposals and
documents for as long as what they go to is down.
What to do with dead letters: [runbook](runbooks/dead-letters.md).

| code | severity | meaning | what happens |
|---|---|---|---|
"""


def errors_page(_: str) -> str:
    """Return docs/errors.md."""
    rows = (
        f"| `{kind.code}` | {kind.severity} | {_meaning(kind)} | {_fate(kind)} |\n"
        for kind in _descendants(PipelineError)
        if kind not in FAMILIES
    )
    return ERRORS_HEAD + "".join(rows)


def readme(text: str) -> str:
    """Return README.md with its written parts current."""
    parts = {"diagram": f"```mermaid\n{overview()}```", "topics": topics_table(), "bytes": example_bytes()}
    for name, content in parts.items():
        text = between_markers(text, name, content)
    return text


TOPOLOGY_HEAD = """# Topology

Written by `make generate` from `topology/graph.py`; do not edit. Boxes are stages, arrows are topics, cylinders are topics that begin or
end here, and tables. `forgestream topology` prints the same for your settings, as tables, Mermaid or JSON.

"""


def topology_page(_: str) -> str:
    """Return docs/topology.md."""
    return f"{TOPOLOGY_HEAD}```mermaid\n{mermaid()}```\n"


def topics_table() -> str:
    """Return what goes in, what comes out, and what passes between stages."""
    diagram = drawn(Settings())
    used = diagram.connected()
    goes_in = [topic for topic in used if topic.owner in {PRODUCERS, OPERATORS}]
    comes_out = [topic for topic in used if not diagram.readers(topic) or topic.name in READ_OUTSIDE_TOO]
    comes_out.sort(key=lambda topic: topic is not diagram.topics.results)  # what most readers come for stands first
    between = [topic for topic in used if topic not in goes_in and topic not in comes_out]
    head = "| topic | key | record (schema id) | kept | carries |\n|---|---|---|---|---|\n"
    return (
        f"**In**\n\n{head}{_rows(goes_in)}\n**Out**\n\n{head}{_rows(comes_out)}\n"
        f"Between the stages, and as readable as the others: {', '.join(f'`{topic.name}`' for topic in between)}."
    )


def conversations_page(text: str) -> str:
    """Return docs/conversations.md with what stays where current."""
    topics = drawn(Settings()).topics
    said = [topic for topic in topics if topic.record is bytes or "origin" in topic.record.__dataclass_fields__]
    rows = "".join(f"| `{topic.name}` | {kept(topic)} | {topic.doc} |\n" for topic in said)
    return between_markers(text, "kept", f"| topic | kept | holds |\n|---|---|---|\n{rows}")


def example_bytes() -> str:
    """Return a whole value of topic `texts`, byte by byte, as the codec writes it."""
    asked = datetime(2026, 11, 21, 12, tzinfo=UTC)
    record = TextQuery(
        origin=Origin(
            request_id="019aa5f0-1234-7abc-8def-0123456789ab",
            correlation_id="example",
            source_service="example",
            event_time=asked,
            deadline=asked.replace(year=2030),
        ),
        query="Why do we always see the same side of the Moon?",
    )
    ids = LockedIds()
    asyncio.run(ids.start({"texts-value": TextQuery}))
    value = serde(ids, "texts", TextQuery).encode(record)
    body = "\n".join(f"              {line}" for line in textwrap.wrap(value[5:].hex(), 96))
    return (
        "```text\n"
        f"{value[:1].hex()}            one zero byte\n"
        f"{value[1:5].hex()}      the schema id in four bytes, big endian; this is TextQuery's\n"
        "the rest      Avro binary of the fields in the order of the schema. This one asks\n"
        f'              "{record.query}":\n'
        f"{body}\n"
        "```"
    )


def between_markers(text: str, name: str, content: str) -> str:
    """Return `text` with what stands between the markers of `name` replaced."""
    pattern = re.compile(rf"(<!-- {name}: written by `make generate` -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"there are no markers for {name}")
    return pattern.sub(lambda found: f"{found[1]}{content.rstrip()}\n{found[2]}", text)


DOCUMENTS: Mapping[str, Callable[[str], str]] = {
    "docs/errors.md": errors_page,
    "docs/topology.md": topology_page,
    "docs/settings.md": lambda _: settings_page(),
    "docs/conversations.md": conversations_page,
    "README.md": readme,
}


def stale() -> Iterator[tuple[Path, str]]:
    """Yield every document that differs from what the code says, with its right text."""
    for name, written in DOCUMENTS.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = written(before)
        if before != after:
            yield path, after


def _rows(topics: Iterable[Topic[Any]]) -> str:
    return "".join(
        f"| `{topic.name}` | {topic.key_name} | {_record(topic)} | {kept(topic)} | {topic.doc} |\n" for topic in topics
    )


def _record(topic: Topic[Any]) -> str:
    name = topic.record.__name__
    found = versions(published(), name)
    return f"[{name}](schemas/avsc/{name}/{found[-1].version}.avsc) ({found[-1].schema_id})" if found else name


def _descendants(kind: type[PipelineError]) -> Iterator[type[PipelineError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _descendants(child)


def _meaning(kind: type[PipelineError]) -> str:
    text = " ".join((inspect.getdoc(kind) or "").split())
    text = re.sub(r"[Rr]unbook `([a-z-]+)`", r"[runbook \1](runbooks/\1.md)", text)
    return text.replace("|", "\\|")


def _fate(kind: type[PipelineError]) -> str:
    special = next((FATES[ancestor] for ancestor in kind.__mro__ if ancestor in FATES), None)
    return special or record_fate(kind)


def record_fate(kind: type[PipelineError]) -> str:
    """Return what becomes of a record that is given up with such an error, as its class says it to the guard."""
    if kind.ends_as is not Status.FAILED:
        reports = " with one error report per problem" if issubclass(kind, errors.RequestInvalid) else ""
        return f"terminal result `{kind.ends_as}`{reports}; no dead letter"
    end = f"dead letter{'' if kind.retryable else ' at once'}; on the request path also a terminal result `{kind.ends_as}`"
    return f"tried again in place with backoff; after the last try {end}" if kind.retryable else end


def main(arguments: list[str]) -> int:
    """Write the documents, or with `--check` say which are out of date."""
    found = list(stale())
    for path, text in found:
        print(
            f"{path.relative_to(ROOT)} is {'out of date: run `make generate`' if '--check' in arguments else 'written'}"
        )
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    return 1 if found and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
