"""What a follower can ask the exchange: how far it is, what it still has, a snapshot in pieces."""

import asyncio

import msgspec
import pytest

from exchange.bus import feed_blobs, feed_desk
from exchange.bus.feed_blobs import FeedGap, FeedWriter, decode_blob
from exchange.bus.feed_desk import Compared, FeedDesk, FeedOrigin, Snapshot

FEED = "BTC.events"


class Exchange:
    """A writer with a desk, and an origin that asks it."""

    def __init__(self, state=b"state"):
        self.state = state
        self.is_loaded = True
        self.wants = []
        self.kept = {}
        self.writer = FeedWriter(7, lambda: None)
        self.desk = FeedDesk(self.writer, snapshot=lambda feed: self.state, want=self._want, keep=self.kept.__setitem__)
        self.origin = FeedOrigin(self._fetch)

    def write(self, *items):
        for item in items:
            self.writer.add(FEED, item)
        self.writer.cut()

    def _want(self, gateway, channels):
        self.wants.append((gateway, channels))
        return self.is_loaded

    async def _fetch(self, topic, body):
        assert topic == feed_desk.FEED_TOPIC
        return self.desk.answer(body)


def test_what_is_no_question_is_refused():
    """The bus closes the link that asked it."""
    with pytest.raises(msgspec.MsgspecError):
        Exchange().desk.answer(b"nonsense")


def test_exchange_without_state_has_no_epoch():
    """A follower waits instead of following nothing."""
    exchange = Exchange()
    exchange.is_loaded = False
    assert asyncio.run(exchange.origin.compare("gateway1", [])) == Compared(0, {})


def test_forgotten_items_are_a_gap(monkeypatch):
    """The follower hears it as the ring says it."""
    monkeypatch.setattr(feed_blobs, "RING_BLOBS", 1)
    exchange = Exchange()
    exchange.write(b"a")
    exchange.write(b"b")
    with pytest.raises(FeedGap):
        asyncio.run(exchange.origin.since(FEED, 1))


def test_comparison_tells_wishes_and_numbers():
    """What waits is cut first, so the numbers are those of now."""
    exchange = Exchange()
    exchange.writer.add(FEED, b"a")
    compared = asyncio.run(exchange.origin.compare("gateway1", ["trades.BTC-PERP"]))
    assert compared == Compared(7, {FEED: 2})
    assert exchange.wants == [("gateway1", ["trades.BTC-PERP"])]


def test_blobs_come_as_they_were_written():
    """From the one that holds the wanted item on."""
    exchange = Exchange()
    exchange.write(b"a", b"b")
    exchange.write(b"c")
    blobs = asyncio.run(exchange.origin.since(FEED, 2))
    assert [decode_blob(data).items for data in blobs] == [[b"a", b"b"], [b"c"]]


@pytest.mark.parametrize("size", [0, 1, 10, 11, 95])
def test_snapshot_comes_in_pieces_and_whole(monkeypatch, size):
    """However large, with the number of the item that follows it; the desk keeps nothing afterwards."""
    monkeypatch.setattr(feed_desk, "_PART_BYTES", 10)
    exchange = Exchange(bytes(range(size)))
    exchange.write(b"a")
    assert asyncio.run(exchange.origin.snapshot(FEED)) == Snapshot(7, 2, bytes(range(size)))
    assert exchange.desk.snapshot_count == 1
    assert msgspec.msgpack.decode(exchange.kept[FEED], type=Snapshot) == Snapshot(7, 2, bytes(range(size)))


def test_snapshot_replaced_between_pieces_begins_again(monkeypatch):
    """Pieces of two states are never joined."""
    monkeypatch.setattr(feed_desk, "_PART_BYTES", 10)
    exchange = Exchange(b"old" * 10)
    answer = exchange.desk.answer

    def disturbed(body):
        reply = answer(body)
        if exchange.state.startswith(b"old"):
            exchange.state = b"new" * 10
            exchange.write(b"a")
            exchange.desk._made(FEED)
        return reply

    exchange.desk.answer = disturbed
    assert asyncio.run(exchange.origin.snapshot(FEED)) == Snapshot(7, 2, b"new" * 10)
