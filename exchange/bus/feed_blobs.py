"""Public feeds: numbered sequences of items that any number of processes follow, and the blobs that carry them.

A feed belongs to an underlying (or to the venue) and a channel: `events` change the public state, `frames` are
notifications, encoded once. Items of a feed are counted from 1 in each epoch, so whoever follows sees what it missed.
The writer keeps the newest blobs of each feed; carriers read them from there and may fall behind, fail or be away.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from exchange.domain.packing import BadRecord

__all__ = ["EVENTS", "FRAMES", "VENUE", "Blob", "FeedCursor", "FeedGap", "FeedRing", "FeedWriter", "decode_blob"]

EVENTS: Final = "events"
FRAMES: Final = "frames"
VENUE: Final = "venue"
"""In place of an underlying: prices, rounds, batches and whatever else belongs to none."""
RING_BLOBS: Final = 4_096
RING_BYTES: Final = 8 << 20
"""Of one feed, in the memory of the process that writes it."""
MAX_BLOB_ITEMS: Final = 1_024


class Blob(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Items `first_seq` .. `first_seq + count - 1` of a feed, written in one tick."""

    epoch: int
    first_seq: int
    count: int
    items: list[bytes]

    @property
    def next_seq(self) -> int:
        """Number of the item that follows."""
        return self.first_seq + self.count


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Blob).decode


def decode_blob(data: bytes) -> Blob:
    """Raises BadRecord for what is no blob."""
    try:
        blob = _decode(data)
    except msgspec.MsgspecError as error:
        raise BadRecord(f"no blob: {error}") from error
    if blob.count != len(blob.items) or blob.first_seq < 1:
        raise BadRecord(f"a blob of {len(blob.items)} items that says {blob.count} from {blob.first_seq}")
    return blob


class FeedGap(Exception):
    """Items from `wanted_seq` on are not to be had here."""

    def __init__(self, wanted_seq: int) -> None:
        """Remember what is missing."""
        super().__init__(f"nothing from item {wanted_seq} on")
        self.wanted_seq = wanted_seq


class FeedRing:
    """The newest blobs of a feed, encoded. Blob `n` keeps its number `n` while older ones fall off."""

    def __init__(self) -> None:
        """Start empty."""
        self.next_seq = 1
        self.first_number = 0
        self._blobs: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    @property
    def end_number(self) -> int:
        """Number of the blob that will be written next."""
        return self.first_number + len(self._blobs)

    def append(self, first_seq: int, next_seq: int, data: bytes) -> None:
        """Keep a blob, drop the oldest beyond the bounds (never the newest)."""
        self._blobs.append((first_seq, data))
        self._bytes += len(data)
        self.next_seq = next_seq
        while len(self._blobs) > RING_BLOBS or (self._bytes > RING_BYTES and len(self._blobs) > 1):
            self._bytes -= len(self._blobs.popleft()[1])
            self.first_number += 1

    def numbered(self, number: int, limit: int) -> list[bytes]:
        """At most `limit` blobs from number `number` (>= first_number) on."""
        start = number - self.first_number
        return [self._blobs[at][1] for at in range(start, min(start + limit, len(self._blobs)))]

    def since(self, seq: int, limit_bytes: int) -> list[bytes]:
        """Blobs from the one that holds item `seq` on, up to about `limit_bytes`. Raises FeedGap."""
        found: list[bytes] = []
        size = 0
        for at in range(self._place(seq), len(self._blobs)):
            found.append(self._blobs[at][1])
            size += len(found[-1])
            if size > limit_bytes:
                break
        return found

    def _place(self, seq: int) -> int:
        if seq >= self.next_seq:
            return len(self._blobs)
        for at in range(len(self._blobs) - 1, -1, -1):
            if self._blobs[at][0] <= seq:
                return at
        raise FeedGap(seq)


class FeedWriter:
    """Numbers items and cuts one blob per feed and tick. `wake` is called once for everything until the next `cut`."""

    def __init__(self, epoch: int, wake: Callable[[], None], fill: Callable[[], None] = lambda: None) -> None:
        """`epoch` rises with each start and leaves room for `begin_again`; `fill` adds what waits before a cut."""
        self.epoch = epoch
        self._fill = fill
        self.rings: dict[str, FeedRing] = {}
        self.item_count = 0
        self._wake = wake
        self._is_awake = False
        self._waiting: dict[str, list[bytes]] = {}

    def add(self, feed: str, item: bytes) -> None:
        """Put an item behind the others of `feed`; it leaves with the tick's blob."""
        self._waiting.setdefault(feed, []).append(item)
        if not self._is_awake:
            self._is_awake = True
            self._wake()

    def cut(self) -> None:
        """Make blobs of what waits."""
        self._is_awake = True
        self._fill()
        self._is_awake = False
        waiting, self._waiting = self._waiting, {}
        for feed, items in waiting.items():
            ring = self.ring(feed)
            for start in range(0, len(items), MAX_BLOB_ITEMS):
                part = items[start : start + MAX_BLOB_ITEMS]
                blob = Blob(self.epoch, ring.next_seq, len(part), part)
                ring.append(blob.first_seq, blob.next_seq, _encode(blob))
            self.item_count += len(items)

    def begin_again(self) -> None:
        """Forget everything under a new epoch: followers start from a snapshot. For when items may be missing."""
        self.epoch += 1
        self.rings.clear()
        self._waiting.clear()

    def ring(self, feed: str) -> FeedRing:
        """Blobs of `feed`, which begins to exist when it is asked for."""
        ring = self.rings.get(feed)
        if ring is None:
            ring = self.rings[feed] = FeedRing()
        return ring


class FeedCursor:
    """How far a reader followed one feed: what is new in a blob, what was seen before, and where something misses."""

    def __init__(self, epoch: int, next_seq: int) -> None:
        """Expect item `next_seq` of `epoch`."""
        self.epoch = epoch
        self.next_seq = next_seq

    def take(self, blob: Blob) -> list[bytes]:
        """Items not seen before, in order. Raises FeedGap when some are missing; blobs of older epochs are empty."""
        if blob.epoch != self.epoch or blob.next_seq <= self.next_seq:
            return []
        if blob.first_seq > self.next_seq:
            raise FeedGap(self.next_seq)
        items = blob.items[self.next_seq - blob.first_seq :]
        self.next_seq = blob.next_seq
        return items

    def take_all(self, blobs: Iterable[Blob]) -> list[bytes]:
        """Items of blobs in any order, as far as they follow each other from here; what lies behind a gap is left."""
        items: list[bytes] = []
        for blob in sorted(blobs, key=lambda blob: blob.first_seq):
            try:
                items += self.take(blob)
            except FeedGap:
                break
        return items
