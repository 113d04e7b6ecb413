"""Live venues through ccxt (`pip install offbook[live]`): one request per venue and interval, in a thread of its own.

What a venue answers last is what it says; its own time decides how old that is, ours where it gives none. A venue that
fails or is slow grows old and drops out of the index; nothing here decides more.
"""

import asyncio
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from exchange.feeds.sources import TopOfBook, price_e9

__all__ = ["LIVE_VENUES", "LiveVenue", "MissingCcxt", "Tickers", "live_venues", "top_of_ticker"]

LIVE_VENUES: Final = (("binance", 3), ("okx", 2), ("bybit", 2), ("kraken", 1), ("kucoin", 1), ("gate", 1))
"""ccxt's names with our weights; spot pairs against USDT, kraken's against USD."""
_QUOTES: Final = {"kraken": "USD"}
_NS_PER_MS: Final = 1_000_000
_TIMEOUT_MS: Final = 5_000


class MissingCcxt(RuntimeError):
    """Live prices were asked for without the package that reads them."""


class Tickers(Protocol):
    """The part of a ccxt exchange that is used."""

    def fetch_tickers(self, symbols: list[str]) -> Mapping[str, Mapping[str, Any]]:
        """Unified tickers by symbol; blocks, raises on failure."""


def top_of_ticker(ticker: Mapping[str, Any], received_ns: int) -> TopOfBook:
    """A unified ticker of ccxt; without a time of its own, as of when it was received."""
    milliseconds = ticker.get("timestamp")
    time_ns = milliseconds * _NS_PER_MS if isinstance(milliseconds, int) else received_ns
    return TopOfBook(
        bid_e9=price_e9(ticker.get("bid")),
        ask_e9=price_e9(ticker.get("ask")),
        book_ns=time_ns,
        last_e9=price_e9(ticker.get("last")),
        last_ns=time_ns,
    )


class LiveVenue:
    """One exchange; `symbols` by underlying. `failures` counts requests that gave nothing."""

    def __init__(
        self, name: str, weight: int, tickers: Tickers, symbols: Mapping[str, str], clock_ns: Callable[[], int]
    ) -> None:
        self.name = name
        self.weight = weight
        self.failures = 0
        self._tickers = tickers
        self._symbols = dict(symbols)
        self._clock_ns = clock_ns
        self._tops: dict[str, TopOfBook] = {}

    def advance(self, elapsed_s: float) -> None:
        """Nothing: the world moves by itself."""

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Nothing: the world has its own prices."""

    def tops(self, now_ns: int) -> Mapping[str, TopOfBook]:  # noqa: ARG002 - the same for every source
        """What it answered last."""
        return self._tops

    async def poll(self) -> None:
        """Ask once; what fails is counted and changes nothing."""
        try:
            found = await asyncio.to_thread(self._tickers.fetch_tickers, list(self._symbols.values()))
            received_ns = self._clock_ns()
            tops = {
                name: top_of_ticker(found[symbol], received_ns)
                for name, symbol in self._symbols.items()
                if symbol in found
            }
        except Exception:  # noqa: BLE001 - ccxt raises anything that its transport does
            self.failures += 1
            return
        self._tops = self._tops | tops

    async def run(self, interval_s: float) -> None:
        """Ask for ever, once per interval."""
        while True:
            await self.poll()
            await asyncio.sleep(interval_s)


def live_venues(underlyings: Sequence[str], clock_ns: Callable[[], int]) -> list[LiveVenue]:
    """Our venues with real connections. Raises MissingCcxt, which names the fix."""
    try:
        ccxt = importlib.import_module("ccxt")
    except ImportError as missing:
        raise MissingCcxt("live prices need ccxt: pip install 'offbook[live]'") from missing
    venues = []
    for name, weight in LIVE_VENUES:
        symbols = {underlying: f"{underlying}/{_QUOTES.get(name, 'USDT')}" for underlying in underlyings}
        tickers = getattr(ccxt, name)({"timeout": _TIMEOUT_MS, "enableRateLimit": True})
        venues.append(LiveVenue(name, weight, tickers, symbols, clock_ns))
    return venues
