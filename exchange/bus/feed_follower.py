"""Follows all feeds of one exchange: takes blobs as they come, finds what is missing, mends it, begins again.

Where a blob comes from does not matter: pub/sub brings it first, the Stream has it for a while, the exchange for a
while longer, and a snapshot of the exchange stands for everything before it. `compare` is heard once a second from the
exchange itself, so a loss is found although nothing more comes, and news arrive although the carrier is dead.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import Final, Protocol

from exchange.bus.feed_blobs import EVENTS, Blob, FeedCursor, FeedGap, decode_blob
from exchange.bus.feed_desk import Compared, FeedOrigin, Snapshot
from exchange.bus.unix_socket import LinkClosed

__all__ = ["FeedFollower", "FeedSink", "FeedStore"]

_HELD_BLOBS: Final = 1_024
_LATE_S: Final = 0.5
_log = logging.getLogger(__name__)


class FeedStore(Protocol):
    """What lies in Redis. Whatever fails there is an empty answer."""

    def since(self, feed: str, epoch: int, seq: int) -> Awaitable[list[Blob]]:
        """Blobs of `epoch` around and behind item `seq`, as far as they are kept."""
        ...

    def snapshot(self, feed: str) -> Awaitable[Snapshot | None]:
        """Newest snapshot of a feed."""
        ...


class FeedSink(Protocol):
    """Who takes the items. `load` replaces what it knows of a feed."""

    def restart(self) -> None:
        """Forget everything: another writer began."""
        ...

    def load(self, feed: str, body: bytes) -> None:
        """Take the state of a feed."""
        ...

    def whole(self) -> None:
        """Every feed of the writer is followed; once after each `restart`."""
        ...

    def apply(self, feed: str, items: Iterable[bytes]) -> None:
        """Take items in order, each once."""
        ...

    def missed(self, feed: str) -> None:
        """Items of a feed are lost for good; a snapshot took their place."""
        ...


class FeedFollower:
    """One reader's view of all feeds."""

    def __init__(self, store: FeedStore, sink: FeedSink) -> None:
        """`origin` is set while there is a link to the exchange."""
        self.origin: FeedOrigin | None = None
        self.epoch = 0
        self.gap_count = 0
        self.reload_count = 0
        self._store = store
        self._sink = sink
        self._cursors: dict[str, FeedCursor] = {}
        self._held: dict[str, list[Blob]] = {}
        self._feeds: set[str] = set()
        self._due: dict[str, int] = {}
        self._due_s = 0.0
        self._spoiled: set[str] = set()
        self._is_told = False
        self._mending: dict[str, asyncio.Task[None]] = {}

    @property
    def is_whole(self) -> bool:
        """Whether every known feed is followed."""
        return bool(self.epoch) and self._feeds <= self._cursors.keys()

    def stop(self) -> None:
        """End what is being mended."""
        for task in self._mending.values():
            task.cancel()
        self._mending.clear()

    def hear(self, feed: str, data: bytes) -> None:
        """Take a blob as it comes. Raises BadRecord."""
        blob = decode_blob(data)
        if blob.epoch != self.epoch:
            return
        self._meet(feed)
        if feed in self._mending or feed not in self._cursors:
            self._hold(feed, blob)
            return
        try:
            self._give(feed, self._cursors[feed].take(blob))
        except FeedGap:
            self._hold(feed, blob)
            self._mend(feed, blob.first_seq)

    def compare(self, compared: Compared, now_s: float) -> None:
        """Hear how far the exchange is. What was there `_LATE_S` ago and has not come since is mended."""
        if compared.epoch != self.epoch:
            self._restart(compared)
        is_due = now_s - self._due_s >= _LATE_S
        for feed, next_seq in compared.next_seqs.items():
            self._meet(feed)
            cursor = self._cursors.get(feed)
            if cursor is None or (is_due and cursor.next_seq < self._due.get(feed, 0)):
                self._mend(feed, next_seq)
        if is_due:
            self._due, self._due_s = dict(compared.next_seqs), now_s
        self._tell()

    def _tell(self) -> None:
        if not self._is_told and self.is_whole:
            self._is_told = True
            self._sink.whole()

    def _meet(self, feed: str) -> None:
        """A feed that did not exist at the first comparison of an epoch has no items before its first."""
        if feed not in self._feeds:
            self._feeds.add(feed)
            self._cursors[feed] = FeedCursor(self.epoch, 1)

    def _hold(self, feed: str, blob: Blob) -> None:
        held = self._held.setdefault(feed, [])
        if len(held) < _HELD_BLOBS:
            held.append(blob)

    def _give(self, feed: str, items: list[bytes]) -> None:
        """Hand items over; a sink that fails on them gets the state behind them instead, from the exchange."""
        try:
            if items:
                self._sink.apply(feed, items)
        except Exception:  # noqa: BLE001 - one feed begins again, the others go on
            _log.exception("feed_not_applied feed=%s", feed)
            self._cursors.pop(feed, None)
            self._spoiled.add(feed)

    def _restart(self, compared: Compared) -> None:
        self.stop()
        self.epoch = compared.epoch
        self._cursors.clear()
        self._held.clear()
        self._spoiled.clear()
        self._due.clear()
        self._is_told = False
        self._feeds = set(compared.next_seqs)
        self._sink.restart()
        for feed, next_seq in compared.next_seqs.items():
            if not feed.endswith(EVENTS):
                # Frames have no state: what came before the first listener is nobody's.
                self._cursors[feed] = FeedCursor(self.epoch, next_seq)

    def _mend(self, feed: str, target_seq: int) -> None:
        if feed not in self._mending and self.origin is not None:
            self._mending[feed] = asyncio.create_task(self._mended(feed, target_seq))

    async def _mended(self, feed: str, target_seq: int) -> None:
        try:
            await self._fill(feed, target_seq)
        except (LinkClosed, TimeoutError):
            pass  # the next comparison, over a new link, finds the gap again
        finally:
            if self._mending.get(feed) is asyncio.current_task():
                del self._mending[feed]
                self._take(feed, self._held.pop(feed, []))
                self._tell()

    async def _fill(self, feed: str, target_seq: int) -> None:
        cursor = self._cursors.get(feed)
        if cursor is not None:
            self.gap_count += 1
        elif feed not in self._spoiled:
            cursor = self._begin(feed, await self._store.snapshot(feed))
        if cursor is not None:
            self._take(feed, await self._store.since(feed, self.epoch, cursor.next_seq))
            self._take(feed, self._held.pop(feed, []), leave=target_seq)
        if cursor is None or cursor.next_seq < target_seq:
            await self._ask_exchange(feed, target_seq)

    async def _ask_exchange(self, feed: str, target_seq: int) -> None:
        origin = self.origin
        if origin is None:
            raise LinkClosed("the exchange is not connected")
        try:
            while (cursor := self._cursors[feed]).next_seq < target_seq:
                blobs = [decode_blob(data) for data in await origin.since(feed, cursor.next_seq)]
                before = cursor.next_seq
                self._take(feed, blobs)
                if cursor.next_seq == before:
                    return
        except (FeedGap, KeyError) as missing:
            snapshot = await origin.snapshot(feed)
            if self._begin(feed, snapshot) is not None and isinstance(missing, FeedGap):
                self._sink.missed(feed)

    def _begin(self, feed: str, snapshot: Snapshot | None) -> FeedCursor | None:
        if snapshot is None or snapshot.epoch != self.epoch:
            return None
        self.reload_count += 1
        self._spoiled.discard(feed)
        self._sink.load(feed, snapshot.body)
        self._cursors[feed] = FeedCursor(self.epoch, snapshot.next_seq)
        return self._cursors[feed]

    def _take(self, feed: str, blobs: list[Blob], *, leave: int = 0) -> None:
        cursor = self._cursors.get(feed)
        if cursor is None:
            return
        self._give(feed, cursor.take_all(blobs))
        if leave and cursor.next_seq < leave:
            self._held.setdefault(feed, []).extend(blob for blob in blobs if blob.first_seq >= cursor.next_seq)
