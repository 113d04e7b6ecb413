"""The reference order book: price-time priority in plain Python, the oracle of the compiled twin.

One object holds every instrument. Each side is a sorted map from price to level, best price first; a level is a dict
in order of arrival. Nothing here is clever: quantities are Python ints, touched prices are collected in a set and
reported at the end. The compiled twin must answer each command with the same bytes.
"""

from typing import Final

from matching_core.fills import (
    COMMAND,
    COMMAND_BYTES,
    EVENT,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    STP_CANCEL_BOTH,
    STP_CANCEL_MAKER,
    STP_CANCEL_TAKER,
    STP_SHIFT,
    CoreCode,
    CoreCommand,
    CoreEvent,
    CoreSide,
)
from matching_core.limits import DEFAULT_ORDER_CAPACITY, FLAGS_KNOWN, QUANTITY_MAX_LOTS, SIDE_MAX_LOTS
from matching_core.reference_state import Instrument, Order
from matching_core.reference_views import BookState

__all__ = ["ReferenceOrderBook"]

_ACCEPTED: Final = (CoreCode.OK, 0, 0)
_STP_MASK: Final = 3 << STP_SHIFT


class ReferenceOrderBook(BookState):
    """All books of one core: commands in, events out (layouts in `fills`), no clock and no randomness."""

    def __init__(self, *, order_capacity: int = DEFAULT_ORDER_CAPACITY) -> None:
        super().__init__(order_capacity=order_capacity)
        self._out = bytearray()
        self._touched: set[tuple[int, int]] = set()

    def submit(self, commands: bytes) -> bytes:
        """Apply packed commands in order and return all their events; ValueError unless whole commands are given."""
        if len(commands) % COMMAND_BYTES:
            raise ValueError(f"{len(commands)} bytes are not whole commands of {COMMAND_BYTES} bytes")
        self._out = bytearray()
        for fields in COMMAND.iter_unpack(commands):
            self._apply(*fields)
        return bytes(self._out)

    def fillable(self, instrument: int, side: int, price_ticks: int, quantity_lots: int) -> int:
        """Lots an ownerless order would trade at `price_ticks` or better, at most `quantity_lots`; changes nothing."""
        taker = Order(0, instrument, side, price_ticks, quantity_lots, owner=0, cell=0, flags=0)
        return self._dry_fill(self._instruments[instrument], taker)

    def _apply(
        self, kind: int, side: int, flags: int, instrument: int, price: int, quantity: int, owner: int, cell: int
    ) -> None:
        handle = 0
        refusal = (CoreCode.UNKNOWN_KIND, 0, 0)
        if kind == CoreCommand.NEW:
            refusal = self._new(Order(0, instrument, side, price, quantity, owner, cell, flags))
        elif kind in (CoreCommand.CANCEL, CoreCommand.AMEND):
            handle = owner | cell << 32
            is_cancel = kind == CoreCommand.CANCEL
            refusal = self._cancel(handle) if is_cancel else self._amend(instrument, handle, price, quantity)
        code, best_ticks, best_lots = refusal
        if code != CoreCode.OK:
            self._out += EVENT.pack(CoreEvent.REJECTED, side, code, instrument, handle, best_ticks, best_lots)

    def _new(self, taker: Order) -> tuple[int, int, int]:
        """Check, open with ACCEPTED, match, then rest or end; returns the refusal (code, price, quantity)."""
        book = self._instruments.get(taker.instrument)
        code = _check_fields(book, taker)
        if code or book is None:
            return code, 0, 0
        refusal = self._check_entry(book, taker, added_lots=taker.remaining_lots, needs_slot=True)
        if refusal != _ACCEPTED:
            return refusal
        # After this point it must succeed.
        taker.handle = self._slots.take()
        self._emit(CoreEvent.ACCEPTED, taker, taker.remaining_lots)
        self._execute(book, taker)
        self._emit_depth(book)
        return _ACCEPTED

    def _cancel(self, handle: int) -> tuple[int, int, int]:
        order = self._orders.get(handle)
        if order is None:
            return CoreCode.UNKNOWN_HANDLE, 0, 0
        self._cancel_resting(order, CoreCode.USER_REQUEST)
        self._emit_depth(self._instruments[order.instrument])
        return _ACCEPTED

    def _amend(self, instrument: int, handle: int, price: int, quantity: int) -> tuple[int, int, int]:
        book = self._instruments.get(instrument)
        if book is None:
            return CoreCode.UNKNOWN_INSTRUMENT, 0, 0
        code = _check_numbers(book, price, quantity)
        if code:
            return code, 0, 0
        order = self._orders.get(handle)
        if order is None or order.instrument != instrument:
            return CoreCode.UNKNOWN_HANDLE, 0, 0
        if price == order.price_ticks and quantity <= order.remaining_lots:
            self._emit(CoreEvent.AMENDED, order, quantity)
            self._reduce(order, order.remaining_lots - quantity)
            self._emit_depth(book)
            return _ACCEPTED
        return self._amend_to_back(book, order, price, quantity)

    def _amend_to_back(self, book: Instrument, order: Order, price: int, quantity: int) -> tuple[int, int, int]:
        """Give up the place in line: leave the level, then act like a new order under the same handle."""
        taker = Order(order.handle, order.instrument, order.side, price, quantity, order.owner, order.cell, order.flags)
        added = quantity - order.remaining_lots
        refusal = self._check_entry(book, taker, added_lots=added, needs_slot=False)
        if refusal != _ACCEPTED:
            return refusal
        # After this point it must succeed.
        self._reduce(order, order.remaining_lots)
        del self._orders[order.handle]
        self._emit(CoreEvent.AMENDED, taker, quantity)
        self._execute(book, taker)
        self._emit_depth(book)
        return _ACCEPTED

    def _check_entry(
        self, book: Instrument, taker: Order, *, added_lots: int, needs_slot: bool
    ) -> tuple[int, int, int]:
        """Return the first refusal that depends on the book; a sliding order gets its new price here."""
        if taker.is_reduce_only and self._room(taker) == 0:
            return CoreCode.REDUCE_ONLY_WOULD_INCREASE, 0, 0
        if taker.flags & FLAG_POST_ONLY and book.crosses(taker.side, taker.price_ticks):
            best_ticks = book.best(1 - taker.side) or 0
            behind_ticks = best_ticks - 1 if taker.side == CoreSide.BUY else best_ticks + 1
            in_band = book.price_min_ticks <= behind_ticks <= book.price_max_ticks
            if not taker.flags & FLAG_SLIDE or not in_band:
                best_lots = book.sides[1 - taker.side][best_ticks].total_lots
                return CoreCode.POST_ONLY_WOULD_CROSS, best_ticks, best_lots
            taker.price_ticks = behind_ticks
        if taker.flags & FLAG_FOK and self._dry_fill(book, taker) < taker.remaining_lots:
            return CoreCode.FOK_NOT_FILLED, 0, 0
        may_rest = not taker.flags & (FLAG_IOC | FLAG_FOK)
        if needs_slot and self._slots.is_full:
            return CoreCode.CAPACITY, 0, 0
        if may_rest and book.open_lots[taker.side] + added_lots > SIDE_MAX_LOTS:
            return CoreCode.CAPACITY, 0, 0
        if self._meets_itself_first(book, taker):
            return CoreCode.SELF_TRADE, 0, 0
        return _ACCEPTED

    def _meets_itself_first(self, book: Instrument, taker: Order) -> bool:
        """Whether a CANCEL_TAKER order would end on an order of its own before any fill."""
        if not taker.owner or taker.flags & _STP_MASK != STP_CANCEL_TAKER << STP_SHIFT:
            return False
        for maker in book.crossed_orders(taker.side, taker.price_ticks):
            if maker.owner == taker.owner:
                return True
            if not maker.is_reduce_only or self._room(maker):
                return False
        return False

    def _dry_fill(self, book: Instrument, taker: Order) -> int:
        """Lots the taker would trade under the rules of `_execute`, on scratch cells; changes nothing."""
        cells = dict(self._cells)
        left = taker.remaining_lots
        for maker in book.crossed_orders(taker.side, taker.price_ticks):
            if taker.owner and maker.owner == taker.owner:
                if taker.flags & _STP_MASK == STP_CANCEL_MAKER << STP_SHIFT:
                    continue
                break
            quantity = min(left, maker.remaining_lots)
            for order in (maker, taker):
                if order.is_reduce_only:
                    quantity = min(quantity, _room_of(cells, order))
            _move(cells, maker, quantity)
            _move(cells, taker, quantity)
            left -= quantity
            if left == 0 or (taker.is_reduce_only and _room_of(cells, taker) == 0):
                break
        return taker.remaining_lots - left

    def _execute(self, book: Instrument, taker: Order) -> None:
        """Match an accepted taker, then free it, cancel its rest with the reason, or rest it."""
        traded, end = 0, CoreCode.OK
        while end == CoreCode.OK and taker.remaining_lots and book.crosses(taker.side, taker.price_ticks):
            maker = next(book.crossed_orders(taker.side, taker.price_ticks))
            if taker.owner and maker.owner == taker.owner:
                end = self._prevent_self_trade(taker, maker)
            elif maker.is_reduce_only and self._room(maker) == 0:
                self._cancel_resting(maker, CoreCode.REDUCE_ONLY_EXCESS)
            else:
                traded += self._trade(taker, maker)
                if taker.is_reduce_only and self._room(taker) == 0:
                    end = CoreCode.REDUCE_ONLY_EXCESS
        if end == CoreCode.OK and taker.flags & FLAG_IOC:
            end = CoreCode.IOC_REMAINDER if traded else CoreCode.NO_LIQUIDITY
        self._finish(book, taker, end)

    def _finish(self, book: Instrument, taker: Order, end: int) -> None:
        if taker.remaining_lots and end == CoreCode.OK:
            self._orders[taker.handle] = taker
            book.add(taker)
            self._touched.add((taker.side, taker.price_ticks))
            return
        if taker.remaining_lots:
            self._emit(CoreEvent.CANCELED, taker, taker.remaining_lots, end)
        self._slots.release(taker.handle)

    def _trade(self, taker: Order, maker: Order) -> int:
        """Fill as much as both quantities and both cells allow (at least one lot) at the maker's price."""
        quantity = min(taker.remaining_lots, maker.remaining_lots)
        for order in (maker, taker):
            if order.is_reduce_only:
                quantity = min(quantity, self._room(order))
        row = (taker.instrument, maker.handle, maker.price_ticks, quantity)
        self._out += EVENT.pack(CoreEvent.TRADE, taker.side, CoreCode.OK, *row)
        _move(self._cells, maker, quantity)
        _move(self._cells, taker, quantity)
        taker.remaining_lots -= quantity
        self._reduce(maker, quantity)
        if maker.remaining_lots == 0:
            self._forget(maker)
        elif maker.is_reduce_only and self._room(maker) == 0:
            self._cancel_resting(maker, CoreCode.REDUCE_ONLY_EXCESS)
        return quantity

    def _prevent_self_trade(self, taker: Order, maker: Order) -> int:
        """Apply the taker's mode to a maker of the same owner; returns the code that ends the taker, OK if none."""
        mode = (taker.flags & _STP_MASK) >> STP_SHIFT
        if mode == STP_CANCEL_TAKER:
            return CoreCode.SELF_TRADE
        if mode in (STP_CANCEL_MAKER, STP_CANCEL_BOTH):
            self._cancel_resting(maker, CoreCode.SELF_TRADE_MAKER)
            return CoreCode.SELF_TRADE if mode == STP_CANCEL_BOTH else CoreCode.OK
        quantity = min(taker.remaining_lots, maker.remaining_lots)
        self._emit(CoreEvent.CANCELED, maker, quantity, CoreCode.SELF_TRADE_DECREMENT)
        self._emit(CoreEvent.CANCELED, taker, quantity, CoreCode.SELF_TRADE_DECREMENT)
        taker.remaining_lots -= quantity
        self._reduce(maker, quantity)
        if maker.remaining_lots == 0:
            self._forget(maker)
        return CoreCode.OK

    def _cancel_resting(self, order: Order, code: int) -> None:
        self._emit(CoreEvent.CANCELED, order, order.remaining_lots, code)
        self._reduce(order, order.remaining_lots)
        self._forget(order)

    def _reduce(self, order: Order, quantity: int) -> None:
        """Take quantity off a resting order and mark its level for the closing DEPTH events."""
        self._touched.add((order.side, order.price_ticks))
        self._instruments[order.instrument].reduce(order, quantity)

    def _forget(self, order: Order) -> None:
        del self._orders[order.handle]
        self._slots.release(order.handle)

    def _room(self, order: Order) -> int:
        return _room_of(self._cells, order)

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


def _check_fields(book: Instrument | None, taker: Order) -> int:
    """Return the first refusal of a NEW that its own fields and the listing decide."""
    if book is None:
        return CoreCode.UNKNOWN_INSTRUMENT
    if taker.side not in (CoreSide.BUY, CoreSide.SELL):
        return CoreCode.BAD_SIDE
    if not _are_flags_valid(taker.flags, taker.cell):
        return CoreCode.BAD_FLAGS
    return _check_numbers(book, taker.price_ticks, taker.remaining_lots)


def _check_numbers(book: Instrument, price: int, quantity: int) -> int:
    if not book.price_min_ticks <= price <= book.price_max_ticks:
        return CoreCode.PRICE_OUT_OF_RANGE
    if not 0 < quantity <= QUANTITY_MAX_LOTS:
        return CoreCode.QUANTITY_OUT_OF_RANGE
    return CoreCode.OK


def _are_flags_valid(flags: int, cell: int) -> bool:
    """Unknown bits, IOC with FOK, post-only that may not rest, slide without post-only, reduce-only without cell."""
    if flags & ~FLAGS_KNOWN:
        return False
    immediate = flags & (FLAG_IOC | FLAG_FOK)
    if immediate == FLAG_IOC | FLAG_FOK or (immediate and flags & FLAG_POST_ONLY):
        return False
    if flags & FLAG_SLIDE and not flags & FLAG_POST_ONLY:
        return False
    return not (flags & FLAG_REDUCE_ONLY and cell == 0)


def _room_of(cells: dict[int, int], order: Order) -> int:
    """Lots the order may trade before its cell's position would cross zero."""
    position = cells.get(order.cell, 0)
    return max(0, -position if order.side == CoreSide.BUY else position)


def _move(cells: dict[int, int], order: Order, quantity: int) -> None:
    """Book a fill on the order's cell; cell 0 is none."""
    if order.cell:
        signed = quantity if order.side == CoreSide.BUY else -quantity
        cells[order.cell] = cells.get(order.cell, 0) + signed
