"""Feeds: numbers without gaps, blobs per tick, rings that forget the oldest, cursors that see what is missing."""

import msgspec
import pytest

from exchange.bus import feed_blobs
from exchange.bus.feed_blobs import Blob, FeedCursor, FeedGap, FeedRing, FeedWriter, decode_blob
from exchange.domain.packing import BadRecord


def blob(first_seq, *items, epoch=7):
    """A blob of `items`."""
    return Blob(epoch, first_seq, len(items), list(items))


def written(*ticks):
    """A writer of feed BTC.events with one tick per argument."""
    writer = FeedWriter(7, lambda: None)
    for items in ticks:
        for item in items:
            writer.add("BTC.events", item)
        writer.cut()
    return writer


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(msgspec.msgpack.encode([7, 1, 1]), id="too short"),
        pytest.param(msgspec.msgpack.encode([7, 1, 2, [b"a"]]), id="another count"),
        pytest.param(msgspec.msgpack.encode([7, 0, 1, [b"a"]]), id="number zero"),
    ],
)
def test_what_is_no_blob_is_refused(data):
    """A reader never guesses."""
    with pytest.raises(BadRecord):
        decode_blob(data)


def test_ring_that_forgot_says_so(monkeypatch):
    """A wish for what fell off is a gap, never something else."""
    monkeypatch.setattr(feed_blobs, "RING_BLOBS", 2)
    ring = written([b"a"], [b"b"], [b"c"]).ring("BTC.events")
    with pytest.raises(FeedGap) as caught:
        ring.since(1, 100)
    assert caught.value.wanted_seq == 1
    assert [decode_blob(data).items for data in ring.since(2, 100)] == [[b"b"], [b"c"]]


def test_cursor_refuses_to_step_over_a_gap():
    """It stays where it was, so what is missing can still be taken."""
    cursor = FeedCursor(7, 3)
    with pytest.raises(FeedGap):
        cursor.take(blob(5, b"e"))
    assert cursor.take(blob(3, b"c", b"d")) == [b"c", b"d"]
    assert cursor.take(blob(5, b"e")) == [b"e"]


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        pytest.param(blob(1, b"a", b"b"), [], id="seen before"),
        pytest.param(blob(2, b"b", b"c"), [b"c"], id="seen in part"),
        pytest.param(blob(3, b"c"), [b"c"], id="next"),
        pytest.param(blob(3, b"c", epoch=6), [], id="older epoch"),
        pytest.param(blob(3), [], id="empty"),
    ],
)
def test_cursor_takes_each_item_once(taken, expected):
    """Blobs may come twice and overlap."""
    assert FeedCursor(7, 3).take(taken) == expected


def test_items_of_a_tick_leave_in_one_blob():
    """Numbers go on from blob to blob, each feed has its own."""
    writer = FeedWriter(7, lambda: None)
    for feed, item in (("BTC.events", b"a"), ("ETH.events", b"x"), ("BTC.events", b"b")):
        writer.add(feed, item)
    writer.cut()
    writer.add("BTC.events", b"c")
    writer.cut()
    assert [decode_blob(data) for data in writer.ring("BTC.events").since(1, 1_000)] == [
        blob(1, b"a", b"b"),
        blob(3, b"c"),
    ]
    assert [decode_blob(data) for data in writer.ring("ETH.events").since(1, 1_000)] == [blob(1, b"x")]


def test_many_items_of_a_tick_become_several_blobs(monkeypatch):
    """No blob has more items than its bound."""
    monkeypatch.setattr(feed_blobs, "MAX_BLOB_ITEMS", 2)
    ring = written([b"a", b"b", b"c"]).ring("BTC.events")
    assert [decode_blob(data).count for data in ring.since(1, 1_000)] == [2, 1]


def test_ring_keeps_the_newest_blob_whatever_its_size(monkeypatch):
    """A bound in bytes never leaves nothing."""
    monkeypatch.setattr(feed_blobs, "RING_BYTES", 1)
    ring = written([b"a" * 100], [b"b" * 100]).ring("BTC.events")
    assert [decode_blob(data).first_seq for data in ring.since(2, 1_000)] == [2]
    assert (ring.first_number, ring.end_number) == (1, 2)


def test_ring_answers_in_bounded_parts():
    """Who asks for much asks again."""
    ring = written([b"a" * 50], [b"b" * 50], [b"c" * 50]).ring("BTC.events")
    assert [decode_blob(data).first_seq for data in ring.since(1, 60)] == [1, 2]
    assert ring.since(4, 60) == []
    assert len(ring.numbered(1, 10)) == 2
    assert FeedRing().since(1, 60) == []


def test_writer_is_woken_once_per_tick():
    """However many items come; what `fill` adds needs no second tick."""
    woken = []
    writer = FeedWriter(7, lambda: woken.append(1), lambda: writer.add("BTC.events", b"late"))
    writer.add("BTC.events", b"a")
    writer.add("BTC.events", b"b")
    writer.cut()
    assert woken == [1]
    assert decode_blob(writer.ring("BTC.events").since(1, 1_000)[0]).items == [b"a", b"b", b"late"]


def test_beginning_again_is_another_epoch():
    """Nothing of the old numbers can be taken for new ones."""
    writer = written([b"a"])
    writer.begin_again()
    writer.add("BTC.events", b"b")
    writer.cut()
    assert decode_blob(writer.ring("BTC.events").since(1, 1_000)[0]) == blob(1, b"b", epoch=8)


def test_blobs_in_any_order_are_taken_as_far_as_they_follow():
    """What lies behind a gap is left for later."""
    cursor = FeedCursor(7, 1)
    assert cursor.take_all([blob(4, b"d"), blob(2, b"b"), blob(1, b"a")]) == [b"a", b"b"]
    assert cursor.next_seq == 3
