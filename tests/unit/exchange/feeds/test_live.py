"""Live venues: ccxt's own parsers read the venues' words, a local server speaks them, failures change nothing."""

import asyncio
import http.server
import json
import math
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from exchange.feeds.live import LIVE_VENUES, LiveVenue, MissingCcxt, live_venues, top_of_ticker
from exchange.feeds.sources import TopOfBook, source_of

E9 = 10**9
NOW = 1_790_000_000_123 * 10**6
SYMBOL = "BTC/USDT"
ROW = {"symbol": "BTCUSDT", "bidPrice": "60000.10", "askPrice": "60000.30", "lastPrice": "60000.2", "closeTime": 1}


class Broken:
    """A venue that raises, or answers nonsense."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def fetch_tickers(self, symbols: list[str]) -> Any:
        """Raise without an answer."""
        if self.answer is None:
            raise OSError(str(symbols))
        return self.answer


def venue(tickers: Any) -> LiveVenue:
    """A venue of one pair."""
    return LiveVenue("venue", 2, tickers, {"BTC": SYMBOL}, lambda: NOW)


@pytest.mark.parametrize("nonsense", [None, 5, {SYMBOL: None}, {SYMBOL: []}])
def test_a_failure_is_counted_and_the_last_answer_stays(nonsense: Any) -> None:
    """Whatever a transport or a venue does."""
    tickers = Broken({SYMBOL: {"bid": 1.0, "ask": 1.0, "timestamp": NOW // 10**6}})
    one = venue(tickers)
    asyncio.run(one.poll())
    before = dict(one.tops(NOW))
    tickers.answer = nonsense
    asyncio.run(one.poll())
    assert (one.failures, one.tops(NOW)) == (1, before)
    assert before["BTC"].bid_e9 == E9


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, 0.0, None, "x"])
def test_a_bad_number_is_no_price(bad: Any) -> None:
    """Neither side nor trade; the venue has then nothing to say."""
    found = top_of_ticker({"bid": bad, "ask": bad, "last": bad, "timestamp": NOW // 10**6}, NOW)
    assert (found.bid_e9, found.ask_e9, found.last_e9) == (None, None, None)
    assert source_of(found, weight=1, now_ns=NOW).price is None


def test_a_ticker_without_a_time_is_as_of_when_it_came() -> None:
    """Some venues send none."""
    assert top_of_ticker({"last": 2, "timestamp": None}, NOW) == TopOfBook(book_ns=NOW, last_e9=2 * E9, last_ns=NOW)


def test_a_pair_that_is_not_answered_says_nothing() -> None:
    """It grows old like any other; time and earlier prices mean nothing to it."""
    one = venue(Broken({"ETH/USDT": {}}))
    asyncio.run(one.poll())
    one.advance(1.0)
    one.resume({"BTC": 1})
    assert (one.tops(NOW), one.failures) == ({}, 0)


def asked_before(poll: Any, asked: asyncio.Semaphore) -> Any:
    """A poll that says when it is over."""

    async def told() -> None:
        await poll()
        asked.release()

    return told


def test_it_asks_once_per_interval() -> None:
    """Until somebody stops it."""

    async def run() -> int:
        one, asked = venue(Broken()), asyncio.Semaphore(0)
        one.poll = asked_before(one.poll, asked)  # type: ignore[method-assign]
        task = asyncio.create_task(one.run(0.001))
        for _ in range(3):
            await asked.acquire()
        task.cancel()
        return one.failures

    assert asyncio.run(run()) >= 3


def test_ccxt_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the error names what to install."""
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(MissingCcxt, match=r"offbook\[live\]"):
        live_venues(["BTC"], lambda: NOW)


def test_our_venues_are_at_least_five_with_our_weights() -> None:
    """Nothing is asked by making them; each names its own pairs."""
    pytest.importorskip("ccxt")
    venues = live_venues(["BTC", "ETH"], lambda: NOW)
    assert [(one.name, one.weight) for one in venues] == list(LIVE_VENUES)
    assert len(venues) >= 5


@pytest.fixture
def address() -> Iterator[str]:
    """Base address of a server that answers any GET with one ticker as Binance sends it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps([{**ROW, "closeTime": NOW // 10**6}]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_ccxt_reads_a_ticker_over_http(address: str) -> None:
    """The whole way of one venue: request, ccxt's parser, our integers."""
    ccxt = pytest.importorskip("ccxt")
    binance = ccxt.binance({"timeout": 5_000})
    binance.urls["api"]["public"] = f"{address}/api/v3"
    binance.has["fetchMarkets"] = False
    market = binance.safe_market_structure(
        {"id": "BTCUSDT", "symbol": SYMBOL, "base": "BTC", "quote": "USDT", "spot": True, "type": "spot"}
    )
    binance.set_markets([market])
    one = venue(binance)
    asyncio.run(one.poll())
    assert one.failures == 0
    expected = TopOfBook(
        bid_e9=60_000_100_000_000,
        ask_e9=60_000_300_000_000,
        book_ns=NOW,
        last_e9=60_000_200_000_000,
        last_ns=NOW,
    )
    assert one.tops(NOW) == {"BTC": expected}
