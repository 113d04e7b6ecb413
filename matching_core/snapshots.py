"""Layout of a core's snapshot: what both books write and read, little endian, no padding.

    header      magic 8 | version u32 | reserved u32 | body bytes u64
    body        COUNTS
                generation u32 of each slot ever used, from slot 1
                free slots u32, the next to be handed out first
                CELL each, by id
                GUARD each, by id, each followed by the slots u32 of its line
                INSTRUMENT each, by id, each followed by its ORDER records: bids, then asks, in match order
    trailer     SHA-256 of header and body

A restored book answers every later command as the saved one would, handles included. An order's instrument and side
follow from where it stands; its handle from its slot and that slot's generation.
"""

from hashlib import sha256
from struct import Struct
from typing import Final

from matching_core.errors import SnapshotDamaged, SnapshotVersionUnknown

__all__ = [
    "CELL",
    "COUNTS",
    "GUARD",
    "INSTRUMENT",
    "MAGIC",
    "ORDER",
    "SLOT",
    "VERSION",
    "seal",
    "unseal",
]

MAGIC: Final = b"OBCORE\x00\x01"
VERSION: Final = 1
HEADER: Final = Struct("<8sIIQ")
TRAILER_BYTES: Final = 32

COUNTS: Final = Struct("<IIIIIIIIIIQQ")
"""Capacities (orders, instruments, cells, guards), slots used, free slots, cells, guards, instruments, a reserved
zero, auction entries counted, time of the last batch in ns."""
SLOT: Final = Struct("<I")
CELL: Final = Struct("<Iq")
GUARD: Final = Struct("<IIqqqqqqqqqqI")
"""Id, frozen, interval, limits (quantity, delta, vega, count), window start, sums in the same order, orders in line."""
INSTRUMENT: Final = Struct("<IIqqqqII")
"""Id, phase, band, weights (delta, vega), bid orders, ask orders."""
ORDER: Final = Struct("<qqqqQIIIII")
"""Price, remaining, hidden, display, arrival, slot, owner, cell, guard, flags."""


def seal(body: bytes) -> bytes:
    """Put a header before a body and the checksum behind it."""
    content = HEADER.pack(MAGIC, VERSION, 0, len(body)) + body
    return content + sha256(content).digest()


def unseal(snapshot: bytes) -> bytes:
    """Return the body of a sealed snapshot; SnapshotRefused when its version is another or a byte is not as written."""
    if len(snapshot) < HEADER.size + TRAILER_BYTES:
        raise SnapshotDamaged(f"{len(snapshot)} bytes are shorter than an empty snapshot")
    magic, version, reserved, body_bytes = HEADER.unpack_from(snapshot)
    if magic != MAGIC or reserved:
        raise SnapshotDamaged("these bytes do not begin like a snapshot of the core")
    if version != VERSION:
        raise SnapshotVersionUnknown(f"snapshot has version {version}, this core reads {VERSION}")
    if len(snapshot) != HEADER.size + body_bytes + TRAILER_BYTES:
        raise SnapshotDamaged(f"{len(snapshot)} bytes for a body of {body_bytes}")
    content = snapshot[:-TRAILER_BYTES]
    if sha256(content).digest() != snapshot[-TRAILER_BYTES:]:
        raise SnapshotDamaged("the checksum does not match")
    return content[HEADER.size :]
