"""Call auction of the reference book: phases, the price of an uncross, and the uncross itself."""

from itertools import pairwise

from matching_core.fills import (
    EVENT,
    STP_CANCEL_BOTH,
    STP_CANCEL_MAKER,
    STP_CANCEL_TAKER,
    CoreCode,
    CoreEvent,
    CorePhase,
    CoreSide,
)
from matching_core.limits import SIDE_MAX_LOTS
from matching_core.reference_matching import self_trade_mode
from matching_core.reference_orders import ACCEPTED, OrderCommands, Refusal
from matching_core.reference_state import Instrument, Order

__all__ = ["AuctionCommands"]


class AuctionCommands(OrderCommands):
    """Phases and the uncross."""

    def indicative(self, instrument: int, reference_ticks: int) -> tuple[int | None, int, int]:
        """Return (price or None, volume, demand - supply) of an uncross now; None unless bids reach asks; or KeyError.

        Each side is counted as if the other were endless: hidden lots included, clipped by its own cells and guards.
        """
        book = self._instruments[instrument]
        return self._uncross_price(book, reference_ticks) if book.is_crossed else (None, 0, 0)

    def _set_phase(self, side: int, instrument: int, price: int, quantity: int) -> Refusal:
        book = self._instruments.get(instrument)
        if book is None:
            return CoreCode.UNKNOWN_INSTRUMENT, 0, 0
        if side not in (CorePhase.CONTINUOUS, CorePhase.AUCTION):
            return CoreCode.BAD_SIDE, 0, 0
        if side == CorePhase.CONTINUOUS and book.is_crossed:
            return CoreCode.BOOK_CROSSED, 0, 0
        book.phase = side
        self._applied(side, instrument, price, quantity)
        return ACCEPTED

    def _uncross(self, side: int, instrument: int, price: int, quantity: int) -> Refusal:
        """Match all that crosses, each round at one price, then trade continuously.

        A second round comes only when self-trades, cells or guards took so much out of the first that orders still
        cross beyond its price.
        """
        book = self._instruments.get(instrument)
        if book is None:
            return CoreCode.UNKNOWN_INSTRUMENT, 0, 0
        if not book.price_min_ticks <= price <= book.price_max_ticks:
            return CoreCode.PRICE_OUT_OF_RANGE, 0, 0
        if not book.is_auction:
            return CoreCode.WRONG_PHASE, 0, 0
        self._applied(side, instrument, price, quantity)
        while book.is_crossed:
            at_ticks = self._uncross_price(book, price)[0]
            lots = self._match_at(book, at_ticks)
            if lots:
                self._out += EVENT.pack(CoreEvent.UNCROSSED, 0, CoreCode.OK, instrument, 0, at_ticks, lots)
        book.phase = CorePhase.CONTINUOUS
        self._emit_depth(book)
        return ACCEPTED

    def _applied(self, side: int, instrument: int, price: int, quantity: int) -> None:
        self._out += EVENT.pack(CoreEvent.APPLIED, side, CoreCode.OK, instrument, 0, price, quantity)

    def _uncross_price(self, book: Instrument, reference_ticks: int) -> tuple[int, int, int]:
        """Price, volume and surplus of a crossed book: most volume, least surplus, nearest to reference, lowest."""
        low, high = book.best(CoreSide.SELL) or 0, book.best(CoreSide.BUY) or 0
        asks = self._tradable(book, CoreSide.SELL, high)
        bids = self._tradable(book, CoreSide.BUY, low)
        steps = sorted({*asks, *bids})
        prices = {*steps, min(high, max(low, reference_ticks))}
        for below, above in pairwise(steps):
            # Between two levels nothing changes, so the price of a gap that is nearest to the reference stands for it.
            prices |= {below + 1, above - 1} if above - below > 1 else set()
        ranks = []
        for price in prices:
            demand = sum(lots for at, lots in bids.items() if at >= price)
            supply = sum(lots for at, lots in asks.items() if at <= price)
            surplus = demand - supply
            ranks.append((min(demand, supply), -abs(surplus), -abs(price - reference_ticks), -price, surplus))
        volume, _, _, negated, surplus = max(ranks)
        return -negated, volume, surplus

    def _tradable(self, book: Instrument, side: int, price_ticks: int) -> dict[int, int]:
        """Lots by level of `side` that an endless ownerless order at `price_ticks` would trade."""
        taker = Order(0, book.instrument, 1 - side, price_ticks, SIDE_MAX_LOTS, owner=0, cell=0, flags=0)
        counters = self._counters.scratch()
        return {
            price: self._dry_fill_level(book, level, taker, SIDE_MAX_LOTS, counters)[0]
            for price, level in book.reached_levels(1 - side, price_ticks)
        }

    def _match_at(self, book: Instrument, price: int) -> int:
        """Match in price-time order at one price until one side has nothing left for it; returns the lots traded."""
        traded = 0
        while book.is_crossed:
            bid, ask = book.first(CoreSide.BUY), book.first(CoreSide.SELL)
            if bid.price_ticks < price or ask.price_ticks > price:
                break
            if bid.owner and bid.owner == ask.owner:
                self._prevent_self_uncross(book, bid, ask)
            elif reason := self._counters.unfit(bid, self._now_ns):
                self._cancel_resting(bid, reason)
            elif reason := self._counters.unfit(ask, self._now_ns):
                self._cancel_resting(ask, reason)
            else:
                traded += self._match_pair(book, bid, ask, price)
        return traded

    def _match_pair(self, book: Instrument, bid: Order, ask: Order, price: int) -> int:
        """Fill both as far as quantities, cells and guards allow, hidden lots included."""
        counters, now_ns = self._counters, self._now_ns
        rooms = [counters.guard_room(order, now_ns) for order in (bid, ask)]
        quantity = min(bid.remaining_lots, ask.remaining_lots, counters.pair_room(bid, ask), *rooms)
        for order in (bid, ask):
            row = (order.side, CoreCode.OK, book.instrument, order.handle, price, quantity)
            self._out += EVENT.pack(CoreEvent.FILL, *row)
            counters.move(order, quantity)
        self._count_in_guard(book, bid, quantity)
        if ask.guard != bid.guard:
            # Two orders of one guard that meet without an owner are one fill of it, counted for the buyer.
            self._count_in_guard(book, ask, quantity)
        self._fill_resting(book, bid, quantity)
        self._fill_resting(book, ask, quantity)
        return quantity

    def _prevent_self_uncross(self, book: Instrument, bid: Order, ask: Order) -> None:
        """The younger of two own orders is the taker whose mode counts."""
        older, younger = (ask, bid) if bid.arrival > ask.arrival else (bid, ask)
        mode = self_trade_mode(younger)
        if mode in (STP_CANCEL_MAKER, STP_CANCEL_BOTH):
            self._cancel_resting(older, CoreCode.SELF_TRADE_MAKER)
        if mode in (STP_CANCEL_TAKER, STP_CANCEL_BOTH):
            self._cancel_resting(younger, CoreCode.SELF_TRADE)
        if mode in (STP_CANCEL_TAKER, STP_CANCEL_MAKER, STP_CANCEL_BOTH):
            return
        quantity = min(older.remaining_lots, younger.remaining_lots)
        for order in (older, younger):
            self._emit(CoreEvent.CANCELED, order, quantity, CoreCode.SELF_TRADE_DECREMENT)
        for order in (older, younger):
            self._take(book, order, quantity)
