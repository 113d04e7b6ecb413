"""The bytes of `pack_events`, put together from what one command or one run of commands gave."""

from collections.abc import Sequence

from exchange.domain.events import Event
from exchange.domain.packing import CommandEvents, pack_events

__all__ = ["join_events", "pack_command_events"]


def pack_command_events(sequence: int, timestamp_ns: int, events: list[Event]) -> bytes:
    """One command's events: a piece for `join_events`."""
    # The head of an array of one is one byte.
    return pack_events([CommandEvents(sequence, timestamp_ns, events)])[1:]


def join_events(count: int, pieces: Sequence[bytes]) -> bytes:
    """What `pack_events` gives, from pieces that hold the events of `count` consecutive commands in order."""
    if count < 1 << 4:
        head = bytes((0x90 | count,))
    elif count < 1 << 16:
        head = b"\xdc" + count.to_bytes(2, "big")
    else:
        head = b"\xdd" + count.to_bytes(4, "big")
    return b"".join((head, *pieces))
