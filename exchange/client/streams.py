"""Subscriptions: bounded queues between the socket's reader and whoever iterates.

A reader that falls behind loses the oldest items of public channels, counted in `dropped`. A private channel never
loses an item silently: its stream ends with StreamBroken.
"""

import asyncio
from collections import deque
from typing import Any

from exchange.client.errors import StreamBroken

__all__ = ["DEFAULT_QUEUE_ITEMS", "Subscription"]

DEFAULT_QUEUE_ITEMS = 1_024
_RESUMING = (".account", ".orders", ".trades")


class Subscription:
    """An async iterator over the `data` of one channel; with `flatten` over the members of each list.

    It survives reconnections. `await aclose()` ends it; so does the client's close.
    """

    def __init__(self, channel: str, *, flatten: bool = False, queue_items: int = DEFAULT_QUEUE_ITEMS) -> None:
        self.channel = channel
        self.dropped = 0
        self.seq: int | None = None
        """Number of the last notification."""
        self._flatten = flatten
        self._limit = queue_items
        self._items: deque[Any] = deque()
        self._wake = asyncio.Event()
        self._end: StreamBroken | None = None

    @property
    def is_private(self) -> bool:
        """Whether it is an account's channel, `{subaccount}.…`."""
        return self.channel.split(".", 1)[0].isdigit()

    @property
    def resume_from(self) -> int | None:
        """What a new socket of the client asks the exchange to go on from; None: from now."""
        return self.seq if self.resumes else None

    @property
    def resumes(self) -> bool:
        """Whether the exchange can go on from a `seq` of this channel: books, and an account's events."""
        return self.channel.startswith("book.") or (self.is_private and self.channel.endswith(_RESUMING))

    def begin(self, seq: int) -> None:
        """Learn where a channel stands of which nothing came yet."""
        if self.seq is None:
            self.seq = seq

    def put(self, data: Any, seq: int | None = None) -> None:
        """Take the data of one notification; the connection calls it. What an account's channel had is not repeated."""
        is_old = seq is not None and self.seq is not None and seq <= self.seq
        if is_old and self.is_private and self.resumes:
            return
        self.seq = seq
        for item in data if self._flatten else (data,):
            self._put_one(item)
        self._wake.set()

    def end(self, reason: str) -> None:
        """No more items: whoever waits gets StreamBroken after the items that are queued."""
        self._end = self._end or StreamBroken(f"{self.channel}: {reason}")
        self._wake.set()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Any:
        while not self._items:
            if self._end is not None:
                raise self._end
            self._wake.clear()
            await self._wake.wait()
        return self._items.popleft()

    async def next(self, timeout_s: float) -> Any:
        """Return the next item; TimeoutError when none arrives in time."""
        async with asyncio.timeout(timeout_s):
            return await self.__anext__()

    def _put_one(self, item: Any) -> None:
        if self._end is not None:
            return
        if len(self._items) >= self._limit:
            if self.is_private:
                self.end(f"the reader is {self._limit} items behind")
                return
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
