"""Write the documents that follow from the code. `--check` writes nothing and fails when one is out of date."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from streams import errors
from streams.errors import PipelineError

ROOT = Path(__file__).resolve().parent.parent

# What becomes of a record (or of the worker), by the nearest ancestor that decides it.
FATES: Mapping[type[PipelineError], str] = {
    errors.StartRefused: "the command ends with exit code 2 before any record is read",
    errors.DeliveryFailed: "nothing is acknowledged; the worker stops, and the record is read again after its restart",
    errors.DeadlineExceeded: "terminal result `expired`",
    errors.AnswerRefused: "terminal result `failed` without the text, with sources and scores",
    errors.RequestInvalid: "terminal result `rejected` with one error report per problem",
    errors.Permanent: "dead letter at once; on the request path also a terminal result `failed`",
    errors.Transient: "tried again in place with backoff; after the last try as a permanent error",
}

ERRORS_HEAD = """# Errors

Written by `make docs` from `streams/errors.py`; do not edit.

One taxonomy for records, results, dead letters, exit codes and logs: `error_code` in a `results` record and the header
`forgestream.error-code` of a dead letter are codes of this table. The class of an error decides what happens.
What to do with dead letters: [runbook](runbooks/dead-letters.md).

| code | severity | meaning | what happens |
|---|---|---|---|
"""


def errors_page(_: str) -> str:
    """Return docs/errors.md."""
    rows = (
        f"| `{kind.code}` | {kind.severity} | {_meaning(kind)} | {_fate(kind)} |\n"
        for kind in _descendants(PipelineError)
        if not kind.__subclasses__()
    )
    return ERRORS_HEAD + "".join(rows)


def between_markers(text: str, name: str, content: str) -> str:
    """Return `text` with what stands between the markers of `name` replaced."""
    pattern = re.compile(rf"(<!-- {name}: written by `make docs` -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md has no markers for {name}")
    return pattern.sub(lambda found: f"{found[1]}{content.rstrip()}\n{found[2]}", text)


DOCUMENTS: Mapping[str, Callable[[str], str]] = {"docs/errors.md": errors_page}


def stale() -> Iterator[tuple[Path, str]]:
    """Yield every document that differs from what the code says, with its right text."""
    for name, written in DOCUMENTS.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = written(before)
        if before != after:
            yield path, after


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
    return next(FATES[ancestor] for ancestor in kind.__mro__ if ancestor in FATES)


def main(arguments: list[str]) -> int:
    """Write the documents, or with `--check` say which are out of date."""
    found = list(stale())
    for path, text in found:
        print(f"{path.relative_to(ROOT)} is {'out of date: run `make docs`' if '--check' in arguments else 'written'}")
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    return 1 if found and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
