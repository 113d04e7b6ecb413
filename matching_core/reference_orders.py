"""Commands about one order in the reference book: new, cancel, amend; check everything, then apply."""

from typing import Final

from matching_core.fills import (
    FLAG_EXTENDED,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    STP_CANCEL_TAKER,
    CoreCode,
    CoreEvent,
    CoreSide,
)
from matching_core.limits import FLAGS_KNOWN, ICEBERG_SLICES_MAX, QUANTITY_MAX_LOTS, SIDE_MAX_LOTS
from matching_core.reference_matching import Matching, self_trade_mode
from matching_core.reference_state import Instrument, Order

__all__ = ["ACCEPTED", "OrderCommands", "Refusal", "check_numbers"]

Refusal = tuple[int, int, int]
"""Code, and for POST_ONLY_WOULD_CROSS the best opposite price and what is shown there."""
ACCEPTED: Final = (CoreCode.OK, 0, 0)


class OrderCommands(Matching):
    """New, cancel and amend; each returns its refusal, or ACCEPTED after it has written its events."""

    def _new(self, taker: Order) -> Refusal:
        """Check, open with ACCEPTED, match, then rest or end."""
        book = self._instruments.get(taker.instrument)
        code = self._check_fields(book, taker)
        if code or book is None:
            return code, 0, 0
        refusal = self._check_entry(book, taker, added_lots=taker.remaining_lots, is_new=True)
        if refusal != ACCEPTED:
            return refusal
        # After this point it must succeed.
        if taker.cell:
            self._counters.cells.setdefault(taker.cell, 0)
        taker.flags &= ~FLAG_EXTENDED
        taker.handle = self._slots.take()
        self._emit(CoreEvent.ACCEPTED, taker, taker.remaining_lots)
        self._execute(book, taker)
        self._emit_depth(book)
        return ACCEPTED

    def _cancel(self, handle: int, code: int = CoreCode.USER_REQUEST) -> Refusal:
        order = self._orders.get(handle)
        if order is None:
            return CoreCode.UNKNOWN_HANDLE, 0, 0
        self._cancel_resting(order, code)
        self._emit_depth(self._instruments[order.instrument])
        return ACCEPTED

    def _amend(self, instrument: int, handle: int, price: int, quantity: int) -> Refusal:
        book = self._instruments.get(instrument)
        if book is None:
            return CoreCode.UNKNOWN_INSTRUMENT, 0, 0
        code = check_numbers(book, price, quantity)
        if code:
            return code, 0, 0
        order = self._orders.get(handle)
        if order is None or order.instrument != instrument:
            return CoreCode.UNKNOWN_HANDLE, 0, 0
        if price == order.price_ticks and quantity <= order.remaining_lots:
            self._emit(CoreEvent.AMENDED, order, quantity)
            self._touched.add((order.side, order.price_ticks))
            book.shrink(order, order.remaining_lots - quantity)
            self._emit_depth(book)
            return ACCEPTED
        return self._amend_to_back(book, order, price, quantity)

    def _amend_to_back(self, book: Instrument, order: Order, price: int, quantity: int) -> Refusal:
        """Give up the place in line: leave the level, then act like a new order under the same handle."""
        if _has_too_many_slices(quantity, order.display_lots):
            return CoreCode.QUANTITY_OUT_OF_RANGE, 0, 0
        row = (order.handle, order.instrument, order.side, price, quantity, order.owner, order.cell, order.flags)
        taker = Order(*row, display_lots=order.display_lots, guard=order.guard)
        refusal = self._check_entry(book, taker, added_lots=quantity - order.remaining_lots, is_new=False)
        if refusal != ACCEPTED:
            return refusal
        # After this point it must succeed.
        self._touched.add((order.side, order.price_ticks))
        book.shrink(order, order.remaining_lots)
        del self._orders[order.handle]
        self._emit(CoreEvent.AMENDED, taker, quantity)
        self._execute(book, taker)
        self._emit_depth(book)
        return ACCEPTED

    def _check_fields(self, book: Instrument | None, taker: Order) -> int:
        """Return the first refusal of a NEW that its own fields, the listing and the phase decide."""
        if book is None:
            return CoreCode.UNKNOWN_INSTRUMENT
        if taker.side not in (CoreSide.BUY, CoreSide.SELL):
            return CoreCode.BAD_SIDE
        if not _are_flags_valid(taker):
            return CoreCode.BAD_FLAGS
        code = check_numbers(book, taker.price_ticks, taker.remaining_lots)
        if code:
            return code
        is_slice_valid = 0 <= taker.display_lots <= QUANTITY_MAX_LOTS
        if not is_slice_valid or _has_too_many_slices(taker.remaining_lots, taker.display_lots):
            return CoreCode.QUANTITY_OUT_OF_RANGE
        if taker.guard and taker.guard not in self._counters.guards:
            return CoreCode.UNKNOWN_GUARD
        if book.is_auction and taker.flags & (FLAG_IOC | FLAG_FOK):
            return CoreCode.WRONG_PHASE
        return CoreCode.OK

    def _check_entry(self, book: Instrument, taker: Order, *, added_lots: int, is_new: bool) -> Refusal:
        """Return the first refusal that depends on the book; a sliding order gets its new price here."""
        if taker.guard and self._counters.guards[taker.guard].is_frozen:
            return CoreCode.GUARD_FROZEN, 0, 0
        if self._counters.reduce_room(taker) == 0:
            return CoreCode.REDUCE_ONLY_WOULD_INCREASE, 0, 0
        if taker.flags & FLAG_POST_ONLY and book.crosses(taker.side, taker.price_ticks):
            refusal = _slide(book, taker)
            if refusal != ACCEPTED:
                return refusal
        if taker.flags & FLAG_FOK and self._dry_fill(book, taker) < taker.remaining_lots:
            return CoreCode.FOK_NOT_FILLED, 0, 0
        if is_new and (self._slots.is_full or not self._has_cell_room(taker.cell)):
            return CoreCode.CAPACITY, 0, 0
        may_rest = not taker.flags & (FLAG_IOC | FLAG_FOK)
        if may_rest and book.open_lots[taker.side] + added_lots > SIDE_MAX_LOTS:
            return CoreCode.CAPACITY, 0, 0
        if self._meets_itself_first(book, taker):
            return CoreCode.SELF_TRADE, 0, 0
        return ACCEPTED

    def _meets_itself_first(self, book: Instrument, taker: Order) -> bool:
        """Whether a CANCEL_TAKER order would end on an order of its own before any fill."""
        if not taker.owner or self_trade_mode(taker) != STP_CANCEL_TAKER:
            return False
        for maker in book.crossed_orders(taker.side, taker.price_ticks):
            if maker.owner == taker.owner:
                return True
            if not self._counters.unfit(maker, self._now_ns):
                return False
        return False


def _slide(book: Instrument, taker: Order) -> Refusal:
    """Move a crossing post-only order one tick behind the opposite best, where it asks for that and the band allows."""
    best_ticks = book.best(1 - taker.side) or 0
    behind_ticks = best_ticks - 1 if taker.side == CoreSide.BUY else best_ticks + 1
    in_band = book.price_min_ticks <= behind_ticks <= book.price_max_ticks
    if not taker.flags & FLAG_SLIDE or not in_band:
        return CoreCode.POST_ONLY_WOULD_CROSS, best_ticks, book.sides[1 - taker.side][best_ticks].total_lots
    taker.price_ticks = behind_ticks
    return ACCEPTED


def check_numbers(book: Instrument, price: int, quantity: int) -> int:
    """Return the refusal of a price or a quantity, OK when both are in range."""
    if not book.price_min_ticks <= price <= book.price_max_ticks:
        return CoreCode.PRICE_OUT_OF_RANGE
    if not 0 < quantity <= QUANTITY_MAX_LOTS:
        return CoreCode.QUANTITY_OUT_OF_RANGE
    return CoreCode.OK


def _has_too_many_slices(quantity: int, display_lots: int) -> bool:
    return display_lots > 0 and quantity > display_lots * ICEBERG_SLICES_MAX


def _are_flags_valid(taker: Order) -> bool:
    """Known bits that do not contradict each other; what never rests has neither slice nor guard."""
    flags = taker.flags
    if flags & ~FLAGS_KNOWN:
        return False
    immediate = flags & (FLAG_IOC | FLAG_FOK)
    if immediate == FLAG_IOC | FLAG_FOK or (immediate and flags & FLAG_POST_ONLY):
        return False
    if immediate and (taker.display_lots or taker.guard):
        return False
    if flags & FLAG_SLIDE and not flags & FLAG_POST_ONLY:
        return False
    return not (flags & FLAG_REDUCE_ONLY and taker.cell == 0)
