"""Matching of the reference book: trades, self-trade prevention, clipping, and the dry run that judges them."""

from collections import deque
from typing import Final

from matching_core.fills import (
    EVENT,
    FLAG_IOC,
    STP_CANCEL_BOTH,
    STP_CANCEL_MAKER,
    STP_CANCEL_TAKER,
    STP_SHIFT,
    CoreCode,
    CoreEvent,
    CoreSide,
)
from matching_core.reference_counters import Counters
from matching_core.reference_snapshot import SavedState
from matching_core.reference_state import Instrument, Level, Order

__all__ = ["Matching", "self_trade_mode"]

_STP_MASK: Final = 3


def self_trade_mode(order: Order) -> int:
    """One of the STP_ values."""
    return order.flags >> STP_SHIFT & _STP_MASK


class Matching(SavedState):
    """What an accepted order does to the book, written to `_out` as events."""

    _out: bytearray
    _touched: set[tuple[int, int]]

    def fillable(self, instrument: int, side: int, price_ticks: int, quantity_lots: int) -> int:
        """Lots an ownerless order would trade at `price_ticks` or better, at most `quantity_lots`; changes nothing.

        Guards stand where the last `submit` left them and count by its time; in an auction nothing would trade.
        """
        taker = Order(0, instrument, side, price_ticks, quantity_lots, owner=0, cell=0, flags=0)
        return self._dry_fill(self._instruments[instrument], taker)

    def _dry_fill(self, book: Instrument, taker: Order) -> int:
        """Lots the taker would trade under the rules of `_execute`, on scratch counters."""
        if book.is_auction:
            return 0
        counters = self._counters.scratch()
        left = taker.remaining_lots
        for _, level in book.reached_levels(taker.side, taker.price_ticks):
            traded, is_done = self._dry_fill_level(book, level, taker, left, counters)
            left -= traded
            if is_done or left == 0:
                break
        return taker.remaining_lots - left

    def _dry_fill_level(
        self, book: Instrument, level: Level, taker: Order, left: int, counters: Counters
    ) -> tuple[int, bool]:
        """Lots `left` would trade in one level, icebergs refilled at its back; and whether the taker ends there."""
        traded = 0
        line = deque((maker, maker.shown_lots, maker.hidden_lots) for maker in level.orders.values())
        while line and traded < left:
            maker, shown_lots, hidden_lots = line.popleft()
            if taker.owner and maker.owner == taker.owner:
                if self_trade_mode(taker) == STP_CANCEL_MAKER:
                    continue
                return traded, True
            if counters.unfit(maker, self._now_ns):
                continue
            rooms = (counters.pair_room(maker, taker), counters.guard_room(maker, self._now_ns))
            quantity = min(left - traded, shown_lots, *rooms)
            counters.move(maker, quantity)
            counters.move(taker, quantity)
            counters.guard_fill(book, maker, quantity, self._now_ns)
            traded += quantity
            if counters.reduce_room(taker) == 0:
                return traded, True
            if hidden_lots and counters.reduce_room(maker):
                slice_lots = min(maker.display_lots, hidden_lots)
                line.append((maker, slice_lots, hidden_lots - slice_lots))
        return traded, False

    def _execute(self, book: Instrument, taker: Order) -> None:
        """Match an accepted taker, then free it, cancel its rest with the reason, or rest it."""
        traded, end = 0, CoreCode.OK
        while end == CoreCode.OK and taker.remaining_lots and book.crosses(taker.side, taker.price_ticks):
            maker = book.first(1 - taker.side)
            if taker.owner and maker.owner == taker.owner:
                end = self._prevent_self_trade(taker, maker)
            elif reason := self._counters.unfit(maker, self._now_ns):
                self._cancel_resting(maker, reason)
            else:
                traded += self._trade(book, taker, maker)
                if self._counters.reduce_room(taker) == 0:
                    end = CoreCode.REDUCE_ONLY_EXCESS
        if end == CoreCode.OK and taker.flags & FLAG_IOC:
            end = CoreCode.IOC_REMAINDER if traded else CoreCode.NO_LIQUIDITY
        self._finish(book, taker, end)

    def _finish(self, book: Instrument, taker: Order, end: int) -> None:
        if taker.remaining_lots and end == CoreCode.OK:
            self._rest(book, taker)
            return
        if taker.remaining_lots:
            self._emit(CoreEvent.CANCELED, taker, taker.remaining_lots, end)
        self._slots.release(taker.handle)
        if taker.guard:
            self._lines[taker.guard].pop(taker.handle, None)

    def _rest(self, book: Instrument, order: Order) -> None:
        """Put an order at the back of its level; a guard's line keeps the place of an amended order."""
        if book.is_auction:
            self._arrivals += 1
            order.arrival = self._arrivals
        self._orders[order.handle] = order
        if order.guard:
            self._lines[order.guard][order.handle] = order
        book.add(order)
        self._touched.add((order.side, order.price_ticks))
        if order.hidden_lots:
            self._emit(CoreEvent.REFILLED, order, order.shown_lots)

    def _trade(self, book: Instrument, taker: Order, maker: Order) -> int:
        """Fill as much as quantities, cells and the maker's guard allow (at least one lot) at the maker's price."""
        counters = self._counters
        rooms = (counters.pair_room(maker, taker), counters.guard_room(maker, self._now_ns))
        quantity = min(taker.remaining_lots, maker.shown_lots, *rooms)
        row = (taker.instrument, maker.handle, maker.price_ticks, quantity)
        self._out += EVENT.pack(CoreEvent.TRADE, taker.side, CoreCode.OK, *row)
        counters.move(maker, quantity)
        counters.move(taker, quantity)
        self._count_in_guard(book, maker, quantity)
        taker.remaining_lots -= quantity
        self._fill_resting(book, maker, quantity)
        return quantity

    def _count_in_guard(self, book: Instrument, order: Order, quantity: int) -> None:
        code = self._counters.guard_fill(book, order, quantity, self._now_ns)
        if code:
            lots = self._counters.guards[order.guard].quantity_lots
            row = (book.instrument, order.guard, 0, lots)
            self._out += EVENT.pack(CoreEvent.GUARD_TRIPPED, order.side, code, *row)

    def _fill_resting(self, book: Instrument, order: Order, quantity: int) -> None:
        """Take a fill off a resting order; what its cell leaves no room for is canceled at once."""
        self._take(book, order, quantity)
        if order.remaining_lots and self._counters.reduce_room(order) == 0:
            self._cancel_resting(order, CoreCode.REDUCE_ONLY_EXCESS)

    def _take(self, book: Instrument, order: Order, quantity: int) -> None:
        self._touched.add((order.side, order.price_ticks))
        if book.fill(order, quantity):
            self._emit(CoreEvent.REFILLED, order, order.shown_lots)
        elif order.remaining_lots == 0:
            self._forget(order)

    def _prevent_self_trade(self, taker: Order, maker: Order) -> int:
        """Apply the taker's mode to a maker of the same owner; returns the code that ends the taker, OK if none."""
        mode = self_trade_mode(taker)
        if mode == STP_CANCEL_TAKER:
            return CoreCode.SELF_TRADE
        if mode in (STP_CANCEL_MAKER, STP_CANCEL_BOTH):
            self._cancel_resting(maker, CoreCode.SELF_TRADE_MAKER)
            return CoreCode.SELF_TRADE if mode == STP_CANCEL_BOTH else CoreCode.OK
        quantity = min(taker.remaining_lots, maker.shown_lots)
        self._emit(CoreEvent.CANCELED, maker, quantity, CoreCode.SELF_TRADE_DECREMENT)
        self._emit(CoreEvent.CANCELED, taker, quantity, CoreCode.SELF_TRADE_DECREMENT)
        taker.remaining_lots -= quantity
        self._take(self._instruments[maker.instrument], maker, quantity)
        return CoreCode.OK

    def _cancel_resting(self, order: Order, code: int) -> None:
        self._emit(CoreEvent.CANCELED, order, order.remaining_lots, code)
        self._touched.add((order.side, order.price_ticks))
        self._instruments[order.instrument].shrink(order, order.remaining_lots)
        self._forget(order)

    def _forget(self, order: Order) -> None:
        del self._orders[order.handle]
        if order.guard:
            del self._lines[order.guard][order.handle]
        self._slots.release(order.handle)

    def _emit(self, kind: int, order: Order, quantity: int, code: int = CoreCode.OK) -> None:
        self._out += EVENT.pack(kind, order.side, code, order.instrument, order.handle, order.price_ticks, quantity)

    def _emit_depth(self, book: Instrument) -> None:
        """Close a command: one DEPTH per touched level, bids before asks, best first."""
        bids = sorted((price for side, price in self._touched if side == CoreSide.BUY), reverse=True)
        asks = sorted(price for side, price in self._touched if side == CoreSide.SELL)
        for side, prices in ((CoreSide.BUY, bids), (CoreSide.SELL, asks)):
            for price in prices:
                level = book.sides[side].get(price)
                total = level.total_lots if level is not None else 0
                self._out += EVENT.pack(CoreEvent.DEPTH, side, CoreCode.OK, book.instrument, 0, price, total)
        self._touched.clear()
