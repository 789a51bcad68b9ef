"""Which ids a value of a table has counted already: a bounded window of digests.

A record written again after a kill arrives at a new offset, so that offsets alone would count it twice. Digests have 36 bits: of a
million new ids, among a thousand remembered ones, 0.015 are taken for repeated.
"""

import base64
import hashlib

DIGEST = 6  # characters


def repeated(seen: str, identity: str) -> bool:
    """Whether `identity` is among those remembered."""
    digest, found = _digest(identity), -1
    while (found := seen.find(digest, found + 1)) >= 0:
        if found % DIGEST == 0:
            return True
    return False


def remembered(seen: str, identity: str, most: int) -> str:
    """Return the window with `identity` as its newest, and not more than `most` of them."""
    return (seen + _digest(identity))[-most * DIGEST :]


def _digest(identity: str) -> str:
    hashed = hashlib.sha256(identity.encode(errors="surrogatepass")).digest()
    return base64.b64encode(hashed[:9])[:DIGEST].decode()
