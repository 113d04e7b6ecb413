"""Digest of the reference book's state, and what must hold in it at any time."""

from hashlib import sha256
from struct import Struct
from typing import Any, Final

from matching_core.fills import FLAG_EXTENDED, CoreCode, CoreSide
from matching_core.invariants import require
from matching_core.limits import GUARD_LIMIT_MAX, ICEBERG_SLICES_MAX, QUANTITY_MAX_LOTS, SIDE_MAX_LOTS
from matching_core.reference_state import Instrument, Order
from matching_core.reference_views import BookState

__all__ = ["AuditedState"]

_HASH_INSTRUMENT: Final = Struct("<IqqII")
_HASH_LEVEL: Final = Struct("<qqI")
_HASH_ORDER: Final = Struct("<qIIH")
_HASH_EXTENSION: Final = Struct("<qqIQ")
_HASH_CELL: Final = Struct("<Iq")
_HASH_MARKET: Final = Struct("<cIqqI")
_HASH_GUARD: Final = Struct("<cIIqqqqqqqqqqI")
_HASH_MEMBER: Final = Struct("<IIqq")
_HASH_ARRIVALS: Final = Struct("<cQ")


class AuditedState(BookState):
    """The state with its hash and its invariants."""

    def state_hash(self) -> bytes:
        """SHA-256 over everything that decides future events except slots and capacities.

        Bands, levels, orders in line, cells that are not zero; then, each only where there is any, phases and weights,
        guards with their lines, and the count of auction entries. A book of plain orders hashes none of the latter.
        """
        digest = sha256()
        for _, book in sorted(self._instruments.items()):
            self._hash_book(digest, book)
        for cell, position in sorted(self._counters.cells.items()):
            if position:
                digest.update(_HASH_CELL.pack(cell, position))
        for number, book in sorted(self._instruments.items()):
            if book.phase or book.delta_e9 or book.vega_e9:
                digest.update(_HASH_MARKET.pack(b"M", number, book.delta_e9, book.vega_e9, book.phase))
        for number in sorted(self._counters.guards):
            self._hash_guard(digest, number)
        if self._arrivals:
            digest.update(_HASH_ARRIVALS.pack(b"A", self._arrivals))
        return digest.digest()

    def check_invariants(self) -> None:
        """Raise InvariantViolated where levels, orders, totals, slots or guards contradict each other."""
        resting = 0
        for book in self._instruments.values():
            require(book.is_auction or not book.is_crossed, "book is crossed")
            for side in (CoreSide.BUY, CoreSide.SELL):
                resting += self._check_side(book, side)
        require(resting == len(self._orders), "an order rests in no level")
        require(self._slots.allocated_count == resting, "slots in use differ from resting orders")
        self._check_guards()

    def _hash_book(self, digest: Any, book: Instrument) -> None:
        bids, asks = book.sides
        band = (book.price_min_ticks, book.price_max_ticks)
        digest.update(_HASH_INSTRUMENT.pack(book.instrument, *band, len(bids), len(asks)))
        for price, level in (*bids.items(), *asks.items()):
            digest.update(_HASH_LEVEL.pack(price, level.total_lots, len(level.orders)))
            for order in level.orders.values():
                self._hash_order(digest, order)

    def _hash_order(self, digest: Any, order: Order) -> None:
        extension = (order.display_lots, order.hidden_lots, order.guard, order.arrival)
        flags = order.flags | (FLAG_EXTENDED if any(extension) else 0)
        digest.update(_HASH_ORDER.pack(order.remaining_lots, order.owner, order.cell, flags))
        if any(extension):
            digest.update(_HASH_EXTENSION.pack(*extension))

    def _hash_guard(self, digest: Any, number: int) -> None:
        guard = self._counters.guards[number]
        limits = (guard.quantity_limit_lots, guard.delta_limit_e9, guard.vega_limit_e9, guard.count_limit)
        sums = (guard.start_ns, guard.quantity_lots, guard.delta_e9, guard.vega_e9, guard.count)
        line = self._lines[number]
        digest.update(_HASH_GUARD.pack(b"G", number, guard.is_frozen, guard.interval_ns, *limits, *sums, len(line)))
        for order in line.values():
            digest.update(_HASH_MEMBER.pack(order.instrument, order.side, order.price_ticks, order.remaining_lots))

    def _check_side(self, book: Instrument, side: int) -> int:
        """Check one side and return its count of orders."""
        count = open_lots = 0
        for price, level in book.sides[side].items():
            require(bool(level.orders), "empty level")
            require(book.price_min_ticks <= price <= book.price_max_ticks, "level beyond the band")
            for handle, order in level.orders.items():
                require(self._orders.get(handle) is order, "order is not indexed")
                require((order.side, order.price_ticks) == (side, price), "order in the wrong level")
                self._check_order(order)
                open_lots += order.remaining_lots
            require(level.total_lots == sum(o.shown_lots for o in level.orders.values()), "level total is off")
            count += len(level.orders)
        require(open_lots == book.open_lots[side] <= SIDE_MAX_LOTS, "open quantity is off")
        return count

    def _check_order(self, order: Order) -> None:
        require(0 < order.shown_lots <= order.remaining_lots <= QUANTITY_MAX_LOTS, "remaining quantity out of range")
        require(order.hidden_lots == 0 or order.shown_lots <= order.display_lots, "iceberg shows more than a slice")
        slices_lots = order.display_lots * ICEBERG_SLICES_MAX
        require(order.display_lots == 0 or order.remaining_lots <= slices_lots, "iceberg has too many slices")
        require(order.arrival <= self._arrivals, "entry of an auction that was never counted")
        if order.guard:
            require(self._lines[order.guard].get(order.handle) is order, "order is missing in its guard's line")

    def _check_guards(self) -> None:
        """Lines hold just the guarded orders; only a frozen guard stands at a limit."""
        guarded = sum(1 for order in self._orders.values() if order.guard)
        require(guarded == sum(map(len, self._lines.values())), "guard line holds an order that is gone")
        for guard in self._counters.guards.values():
            require(guard.is_frozen or guard.reached() == CoreCode.OK, "guard at its limit is not frozen")
            require(guard.count > 0 or not guard.quantity_lots, "guard counts lots without a fill")
            require(min(guard.quantity_lots, guard.count, guard.start_ns) >= 0, "guard counted backwards")
            sums = (guard.quantity_lots, abs(guard.delta_e9), abs(guard.vega_e9), guard.count)
            require(max(sums) <= GUARD_LIMIT_MAX, "guard's sums out of range")
