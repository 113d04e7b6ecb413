"""Venues that stand in for real ones: a capture is played at its own pace, once, and then grows old."""

import gzip
from pathlib import Path
from random import Random

import pytest

from exchange.app.config import shared_folder
from exchange.feeds.index_feed import IndexFeed
from exchange.feeds.sources import TopOfBook
from exchange.feeds.synthetic import SyntheticIndex, Walk
from exchange.feeds.venues import RecordedVenue, seeded_venues

E9 = 10**9
S = 10**9
NOW = 1_790_000_000 * S
CAPTURE = shared_folder() / "data" / "dydx_v3_2021-10-28_ws.txt.gz"
LINES = [
    "wss://api.dydx.exchange/v3/ws <-> 100.5",
    'wss://x <- 100.7: {"type":"subscribe","channel":"v3_orderbook","id":"BTC-USD"}',
    (
        '101.5: {"channel":"v3_orderbook","id":"BTC-USD","contents":{"bids":[{"price":"99","size":"1"},["98","2"]],'
        '"asks":[["101","1"],["NaN","1"]]}}'
    ),
    '102.75: {"channel":"v3_trades","id":"BTC-USD","contents":{}}',
    '103: {"channel":"v3_orderbook","id":"BTC-USD","contents":{"bids":[["99","0"]],"asks":[["100.5","3"]]}}',
]


def test_a_file_without_books_is_an_error(tmp_path: Path) -> None:
    """Nothing is played that is not there; so is a file that is no text."""
    with pytest.raises(ValueError, match="no order book messages"):
        RecordedVenue("empty", LINES[:2], NOW)
    path = tmp_path / "capture.txt"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="decode"):
        RecordedVenue.of_file(path, NOW)


@pytest.mark.parametrize("name", ["capture.txt", "capture.txt.gz"])
def test_books_are_played_at_their_pace(tmp_path: Path, name: str) -> None:
    """The first message is now; sizes of zero leave the book, what is no price never enters it."""
    path, raw = tmp_path / name, "\n".join(LINES).encode()
    path.write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    venue = RecordedVenue.of_file(path, NOW)
    venue.advance(1.0)
    venue.resume({"BTC": 5 * E9})
    assert venue.tops(NOW - 1) == {}
    first = TopOfBook(bid_e9=99 * E9, ask_e9=101 * E9, book_ns=NOW)
    assert venue.tops(NOW) == venue.tops(NOW + 1_499_999_999) == {"BTC": first}
    last = TopOfBook(bid_e9=98 * E9, ask_e9=100_500_000_000, book_ns=NOW + 1_500_000_000)
    assert venue.tops(NOW + 60 * S) == {"BTC": last}


@pytest.mark.skipif(not CAPTURE.exists(), reason=f"{CAPTURE} is absent")
def test_a_real_capture_is_one_live_venue_while_it_lasts() -> None:
    """Half a minute of dYdX: alone it is no index, with four others near it it counts until it is too old."""
    venue = RecordedVenue.of_file(CAPTURE, NOW)
    names = ["ETH", "UNI"]
    assert all(row.is_halted for row in IndexFeed([venue], names).rows(NOW + 5 * S))
    tops = venue.tops(NOW + 5 * S)
    middles = {name: ((tops[name].bid_e9 or 0) + (tops[name].ask_e9 or 0)) // 2 for name in names}
    assert 4_000 * E9 < middles["ETH"] < 4_500 * E9
    walks = {name: Walk(start_e9=middle, volatility=0.5) for name, middle in middles.items()}
    feed = IndexFeed([venue, *seeded_venues(SyntheticIndex(Random(1), walks), 1)[1:]], names)
    confidences = []
    for second in (6, 30, 90):
        for row in feed.rows(NOW + second * S):
            assert abs(row.index_e9 - middles[row.underlying]) * 100 < middles[row.underlying]
            confidences.append(row.confidence_ppm)
    assert min(confidences[:4]) > 800_000 >= max(confidences[4:])
