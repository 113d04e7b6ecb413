"""Commands about many orders in the reference book: mass quotes, and cancels by guard, owner and instrument."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from matching_core.fills import (
    EVENT,
    FLAG_POST_ONLY,
    FLAG_SLIDE,
    QUOTE_LINE,
    CoreCode,
    CoreEvent,
    CoreSide,
)
from matching_core.limits import QUOTE_FLAGS_KNOWN, QUOTE_LINES_MAX
from matching_core.reference_auction import AuctionCommands
from matching_core.reference_orders import ACCEPTED, Refusal, check_numbers
from matching_core.reference_state import Order

__all__ = ["ManyOrderCommands", "QuoteHeader"]

_KEPT: Final = -1
"""The named order stays: same price, no more lots than it has."""


@dataclass(frozen=True, slots=True)
class QuoteHeader:
    """What all lines of a mass quote share."""

    flags: int
    owner: int
    guard: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One side of a line; `price`, `lots` 0 and a handle take the named order away."""

    instrument: int
    cell: int
    side: int
    price: int
    lots: int
    handle: int
    line_code: int

    @property
    def is_named(self) -> bool:
        """Whether the line says anything about this side."""
        return bool(self.lots or self.handle)


class ManyOrderCommands(AuctionCommands):
    """Mass quotes and bulk cancels."""

    def _mass_quote(self, header: QuoteHeader, count: int, lines: bytes) -> Refusal:
        """Cancel what is replaced, line by line, bid first; then place in the same order, each entry for itself.

        Every named entry is answered once in the second pass: ACCEPTED, AMENDED (it kept its place) or REJECTED; an
        entry of zero lots by the CANCELED of the first pass.
        """
        if not _are_flags_valid(header.flags):
            return CoreCode.BAD_FLAGS, 0, 0
        if not 0 < count <= QUOTE_LINES_MAX:
            return CoreCode.QUANTITY_OUT_OF_RANGE, 0, 0
        if header.guard and header.guard not in self._counters.guards:
            return CoreCode.UNKNOWN_GUARD, 0, 0
        if header.guard and self._counters.guards[header.guard].is_frozen:
            return CoreCode.GUARD_FROZEN, 0, 0
        self._applied(0, 0, 0, count)
        entries = [entry for entry in self._entries(lines) if entry.is_named]
        outcomes = [self._replace(header, entry) for entry in entries]
        for entry, outcome in zip(entries, outcomes, strict=True):
            self._place_entry(header, entry, outcome)
        return ACCEPTED

    def _entries(self, lines: bytes) -> Iterator[_Entry]:
        for fields in QUOTE_LINE.iter_unpack(lines):
            instrument, cell, bid, bid_lots, ask, ask_lots, bid_handle, ask_handle, reserved = fields
            code = CoreCode.OK
            if instrument not in self._instruments:
                code = CoreCode.UNKNOWN_INSTRUMENT
            elif reserved:
                code = CoreCode.BAD_FLAGS
            elif bid_lots and ask_lots and bid >= ask:
                code = CoreCode.QUOTE_CROSSED
            yield _Entry(instrument, cell, CoreSide.BUY, bid, bid_lots, bid_handle, code)
            yield _Entry(instrument, cell, CoreSide.SELL, ask, ask_lots, ask_handle, code)

    def _replace(self, header: QuoteHeader, entry: _Entry) -> int:
        """First pass: cancel the named order unless it may stay; OK, _KEPT or why the entry is refused."""
        if entry.line_code:
            return entry.line_code
        if entry.lots:
            code = check_numbers(self._instruments[entry.instrument], entry.price, entry.lots)
            if code:
                return code
        if not entry.handle:
            return CoreCode.OK
        order = self._orders.get(entry.handle)
        if order is None or not _is_quote_of(order, header, entry):
            return CoreCode.UNKNOWN_HANDLE
        if entry.lots and entry.price == order.price_ticks and entry.lots <= order.remaining_lots:
            return _KEPT
        self._cancel(entry.handle, CoreCode.QUOTE_REPLACED if entry.lots else CoreCode.USER_REQUEST)
        return CoreCode.OK

    def _place_entry(self, header: QuoteHeader, entry: _Entry, outcome: int) -> None:
        """Second pass: place, keep or refuse."""
        refusal = ACCEPTED if outcome == _KEPT else (outcome, 0, 0)
        if outcome == _KEPT:
            refusal = self._amend(entry.instrument, entry.handle, entry.price, entry.lots)
        elif outcome == CoreCode.OK and entry.lots:
            row = (0, entry.instrument, entry.side, entry.price, entry.lots, header.owner, entry.cell, header.flags)
            refusal = self._new(Order(*row, guard=header.guard))
        self._reject(refusal, entry.side, entry.instrument, entry.handle)

    def _reject(self, refusal: Refusal, side: int, instrument: int, handle: int) -> None:
        """Write REJECTED unless the command went through."""
        code, best_ticks, best_lots = refusal
        if code != CoreCode.OK:
            self._out += EVENT.pack(CoreEvent.REJECTED, side, code, instrument, handle, best_ticks, best_lots)

    def _cancel_guard(self, side: int, instrument: int, price: int, quantity: int, guard: int) -> Refusal:
        """Cancel every order of a guard, the one that came to rest first in front, each with its own depth."""
        if guard not in self._counters.guards:
            return CoreCode.UNKNOWN_GUARD, 0, 0
        self._applied(side, instrument, price, quantity)
        for handle in list(self._lines[guard]):
            self._cancel(handle)
        return ACCEPTED

    def _cancel_many(self, side: int, instrument: int, price: int, quantity: int, owner: int | None) -> Refusal:
        """Cancel all orders of an instrument, or of one owner in it, in match order, bids first."""
        book = self._instruments.get(instrument)
        if book is None:
            return CoreCode.UNKNOWN_INSTRUMENT, 0, 0
        self._applied(side, instrument, price, quantity)
        doomed = [
            order
            for levels in book.sides
            for level in levels.values()
            for order in level.orders.values()
            if owner is None or order.owner == owner
        ]
        for order in doomed:
            self._cancel_resting(order, CoreCode.USER_REQUEST)
        self._emit_depth(book)
        return ACCEPTED


def _are_flags_valid(flags: int) -> bool:
    """Post-only, slide with it, and a self-trade mode."""
    return not flags & ~QUOTE_FLAGS_KNOWN and (not flags & FLAG_SLIDE or bool(flags & FLAG_POST_ONLY))


def _is_quote_of(order: Order, header: QuoteHeader, entry: _Entry) -> bool:
    """Whether the named order is one that this entry may replace."""
    stands = (order.instrument, order.side, order.owner, order.guard)
    return stands == (entry.instrument, entry.side, header.owner, header.guard)
