"""Avro's whole numbers: zigzag, seven bits a byte, the lowest first."""

from typing import Final

HIGH: Final = 128
LOW: Final = 127
MAX_BITS: Final = 64
SMALL: Final = 4096


def zigzag(number: int) -> bytes:
    """Return the bytes of a number. Raises OverflowError beyond 64 bits."""
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(f"{number} does not fit in 64 bits")
    rest = number << 1 if number >= 0 else ~(number << 1)
    out = bytearray()
    while rest > LOW:
        out.append(rest & LOW | HIGH)
        rest >>= 7
    out.append(rest)
    return bytes(out)


LENGTHS: Final = tuple(zigzag(length) for length in range(SMALL))
"""The bytes of the small lengths, so that most strings cost one look-up."""


def length_bytes(length: int) -> bytes:
    """Return the bytes of a length."""
    return LENGTHS[length] if length < SMALL else zigzag(length)


def rest_of(first: int, data: bytes, at: int) -> tuple[int, int]:
    """Go on reading a number whose first byte has the high bit set; `at` is the byte after it.

    Return the number, still zigzag, and where it ends. Raises IndexError at the end of the data, ValueError beyond
    64 bits.
    """
    number, shift = first & LOW, 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & LOW) << shift
        if byte < HIGH:
            if number >> MAX_BITS:
                break
            return number, at
        shift += 7
        if shift >= MAX_BITS:
            break
    raise ValueError("a number has more than 64 bits")


def size_of(first: int, data: bytes, at: int) -> tuple[int, int]:
    """Go on reading a length; `at` is the byte after the first. Raises ValueError when it is negative."""
    number, at = rest_of(first, data, at) if first & HIGH else (first, at)
    if number & 1:
        raise ValueError("a length is negative")
    return number >> 1, at


def block_at(data: bytes, at: int) -> tuple[int, int]:
    """Read how many items a block of an array or a map has; behind a negative count is the size of the block."""
    number, at = data[at], at + 1
    if number & HIGH:
        number, at = rest_of(number, data, at)
    if number & 1:
        _, at = size_of(data[at], data, at + 1)
        return (number >> 1) + 1, at
    return number >> 1, at
