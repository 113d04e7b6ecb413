"""`offbook slippage test`: random market orders against random books of a real engine, and what each was filled at.

Nothing of a running exchange is touched: the engine lives in this process, its commands follow from the seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from exchange.domain.commands import (
    CancelMany,
    ChainRequest,
    ChainRequestKind,
    Command,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    SetPrices,
    Side,
    TimeInForce,
    UnderlyingRow,
)
from exchange.domain.events import Event, OrderClosed, OrderRefused, Trade
from exchange.domain.ids import PERPETUAL_BIT
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.money import ceil_div
from exchange.engine.apply import apply
from exchange.engine.compiled_state import CompiledState
from exchange.engine.config import EngineConfig
from matching_core import OrderBook

__all__ = ["SlippageReport", "slippage_test"]

_START_NS: Final = 1_700_000_000_000_000_000
_MARK_TICKS: Final = 600_000
_MAKER, _TAKER = 2, 3
_E9: Final = 10**9
_LEVELS: Final = 12
_BETWEEN_NS: Final = 30 * _E9
_PERP: Final = Instrument(
    instrument_id=PERPETUAL_BIT,
    name="BTC-PERP",
    kind=InstrumentKind.PERPETUAL,
    underlying="BTC",
    tick_e9=100_000_000,
    lot_e9=1_000_000,
    minimum_lots=1,
    maximum_lots=1_000_000,
    maximum_price_ticks=10_000_000,
    maker_fee_ppm=100,
    taker_fee_ppm=300,
)


@dataclass(slots=True)
class SlippageReport:
    """What the orders came to. Slippage in hundredths of a basis point against the mark, positive when worse."""

    orders: int = 0
    filled: int = 0
    partly_filled: int = 0
    unfilled: int = 0
    refused: int = 0
    fills: int = 0
    fills_past_limit: int = 0
    averages_past_limit: int = 0
    left_resting: int = 0
    slippage: list[int] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether no fill and no average passed its order's limit and nothing of a market order stayed in the book."""
        return not (self.fills_past_limit or self.averages_past_limit or self.left_resting)

    def lines(self) -> Iterator[str]:
        """The figures, one per line."""
        for name in ("orders", "filled", "partly_filled", "unfilled", "refused", "fills"):
            yield f"{name.replace('_', ' '):<22} {getattr(self, name)}"
        if self.slippage:
            ordered = sorted(self.slippage)
            places = ((50, "p50"), (99, "p99"), (100, "worst"))
            shown = (
                f"{name} {ordered[max(0, ceil_div(len(ordered) * part, 100) - 1)] / 100:.2f}" for part, name in places
            )
            yield f"{'slippage in bps':<22} {', '.join(shown)}"
        yield f"{'fills past limit':<22} {self.fills_past_limit}"
        yield f"{'averages past limit':<22} {self.averages_past_limit}"
        yield f"{'remainders resting':<22} {self.left_resting}"


class _Market:
    """A perpetual, a maker with a random ladder, a taker with enough cash."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now_ns = _START_NS
        self.state = CompiledState(OrderBook, EngineConfig())
        self.run(ListInstrument(instrument=_PERP))
        self._prices(1)
        for index, account in enumerate((_MAKER, _TAKER), 1):
            owner = account.to_bytes(20, "big")
            deposit = ChainRequestKind.DEPOSIT
            self.run(ChainRequest(index=index, kind=deposit, account=account, amount_e6=10**15, owner=owner))

    def run(self, command: Command, *, after_ns: int = 1_000_000) -> list[Event]:
        """Apply a command."""
        self.now_ns += after_ns
        return apply(self.state, command, self.now_ns)

    def place(self, account: int, side: Side, price_ticks: int, lots: int, *, is_market: bool = False) -> list[Event]:
        """An order; a market order is one that never rests, with its worst price."""
        return self.run(
            Place(
                subaccount=account,
                instrument=_PERP.instrument_id,
                side=side,
                price_ticks=price_ticks,
                quantity_lots=lots,
                time_in_force=TimeInForce.IOC if is_market else TimeInForce.GTC,
                flags=OrderFlag.MARKET if is_market else OrderFlag.NONE,
                nonce=self.now_ns,
                expiry_s=self.now_ns // _E9 + 3_600,
                signer=account.to_bytes(20, "big"),
                max_fee_e18=1_000 * 10**18,
            )
        )

    def quote(self) -> None:
        """Another ladder around the mark, now and then with a side missing or very thin."""
        self.run(CancelMany(subaccount=_MAKER), after_ns=_BETWEEN_NS)
        self._prices(self.state.prices.round + 1)
        for side in (Side.BUY, Side.SELL):
            if self.rng.random() < 0.05:
                continue
            away = self.rng.randint(1, 600)
            for _ in range(self.rng.randint(1, _LEVELS)):
                price = _MARK_TICKS - away if side is Side.BUY else _MARK_TICKS + away
                self.place(_MAKER, side, price, self.rng.randint(1, 200))
                away += self.rng.randint(1, 900)

    def _prices(self, number: int) -> None:
        mark_e9 = _MARK_TICKS * _PERP.tick_e9
        rows = (MarkRow(_PERP.instrument_id, mark_e9),)
        self.run(SetPrices(round=number, underlyings=(UnderlyingRow("BTC", mark_e9),), marks=rows))


def slippage_test(count: int, seed: int) -> Iterator[SlippageReport]:
    """Run `count` market orders; yields the growing report after each and stays the same object throughout."""
    market, report = _Market(Random(seed)), SlippageReport()  # noqa: S311 - a seeded test
    for _ in range(count):
        market.quote()
        side = Side(market.rng.randint(0, 1))
        within = market.rng.randint(-100, 20_000)
        limit = _MARK_TICKS + within if side is Side.BUY else _MARK_TICKS - within
        lots = market.rng.randint(1, 1_500)
        events = market.place(_TAKER, side, limit, lots, is_market=True)
        _judge(report, events, side, limit, lots)
        report.left_resting += any(order.place.subaccount == _TAKER for order in market.state.open_orders.values())
        yield report


def _judge(report: SlippageReport, events: list[Event], side: Side, limit_ticks: int, lots: int) -> None:
    report.orders += 1
    if any(isinstance(event, OrderRefused) for event in events):
        report.refused += 1
        return
    trades = [event for event in events if isinstance(event, Trade)]
    filled = sum(trade.quantity_lots for trade in trades)
    report.fills += len(trades)
    report.filled += filled == lots
    report.partly_filled += 0 < filled < lots
    report.unfilled += not filled
    sign = 1 if side is Side.BUY else -1
    report.fills_past_limit += sum(sign * (trade.price_ticks - limit_ticks) > 0 for trade in trades)
    paid = sum(trade.price_ticks * trade.quantity_lots for trade in trades)
    report.averages_past_limit += sign * (paid - limit_ticks * filled) > 0
    if filled:
        report.slippage.append(ceil_div(sign * (paid - _MARK_TICKS * filled) * 1_000_000, _MARK_TICKS * filled))
    if filled < lots and not any(isinstance(event, OrderClosed) for event in events):
        report.left_resting += 1
