"""Frames of the book channels: whole states of `orderbook.*`, sequenced ones of `book.*`, and their checksum."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice, zip_longest
from typing import Final
from zlib import crc32

import msgspec

__all__ = [
    "CHECKSUM_EVERY",
    "BookChange",
    "BookHeartbeat",
    "BookSnapshot",
    "OrderBookFrame",
    "TextLevel",
    "book_checksum",
]

CHECKSUM_EVERY: Final = 100
"""A change whose `seq` reaches a multiple of this carries a checksum."""
_CHECKED_LEVELS: Final = 25
TextLevel = tuple[str, str]
"""Price and amount in canonical decimals; amount "0" removes the level."""


class BookSnapshot(msgspec.Struct, kw_only=True, gc=False, tag_field="type", tag="snapshot"):
    """All levels, best first. It stands for everything before it."""

    instrument_name: str
    timestamp: int
    """Of the book's last change, milliseconds."""
    seq: int
    prev_seq: None = None
    bids: list[TextLevel]
    asks: list[TextLevel]
    checksum: int


class BookChange(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True, tag_field="type", tag="change"):
    """Levels that changed since `prev_seq`, absolute, best first."""

    instrument_name: str
    timestamp: int
    seq: int
    prev_seq: int
    bids: list[TextLevel]
    asks: list[TextLevel]
    checksum: int | None = None


class BookHeartbeat(msgspec.Struct, kw_only=True, gc=False, tag_field="type", tag="heartbeat"):
    """Nothing changed since `seq`."""

    instrument_name: str
    timestamp: int
    """Of this frame, milliseconds."""
    seq: int


class OrderBookFrame(msgspec.Struct, kw_only=True, gc=False):
    """Full top-N snapshot."""

    instrument_name: str
    timestamp: int
    publish_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


def book_checksum(bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> int:
    """CRC-32 of `price:amount` of bid 1, ask 1, bid 2, ask 2 .. 25 levels a side, missing ones skipped.

    Levels are best first, in canonical decimals.
    """
    pairs = zip_longest(islice(bids, _CHECKED_LEVELS), islice(asks, _CHECKED_LEVELS))
    levels = (level for level in chain.from_iterable(pairs) if level is not None)
    return crc32(":".join(f"{level[0]}:{level[1]}" for level in levels).encode())
