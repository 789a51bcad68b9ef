"""Where converted models are kept: built aside and renamed into place, so that a model is whole or not there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.errors import ModelMissing


@contextmanager
def building(cache_dir: Path) -> Iterator[Path]:
    """Yield a folder in the cache to build a model in; what is not moved out of it goes with it.

    Raises:
        ModelMissing: the cache cannot be written, or what the model is made of cannot be read.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=cache_dir) as folder:
            yield Path(folder)
    except OSError as error:
        advice = "free some space or set FORGESTREAM_EMBEDDED_CACHE_DIR"
        raise ModelMissing(f"cannot write the converted model to {cache_dir} ({error.strerror}): {advice}") from error
