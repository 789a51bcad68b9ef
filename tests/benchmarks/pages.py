"""Parts of pages that measurements write: what stands between two marks."""

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def written(page: str, command: str, text: str) -> None:
    """Replace what a command has written into a page."""
    path = DOCS / page
    begin, end = f"<!-- written by {command} -->", f"<!-- end of what {command} writes -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    if not found:
        raise SystemExit(f"{path} has no mark {begin}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
