"""One sequenced book channel: who is in step, who waits for a snapshot, and the ring from which others resume."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from exchange.domain.commands import Side
from exchange.domain.instrument import Instrument
from exchange.gateway.market import Book
from exchange.gateway.topics import Topic
from exchange.wire.book_frames import CHECKSUM_EVERY, BookChange, BookSnapshot, TextLevel, book_checksum
from exchange.wire.channels import Channel

__all__ = ["RING_CHANGES", "BookTopic", "ChangeRing", "checksum_of", "levels_of"]

RING_CHANGES: Final = 10_000
"""Changes of a book that a channel can replay."""
_MILLISECOND_NS: Final = 1_000_000
_TOP: Final = 25
"""Levels of a side that a checksum covers."""


class ChangeRing:
    """Newest change frames of a channel as (prev_seq, seq, frame). Each begins where the one before ends."""

    def __init__(self) -> None:
        """Start empty."""
        self._rows: deque[tuple[int, int, bytes]] = deque()

    def append(self, prev_seq: int, seq: int, frame: bytes) -> None:
        """Keep a frame; drop the oldest as long as RING_CHANGES are left without it."""
        rows = self._rows
        rows.append((prev_seq, seq, frame))
        while seq - rows[0][1] >= RING_CHANGES:
            rows.popleft()

    def holds(self, seq: int) -> bool:
        """Whether a frame begins at `seq`."""
        at = self._place(seq)
        return at < len(self._rows) and self._rows[at][0] == seq

    def since(self, seq: int) -> Iterator[tuple[int, bytes]]:
        """(seq, frame) behind `seq`."""
        for at in range(self._place(seq), len(self._rows)):
            yield self._rows[at][1:]

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()

    def _place(self, seq: int) -> int:
        return bisect_left(self._rows, seq, key=lambda row: row[0])


class BookTopic(Topic):
    """State of `book.{instrument}.{interval}`. A subscriber is in one of `synced`, `waiting` and `resuming`."""

    __slots__ = (
        "changed",
        "heard_at",
        "instrument",
        "left_at",
        "resuming",
        "ring",
        "shown_seq",
        "snapshot",
        "synced",
        "waiting",
    )

    def __init__(self, channel: Channel, instrument: Instrument, book: Book, now_s: float) -> None:
        """Begin at the present state of `book`."""
        super().__init__(channel, instrument.instrument_id)
        self.instrument = instrument
        self.shown_seq = book.seq
        """`seq` of the last frame, and what `ring` ends with."""
        self.changed: dict[tuple[Side, int], int] = {}
        """Lots by side and price that changed since `shown_seq`."""
        self.ring = ChangeRing()
        self.synced: dict[Any, None] = {}
        """Subscribers that have everything up to `shown_seq`."""
        self.waiting: dict[Any, None] = {}
        """Subscribers that need a snapshot."""
        self.resuming: dict[Any, int] = {}
        """Subscribers that are being sent the ring, and the `seq` that each has."""
        self.snapshot: tuple[int, bytes] = (-1, b"")
        """`seq` and frame of the last one that was encoded."""
        self.heard_at = now_s
        self.left_at = 0.0
        """When the last subscriber left; the ring outlives it for a while."""

    def begin_again(self, book: Book) -> None:
        """Everybody needs a snapshot when changes are missing between `shown_seq` and `book`, which is another one."""
        if book.seq == self.shown_seq:
            return
        self.waiting |= self.synced | dict.fromkeys(self.resuming)
        self.synced.clear()
        self.resuming.clear()
        self.changed.clear()
        self.ring.clear()
        self.shown_seq = book.seq
        self.snapshot = (-1, b"")

    def forget(self, subscriber: object) -> None:
        """Drop a subscriber."""
        self.synced.pop(subscriber, None)
        self.waiting.pop(subscriber, None)
        self.resuming.pop(subscriber, None)

    def take_change(self, book: Book) -> BookChange:
        """Make a frame of what changed since the last one; `book` is uncrossed and has a later `seq`."""
        is_checked = book.seq // CHECKSUM_EVERY > self.shown_seq // CHECKSUM_EVERY
        bids, asks = (
            [self._text(price, lots) for price, lots in self._changed_of(side)] for side in (Side.BUY, Side.SELL)
        )
        change = BookChange(
            instrument_name=self.instrument.name,
            timestamp=book.changed_ns // _MILLISECOND_NS,
            seq=book.seq,
            prev_seq=self.shown_seq,
            bids=bids,
            asks=asks,
            checksum=checksum_of(book, self.instrument) if is_checked else None,
        )
        self.changed.clear()
        self.shown_seq = book.seq
        return change

    def make_snapshot(self, book: Book) -> BookSnapshot:
        """The whole of `book`, which is at `shown_seq`."""
        bids, asks = (levels_of(book, side, self.instrument) for side in (Side.BUY, Side.SELL))
        return BookSnapshot(
            instrument_name=self.instrument.name,
            timestamp=book.changed_ns // _MILLISECOND_NS,
            seq=book.seq,
            bids=bids,
            asks=asks,
            checksum=book_checksum(bids, asks),
        )

    def _changed_of(self, side: Side) -> list[tuple[int, int]]:
        rows = [(price, lots) for (of_side, price), lots in self.changed.items() if of_side is side]
        return sorted(rows, reverse=side is Side.BUY)

    def _text(self, price_ticks: int, lots: int) -> TextLevel:
        return self.instrument.price_text(price_ticks), self.instrument.quantity_text(lots)


def levels_of(book: Book, side: Side, instrument: Instrument, limit: int | None = None) -> list[TextLevel]:
    """Levels of a side on the wire, best first; the best `limit` when it is given."""
    rows = book.iterate(side) if limit is None else book.top(side, limit)
    return [(instrument.price_text(price), instrument.quantity_text(lots)) for price, lots in rows]


def checksum_of(book: Book, instrument: Instrument) -> int:
    """Checksum of a book as it is."""
    return book_checksum(*(levels_of(book, side, instrument, _TOP) for side in (Side.BUY, Side.SELL)))
