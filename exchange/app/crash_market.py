"""A market that crashes: the production engine, seeded accounts with leverage, makers whose depth follows the path.

Assumptions, each a constant below: nobody adds money or closes by himself; makers quote around the index at once, hold
a part of the long open interest within 1 % of it on each side, and put back what was taken in so many seconds
(`MakerPlan`); near quotes shrink with the path's depth, those at 4 % and 10 % do not. The mark is that of risk.md 3.2
over index and book, so what is sold into the book moves the mark. The same seed gives every engine the same accounts,
index and makers' plan; what is in the book then depends on what was sold.
"""

import random
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from exchange.app.crash_path import CrashPath, Moment
from exchange.app.crash_tally import Tally
from exchange.domain.commands import (
    CancelMany,
    ChainRequest,
    ChainRequestKind,
    Clock,
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
from exchange.domain.events import OrderRefused
from exchange.domain.ids import FUND_ACCOUNT, PERPETUAL_BIT
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.packing import CommandEvents, pack_events
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig, LiquidationRules
from exchange.engine.invariants import check_invariants
from exchange.engine.states import new_state
from exchange.pricing.mark import AGAINST_INDEX_S, BOOK_S, BookPrices, MarkInputs, MovingAverage, perpetual_mark
from matching_core import OrderBook

__all__ = ["CrashMarket", "Holder", "MakerPlan", "draw_holders"]

FUND_PPM: Final = 5_000
"""The insurance fund at the start, of the long open interest."""
LONG_PPM: Final = 700_000
"""Of the accounts that are long."""
LONG_LEVERAGES: Final = (2, 3, 5, 8, 10, 12, 15, 20)
SHORT_LEVERAGES: Final = (1, 1, 2, 3, 5)
NEAR_BPS: Final = (2, 4, 8, 15, 25, 40, 65, 100)
NEAR_SHARES: Final = (5, 8, 10, 12, 15, 15, 15, 20)
"""Per cent of the depth within 1 %."""
FAR: Final = ((400, 50), (1_000, 100))
"""(distance in basis points, per cent of the calm depth) of quotes that stay."""

_PERP: Final = PERPETUAL_BIT | 1
_BIDDER, _ASKER, _FIRST = 2, 3, 4
_E6, _E9, _PPM, _BPS = 10**6, 10**9, 10**6, 10**4
_SECOND_NS: Final = 10**9
_CLAMP: Final = 0.03
_RICH_E6: Final = 10**16
_LARGEST_E6: Final = 4_900_000 * _E6
"""Of a position, inside the first tier."""
_INSTRUMENT: Final = Instrument(
    instrument_id=_PERP,
    name="BTC-PERP",
    kind=InstrumentKind.PERPETUAL,
    underlying="BTC",
    tick_e9=10**8,
    lot_e9=10**6,
    minimum_lots=1,
    maximum_lots=10**8,
    maximum_price_ticks=10**8,
    maker_fee_ppm=100,
    taker_fee_ppm=300,
)


class MakerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What makers hold and how fast they come back: assumptions that decide more than any rule of liquidation."""

    depth_ppm: int = 50_000
    """Within 1 % on each side before the crash, of the long open interest."""
    refill_s: int = 60
    """Time in which all of the depth of the moment is put back."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """An account: money it brings, lots it holds (negative: short)."""

    account: int
    deposit_e6: int
    lots: int


def draw_holders(seed: int, count: int, price_e9: int) -> list[Holder]:
    """Accounts of 2,000 to 500,000 USDC, log-uniform in 64 steps, with the leverages above; integers alone."""
    draw = random.Random(f"holders {seed}")  # noqa: S311 - accounts repeat
    rows = []
    for place in range(count):
        deposit_e6 = 2_000 * _E6
        for _ in range(draw.randrange(64)):
            deposit_e6 = deposit_e6 * 109 // 100
        is_long = place * _PPM < LONG_PPM * count
        leverage = draw.choice(LONG_LEVERAGES if is_long else SHORT_LEVERAGES)
        lots = min(deposit_e6 * leverage, _LARGEST_E6) * 1_000 // (price_e9 // 1_000)
        rows.append(Holder(account=_FIRST + place, deposit_e6=deposit_e6, lots=max(1, lots) * (1 if is_long else -1)))
    return rows


class CrashMarket:
    """One engine on one path."""

    def __init__(
        self, path: CrashPath, rules: LiquidationRules, *, accounts: int, seed: int, makers: MakerPlan | None = None
    ) -> None:
        """List, fund and open all positions at the path's first price."""
        self._path, self._makers = path, makers or MakerPlan()
        self._moments = list(path.moments(seed))
        self.state = new_state(OrderBook, EngineConfig(liquidation=rules, closed_orders_max=1_000))
        self.tally = Tally(_INSTRUMENT)
        self._digest = sha256()
        self._now_ns = path.start_s * _SECOND_NS - 60 * _SECOND_NS
        self._round = self._nonce = self._requests = 0
        self._basis = MovingAverage(window_s=AGAINST_INDEX_S)
        self._book_average = MovingAverage(window_s=BOOK_S)
        self._gone = {_BIDDER: 0, _ASKER: 0}
        """Lots taken from each side and not put back yet, in 1e-6."""
        holders = draw_holders(seed, accounts, self._moments[0].index_e9)
        self._depth_lots = sum(row.lots for row in holders if row.lots > 0) * self._makers.depth_ppm // _PPM
        self._open(holders)

    def run(self, progress: Callable[[int, int], None]) -> str:
        """Walk the whole path; `progress(done_s, all_s)` once a minute. Returns the digest of all events."""
        for moment in self._moments:
            self._step(moment)
            if moment.at_s % 60 == 0:
                progress(moment.at_s, self._path.length_s)
        check_invariants(self.state)
        self.tally.close(self.state)
        return self._digest.hexdigest()

    def _run(self, command: Command) -> list[Any]:
        self._now_ns += 1_000
        events = apply(self.state, command, self._now_ns)
        self._digest.update(pack_events([CommandEvents(self.state.sequence, self._now_ns, events)]))
        for account, lots in self.tally.take(events).items():
            if account in self._gone:
                self._gone[account] += lots * _PPM
        return events

    def _open(self, holders: list[Holder]) -> None:
        """Everybody trades with the makers, at one price; the fund is a part of what is held long."""
        self._run(ListInstrument(instrument=_INSTRUMENT))
        first = self._moments[0]
        self._price(first.index_e9, first.index_e9)
        ticks = first.index_e9 // _INSTRUMENT.tick_e9
        long_lots = sum(row.lots for row in holders if row.lots > 0)
        fund_e6 = _INSTRUMENT.notional_e6(price_ticks=ticks, quantity_lots=long_lots) * FUND_PPM // _PPM
        for account, amount_e6 in ((FUND_ACCOUNT, fund_e6), (_BIDDER, _RICH_E6), (_ASKER, _RICH_E6)):
            self._deposit(account, amount_e6)
        for row in holders:
            self._deposit(row.account, row.deposit_e6)
        for row in holders:
            maker, side, other = (_ASKER, Side.SELL, Side.BUY) if row.lots > 0 else (_BIDDER, Side.BUY, Side.SELL)
            self._place(maker, side, ticks, abs(row.lots), TimeInForce.GTC)
            self._place(row.account, other, ticks, abs(row.lots), TimeInForce.IOC)
        self._gone = dict.fromkeys(self._gone, 0)
        self.tally.open(self.state, holders=[row.account for row in holders])

    def _deposit(self, account: int, amount_e6: int) -> None:
        self._requests += 1
        kind, owner = ChainRequestKind.DEPOSIT, account.to_bytes(20, "big")
        self._run(ChainRequest(index=self._requests, kind=kind, account=account, amount_e6=amount_e6, owner=owner))

    def _place(self, account: int, side: Side, ticks: int, lots: int, force: TimeInForce) -> None:
        self._nonce += 1
        order = Place(
            subaccount=account,
            instrument=_PERP,
            side=side,
            time_in_force=force,
            flags=OrderFlag.POST_ONLY if force is TimeInForce.GTC else OrderFlag.NONE,
            price_ticks=ticks,
            quantity_lots=lots,
            nonce=self._now_ns + self._nonce,
            expiry_s=self._now_ns // _SECOND_NS + 60,
            signer=account.to_bytes(20, "big"),
            max_fee_e18=1_000 * 10**18,
        )
        refused = [event for event in self._run(order) if isinstance(event, OrderRefused)]
        if refused:
            raise ValueError(f"an order of the simulation was refused: {refused[0]}")

    def _step(self, moment: Moment) -> None:
        """Makers move to the index, prices follow the book, the engine does what is due."""
        self._now_ns = (self._path.start_s + moment.at_s) * _SECOND_NS
        if moment is self._moments[0]:
            # The prices of the opening are a minute old: a market without fresh ones takes no quotes.
            self._price(moment.index_e9, moment.index_e9)
        self._quote(moment)
        self._price(moment.index_e9, self._mark_e9(moment.index_e9))
        self._run(Clock())
        while self.state.work_pending():
            self._run(Clock())

    def _quote(self, moment: Moment) -> None:
        """Both sides leave before either comes back: a new bid may be above an old ask."""
        for account in self._gone:
            self._run(CancelMany(subaccount=account, instrument=_PERP))
        refill_ppm = -(-_PPM // self._makers.refill_s)
        refill = self._depth_lots * moment.depth_ppm // _PPM * refill_ppm * self._path.step_s
        for account, gone in self._gone.items():
            self._gone[account] = max(0, gone - refill)
            self._ladder(account, moment)

    def _ladder(self, account: int, moment: Moment) -> None:
        """Quotes from the middle outwards; what was taken is missing there first."""
        missing, calm_lots = self._gone[account] // _PPM, self._depth_lots
        near_lots = calm_lots * moment.depth_ppm // _PPM
        rows = [(bps, near_lots * share // 100) for bps, share in zip(NEAR_BPS, NEAR_SHARES, strict=True)]
        rows += [(bps, calm_lots * share // 100) for bps, share in FAR]
        for bps, lots in rows:
            left = max(0, lots - missing)
            missing = max(0, missing - lots)
            if not left:
                continue
            away_e9 = moment.index_e9 * bps // _BPS
            if account == _BIDDER:
                self._place(account, Side.BUY, (moment.index_e9 - away_e9) // 10**8, left, TimeInForce.GTC)
            else:
                self._place(account, Side.SELL, -(-(moment.index_e9 + away_e9) // 10**8), left, TimeInForce.GTC)

    def _mark_e9(self, index_e9: int) -> int:
        bid, _, ask, _ = self.state.book.best(_PERP)
        last = self.state.prices.last_ticks.get(_PERP)
        tick = _INSTRUMENT.tick_e9 / _E9
        prices = [None if ticks is None else ticks * tick for ticks in (bid, ask, last)]
        book = BookPrices(bid=prices[0], ask=prices[1], last=prices[2])
        index, elapsed_s = index_e9 / _E9, float(self._path.step_s)
        middle = book.middle()
        if middle is not None:
            self._basis = self._basis.after(middle - index, elapsed_s)
            self._book_average = self._book_average.after(middle, elapsed_s)
        inputs = MarkInputs(index=index, book=book, basis=self._basis, book_average=self._book_average)
        # Whole cents: the last bits of an average must not decide.
        return round(perpetual_mark(inputs, clamp=_CLAMP) * 100) * 10**7

    def _price(self, index_e9: int, mark_e9: int) -> None:
        self._round += 1
        self.tally.note_prices(index_e9, mark_e9)
        self._run(
            SetPrices(
                round=self._round,
                underlyings=(UnderlyingRow("BTC", index_e9),),
                marks=(MarkRow(_PERP, mark_e9),),
            )
        )
