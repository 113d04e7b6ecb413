"""Oracle rounds: funding rates of our own books, averaged, every ten seconds (risk.md 4.1).

The premium of a perpetual's book over its index enters an average with a half-life of 30 minutes once a second; the
rate is that average pulled toward the baseline and capped. Whoever runs the feed calls `tick(now_ns)`; it owns no clock
and never sleeps. At most one question or command is under way; a tick that finds one is skipped.
"""

from typing import Final

from exchange.bus.interface import Busy, ExchangePort
from exchange.domain.events import CommandRefused
from exchange.domain.instrument import Instrument
from exchange.domain.rounds import FundingRow, OracleRound
from exchange.domain.views import Answer, BookView, GetBook, GetInstruments, GetPrices, Output, PricesView
from exchange.pricing.mark import MovingAverage
from exchange.risk.funding import clamped_rate, impact_price, premium

__all__ = ["IMPACT_NOTIONAL_E6", "RoundFeed"]

IMPACT_NOTIONAL_E6: Final = {"BTC": 20_000_000_000, "ETH": 20_000_000_000}
"""What an impact price sells or buys, in 1e-6 USDC; 6,000 USDC for others."""
_OTHERS_E6: Final = 6_000_000_000
_NS_PER_S: Final = 1_000_000_000
_ROUND_S: Final = 10
_E9: Final = 10**9
_AVERAGE_S: Final = 1_800 / 0.6931471805599453
"""Decay time of a half-life of 30 minutes."""
_BASELINE_E9, _CLAMP_E9, _CAP_E9 = 100_000, 500_000, 100_000_000
"""0.01 % per 8 hours, +-0.05 % toward it, and +-10 %, which no cap of the engine is below."""
_LEVELS: Final = 200


class RoundFeed:
    """Asks for books and publishes a round; `failures` counts refused or unanswered submissions."""

    def __init__(self, port: ExchangePort, *, interval_s: int = _ROUND_S) -> None:
        self._port = port
        self._interval_s = interval_s
        self._perpetuals: dict[int, Instrument] = {}
        self._averages: dict[int, MovingAverage] = {}
        self._books: dict[int, BookView] = {}
        self._round = 0
        self._waiting = False
        self._last_s = 0
        self.failures = 0

    def tick(self, now_ns: int) -> None:
        """Once per second: look at the books; at each interval publish a round behind them."""
        now_s = now_ns // _NS_PER_S
        if self._waiting or now_s <= self._last_s:
            return
        elapsed_s = min(now_s - self._last_s, 1) if self._last_s else 1
        self._last_s, self._waiting = now_s, True
        try:
            self._ask(elapsed_s, is_due=now_s % self._interval_s == 0)
        except Busy:
            self._waiting = False
            self.failures += 1

    def _ask(self, elapsed_s: int, *, is_due: bool) -> None:
        """Instruments, their books, then prices: answers come in this order."""
        self._port.ask(GetInstruments(), self._on_instruments)
        for number in self._perpetuals:
            self._port.ask(GetBook(instrument=number, levels=_LEVELS), self._on_book)
        self._port.ask(GetPrices(), lambda answer: self._on_prices(answer, elapsed_s, is_due=is_due))

    def _on_instruments(self, answer: Answer) -> None:
        rows = answer if isinstance(answer, tuple) else ()
        self._perpetuals = {row.instrument_id: row for row in rows if isinstance(row, Instrument) and row.is_perpetual}

    def _on_book(self, answer: Answer) -> None:
        if isinstance(answer, BookView):
            self._books[answer.instrument] = answer

    def _on_prices(self, answer: Answer, elapsed_s: int, *, is_due: bool) -> None:
        self._waiting = False
        if not isinstance(answer, PricesView):
            return
        self._round = answer.oracle_round
        for number, book in self._books.items():
            self._average(self._perpetuals[number], book, answer, elapsed_s)
        self._books.clear()
        if is_due:
            self._publish()

    def _average(self, instrument: Instrument, book: BookView, prices: PricesView, elapsed_s: int) -> None:
        index_e9 = prices.index_e9.get(instrument.underlying)
        if index_e9 is None or book.auction_deadline_ns:
            return
        number = instrument.instrument_id
        average = self._averages.get(number)
        if average is None:
            # What the rate was before a restart, as if it had held for a half-life.
            average = MovingAverage(window_s=_AVERAGE_S).after(prices.rates_e9.get(number, 0) / _E9, _AVERAGE_S)
        self._averages[number] = average.after(_premium_e9(instrument, book, index_e9) / _E9, elapsed_s)

    def _publish(self) -> None:
        rows = tuple(
            FundingRow(number, _rate_e9(average.value or 0.0)) for number, average in sorted(self._averages.items())
        )

        def on_reply(output: Output) -> None:
            self._waiting = False
            self.failures += any(isinstance(event, CommandRefused) for event in output.events)

        self._waiting = True
        try:
            self._port.submit(OracleRound(round=self._round + 1, funding=rows), on_reply)
        except Busy:
            self._waiting = False
            self.failures += 1


def _premium_e9(instrument: Instrument, book: BookView, index_e9: int) -> int:
    """Premium of the book over the index, 1e-9; a side that cannot absorb the impact notional counts nothing."""
    notional_e6 = IMPACT_NOTIONAL_E6.get(instrument.underlying, _OTHERS_E6)
    units = notional_e6 // instrument.unit_e6
    bid, ask = (impact_price([(ticks, lots) for ticks, lots, _ in levels], units) for levels in (book.bids, book.asks))
    return premium(bid=_in_e9(bid, instrument.tick_e9), ask=_in_e9(ask, instrument.tick_e9), index=index_e9, one=_E9)


def _in_e9(price: tuple[int, int] | None, tick_e9: int) -> tuple[int, int] | None:
    return None if price is None else (price[0] * tick_e9, price[1])


def _rate_e9(average: float) -> int:
    return clamped_rate(premium=round(average * _E9), baseline=_BASELINE_E9, clamp=_CLAMP_E9, cap=_CAP_E9)
