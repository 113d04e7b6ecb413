"""A copy of an order book that follows a `book.*` channel and proves, frame by frame, that nothing is missing."""

import heapq
from collections.abc import Awaitable, Callable
from typing import Any

from exchange.client.errors import BookOutOfStep
from exchange.client.markets import decimal_e9
from exchange.client.streams import Subscription
from exchange.wire.book_frames import TextLevel, book_checksum

__all__ = ["BookFeed", "BookMirror"]

_CHECKED_LEVELS = 25


class BookMirror:
    """Levels of one book as of `seq`, in the exchange's own decimals; None before the first snapshot."""

    def __init__(self) -> None:
        self.seq: int | None = None
        self.timestamp = 0
        self._bids: dict[int, TextLevel] = {}
        self._asks: dict[int, TextLevel] = {}

    def apply(self, frame: dict[str, Any]) -> bool:
        """Take the data of one notification; False for a heartbeat.

        Raises BookOutOfStep when frames are missing or the checksum differs: subscribe again.
        """
        kind = frame["type"]
        if kind == "snapshot":
            self._bids.clear()
            self._asks.clear()
        elif (frame["prev_seq"] if kind == "change" else frame["seq"]) != self.seq:
            raise BookOutOfStep(f"{frame['instrument_name']}: have {self.seq}, got {frame}")
        if kind == "heartbeat":
            return False
        _put(self._bids, frame["bids"])
        _put(self._asks, frame["asks"])
        self.seq, self.timestamp = frame["seq"], frame["timestamp"]
        if frame.get("checksum") not in (None, self.checksum()):
            raise BookOutOfStep(f"{frame['instrument_name']}: another checksum at {self.seq}")
        return True

    def bids(self, depth: int | None = None) -> list[TextLevel]:
        """(price, amount), best first."""
        prices = sorted(self._bids, reverse=True) if depth is None else heapq.nlargest(depth, self._bids)
        return [self._bids[price] for price in prices]

    def asks(self, depth: int | None = None) -> list[TextLevel]:
        """(price, amount), best first."""
        prices = sorted(self._asks) if depth is None else heapq.nsmallest(depth, self._asks)
        return [self._asks[price] for price in prices]

    def checksum(self) -> int:
        """CRC-32 of the best 25 levels a side, as the exchange computes it."""
        return book_checksum(self.bids(_CHECKED_LEVELS), self.asks(_CHECKED_LEVELS))


class BookFeed:
    """Async iterator: the mirror after each change. A gap is mended by subscribing again, over reconnections too."""

    def __init__(
        self,
        channel: str,
        subscribe: Callable[[str], Awaitable[Subscription]],
        unsubscribe: Callable[[Subscription], Awaitable[None]],
    ) -> None:
        self.channel = channel
        self.book = BookMirror()
        self.resubscriptions = 0
        self._subscribe, self._unsubscribe = subscribe, unsubscribe
        self._stream: Subscription | None = None

    def __aiter__(self) -> "BookFeed":
        return self

    async def __anext__(self) -> BookMirror:
        while True:
            if self._stream is None:
                self.book = BookMirror()
                self._stream = await self._subscribe(self.channel)
            frame = await self._stream.__anext__()
            try:
                if self.book.apply(frame):
                    return self.book
            except BookOutOfStep:
                self.resubscriptions += 1
                await self.aclose()

    async def aclose(self) -> None:
        """Leave the channel."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await self._unsubscribe(stream)


def _put(levels: dict[int, TextLevel], changes: list[list[str]]) -> None:
    for price, amount in changes:
        if amount == "0":
            levels.pop(decimal_e9(price), None)
        else:
            levels[decimal_e9(price)] = price, amount
