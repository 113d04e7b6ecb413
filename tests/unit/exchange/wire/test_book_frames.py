"""Checksums of books: the published vector, and which levels count."""

import json

import pytest

from exchange.wire.book_frames import BookChange, BookHeartbeat, BookSnapshot, book_checksum
from exchange.wire.envelope import notification

BIDS = [("84000", "1"), ("83999.5", "2.5")]
ASKS = [("84001", "0.3")]


def level(number):
    """A level that no other number has."""
    return str(number), "1"


@pytest.mark.parametrize(
    ("bids", "asks", "checksum"),
    [
        pytest.param(BIDS, ASKS, 4004282115, id="the vector of the interface's description"),
        pytest.param([], [], 0, id="an empty book"),
        pytest.param([], ASKS, 1293258053, id="no bids"),
    ],
)
def test_checksum(bids, asks, checksum):
    """CRC-32 over price:amount of bid 1, ask 1, bid 2, ..., missing levels skipped."""
    assert book_checksum(bids, asks) == checksum


def test_levels_that_count():
    """The 25th level of a side does, the 26th does not."""
    bids = [level(number) for number in range(100, 75, -1)]
    assert book_checksum([*bids, level(1)], ASKS) == book_checksum(bids, ASKS)
    assert book_checksum([*bids[:24], level(1)], ASKS) != book_checksum(bids, ASKS)


@pytest.mark.parametrize(
    ("frame", "prev_seq", "members"),
    [
        pytest.param(
            BookSnapshot(instrument_name="A", timestamp=5, seq=7, bids=BIDS, asks=ASKS, checksum=9),
            None,
            {"type": "snapshot", "seq": 7, "prev_seq": None, "checksum": 9, "asks": [["84001", "0.3"]]},
            id="snapshot",
        ),
        pytest.param(
            BookChange(instrument_name="A", timestamp=5, seq=8, prev_seq=7, bids=[("84000", "0")], asks=[]),
            7,
            {"type": "change", "seq": 8, "prev_seq": 7, "bids": [["84000", "0"]], "asks": []},
            id="change",
        ),
        pytest.param(
            BookHeartbeat(instrument_name="A", timestamp=5, seq=8), 8, {"type": "heartbeat", "seq": 8}, id="heartbeat"
        ),
    ],
)
def test_frames_on_the_wire(frame, prev_seq, members):
    """`seq` stands in the envelope and in the data; a change without a checksum has no such member."""
    params = json.loads(notification("book.A.raw", frame, frame.seq, prev_seq))["params"]
    assert (params["channel"], params["seq"], params["prev_seq"]) == ("book.A.raw", frame.seq, prev_seq)
    assert members.items() <= params["data"].items()
    assert ("checksum" in params["data"]) == ("checksum" in members)
