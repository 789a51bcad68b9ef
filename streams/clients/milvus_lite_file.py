"""Milvus Lite serves a file from inside this process; pymilvus starts it for an address that ends in `.db`."""

import logging
from pathlib import Path

from milvus_lite.server_manager import server_manager_instance

from streams.errors import StartRefused


def is_lite(uri: str) -> bool:
    """Whether pymilvus will take the address for a file."""
    return uri.endswith(".db")


def prepare(uri: str) -> None:
    """Make the folder of the file, and leave the telling of errors to those who can name them. Raises StartRefused."""
    for name in ("pymilvus", "milvus_lite", "grpc._server"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they log every error they also raise, with stack traces
    try:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"cannot make the folder of the vector store {uri} ({error.strerror})") from error


def release(uri: str) -> None:
    """Stop serving the file and write it out; closing the client alone does not."""
    server_manager_instance.release_server(uri)
