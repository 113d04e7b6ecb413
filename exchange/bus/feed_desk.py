"""What a follower asks the exchange itself about its feeds: how far they are, what it missed, the state as of now.

    follower -> desk   Compare(gateway, channels)    once a second: also keeps the wanted channels alive
                       Since(feed, seq)              blobs that the writer still has in memory
                       Part(feed, next_seq, offset)  a snapshot, piece by piece

Questions travel over the exchange's unix socket (`UnixPort.fetch`), are not sequenced and change nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from exchange.bus.feed_blobs import FeedGap, FeedWriter

__all__ = ["FEED_TOPIC", "Compared", "FeedDesk", "FeedOrigin", "Snapshot"]

FEED_TOPIC: Final = "feed"
_PART_BYTES: Final = 4 << 20
_SINCE_BYTES: Final = 4 << 20


class _Compare(msgspec.Struct, frozen=True, array_like=True, tag=1):
    gateway: str
    channels: list[str]


class _Since(msgspec.Struct, frozen=True, array_like=True, tag=2):
    feed: str
    seq: int


class _Part(msgspec.Struct, frozen=True, array_like=True, tag=3):
    feed: str
    next_seq: int
    offset: int


class Compared(msgspec.Struct, frozen=True, array_like=True):
    """Epoch of the writer, 0 while it has no state to follow, and the next item's number of each feed."""

    epoch: int
    next_seqs: dict[str, int]


class _Blobs(msgspec.Struct, frozen=True, array_like=True):
    blobs: list[bytes]
    is_gap: bool = False


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """State of a feed before item `next_seq` of `epoch`."""

    epoch: int
    next_seq: int
    body: bytes


class _Piece(msgspec.Struct, frozen=True, array_like=True):
    epoch: int
    next_seq: int
    total_bytes: int
    body: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_question: Final = msgspec.msgpack.Decoder(_Compare | _Since | _Part).decode
_decode_compared: Final = msgspec.msgpack.Decoder(Compared).decode
_decode_blobs: Final = msgspec.msgpack.Decoder(_Blobs).decode
_decode_piece: Final = msgspec.msgpack.Decoder(_Piece).decode


class FeedDesk:
    """The exchange's side. It holds one snapshot per feed, the one that is being read in pieces."""

    def __init__(
        self,
        writer: FeedWriter,
        *,
        snapshot: Callable[[str], bytes],
        want: Callable[[str, list[str]], bool],
        keep: Callable[[str, bytes], None] = lambda _feed, _body: None,
    ) -> None:
        """`snapshot` gives a feed's state; `want` hears what a gateway listens to, False: there is no state yet.

        `keep` gets every snapshot that was made, for the next follower.
        """
        self._writer = writer
        self._snapshot = snapshot
        self._want = want
        self._keep = keep
        self._held: dict[str, Snapshot] = {}
        self.snapshot_count = 0

    def answer(self, body: bytes) -> bytes:
        """Answer one question. Raises msgspec.MsgspecError for what is none."""
        question = _decode_question(body)
        if isinstance(question, _Compare):
            return self._compare(question)
        if isinstance(question, _Since):
            return self._since(question)
        return self._part(question)

    def _compare(self, question: _Compare) -> bytes:
        self._writer.cut()  # first: it may begin again, and then `want` says anew which feeds there are
        if not self._want(question.gateway, question.channels):
            return _encode(Compared(0, {}))
        return _encode(Compared(self._writer.epoch, {feed: ring.next_seq for feed, ring in self._writer.rings.items()}))

    def _since(self, question: _Since) -> bytes:
        self._writer.cut()
        try:
            return _encode(_Blobs(self._writer.ring(question.feed).since(question.seq, _SINCE_BYTES)))
        except FeedGap:
            return _encode(_Blobs([], is_gap=True))

    def _part(self, question: _Part) -> bytes:
        held = self._held.get(question.feed)
        if not question.offset or held is None or held.next_seq != question.next_seq:
            held = self._made(question.feed)
        # A question about a snapshot that was replaced meanwhile gets no bytes: who asked begins again.
        start = question.offset if held.next_seq == question.next_seq else 0
        piece = held.body[start : start + _PART_BYTES]
        if start + len(piece) >= len(held.body):
            self._held.pop(question.feed, None)
        return _encode(_Piece(held.epoch, held.next_seq, len(held.body), piece))

    def _made(self, feed: str) -> Snapshot:
        self._writer.cut()
        held = Snapshot(self._writer.epoch, self._writer.ring(feed).next_seq, self._snapshot(feed))
        self._held[feed] = held
        self._keep(feed, _encode(held))
        self.snapshot_count += 1
        return held


class FeedOrigin:
    """The follower's side of the desk. All calls raise LinkClosed when the exchange is gone."""

    def __init__(self, fetch: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """`fetch` is that of a UnixPort."""
        self._fetch = fetch

    async def compare(self, gateway: str, channels: list[str]) -> Compared:
        """Say what `gateway` listens to, learn how far each feed is."""
        return _decode_compared(await self._ask(_Compare(gateway, channels)))

    async def since(self, feed: str, seq: int) -> list[bytes]:
        """Blobs from item `seq` on. Raises FeedGap when the exchange has forgotten them."""
        found = _decode_blobs(await self._ask(_Since(feed, seq)))
        if found.is_gap:
            raise FeedGap(seq)
        return found.blobs

    async def snapshot(self, feed: str) -> Snapshot:
        """State of a feed as of now."""
        first = piece = _decode_piece(await self._ask(_Part(feed, 0, 0)))
        body = bytearray(piece.body)
        while len(body) < first.total_bytes:
            piece = _decode_piece(await self._ask(_Part(feed, first.next_seq, len(body))))
            if (piece.epoch, piece.next_seq) != (first.epoch, first.next_seq):
                first, body = piece, bytearray()
            body += piece.body
        return Snapshot(first.epoch, first.next_seq, bytes(body))

    async def _ask(self, question: object) -> bytes:
        return await self._fetch(FEED_TOPIC, _encode(question))
