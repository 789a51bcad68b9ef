"""The log of a demo: kept back, since the screen tells the story, and shown when the story went wrong."""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from streams.logs import TextFormatter

KEPT = 40


class LastLines(logging.Handler):
    """Keeps the newest warnings and errors of the process."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(TextFormatter())
        self._lines: deque[str] = deque(maxlen=KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._lines.append(self.format(record))

    def text(self) -> str:
        """Return what was kept, one line each."""
        return "".join(f"{line}\n" for line in self._lines)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Take the place of every other handler for a while."""
        root = logging.getLogger()
        before = root.handlers[:]
        root.handlers = [self]
        try:
            yield
        finally:
            root.handlers = before
