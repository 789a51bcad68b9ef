"""Measurements that stand in a page between marks, with where and when they were made."""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def place() -> str:
    """Return date and machine."""
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def write_part(page: str, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- end of name -->` of a page."""
    path = ROOT / page
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    whole = path.read_text(encoding="utf-8")
    if begin not in whole or end not in whole:
        raise SystemExit(f"{page} has no marks for {name}")
    pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
    part = f"{begin}\n{text.strip()}\n{end}"
    path.write_text(re.sub(pattern, lambda _: part, whole, flags=re.DOTALL), encoding="utf-8")
    print(f"{part}\n\nwritten to {page}")
