"""Chance that is the same again: a request draws the same lot in every delivery, in every worker and in a replay."""

import hashlib

_BITS = 53  # what a float holds exactly


def lot(purpose: str, request_id: str) -> float:
    """Return a number in [0, 1), evenly spread over request ids and independent between purposes."""
    digest = hashlib.sha256(f"{purpose}\0{request_id}".encode(errors="surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) / (1 << _BITS)
