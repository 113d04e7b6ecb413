"""The number by which the chain knows an underlying: CRC-32 of its name, so that every process finds the same one."""

from functools import cache
from zlib import crc32

__all__ = ["underlying_number"]


@cache
def underlying_number(name: str) -> int:
    """Return the number, 1 or more, below 2^32. ValueError for a name whose checksum is 0."""
    number = crc32(name.encode())
    if number == 0:
        raise ValueError(f"{name!r} has no number: its checksum is 0")
    return number
