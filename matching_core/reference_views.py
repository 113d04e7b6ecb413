"""State of the reference book and every way to look at it: listings, depth, hash, invariants; no matching here."""

from hashlib import sha256
from struct import Struct
from typing import Final

from matching_core.fills import CoreSide
from matching_core.invariants import require
from matching_core.limits import (
    DEFAULT_ORDER_CAPACITY,
    QUANTITY_MAX_LOTS,
    require_capacity,
    require_cell,
    require_instrument,
    require_price_range,
)
from matching_core.reference_state import Instrument, Order, SlotPool

__all__ = ["BookState"]

_HASH_INSTRUMENT: Final = Struct("<IqqII")
_HASH_LEVEL: Final = Struct("<qqI")
_HASH_ORDER: Final = Struct("<qIIH")
_HASH_CELL: Final = Struct("<Iq")


class BookState:
    """Instruments, live orders, slots and cells of one core."""

    def __init__(self, *, order_capacity: int = DEFAULT_ORDER_CAPACITY) -> None:
        require_capacity(order_capacity)
        self._instruments: dict[int, Instrument] = {}
        self._orders: dict[int, Order] = {}
        self._slots = SlotPool(order_capacity)
        self._cells: dict[int, int] = {}

    def list_instrument(self, instrument: int, *, price_min_ticks: int, price_max_ticks: int) -> None:
        """Open an empty book for an id (u32) and its inclusive price band; ValueError when listed or out of range."""
        require_instrument(instrument)
        require_price_range(price_min_ticks, price_max_ticks)
        if instrument in self._instruments:
            raise ValueError(f"instrument {instrument} is listed already")
        self._instruments[instrument] = Instrument(instrument, price_min_ticks, price_max_ticks)

    def delist_instrument(self, instrument: int) -> None:
        """Close an empty book; KeyError when unknown, ValueError while orders rest in it."""
        if any(self._instruments[instrument].sides):
            raise ValueError(f"instrument {instrument} still has resting orders")
        del self._instruments[instrument]

    def set_cell(self, cell: int, position_lots: int) -> None:
        """Set the signed position reduce-only orders of this cell are measured against (+-2**61 lots)."""
        require_cell(cell, position_lots)
        self._cells[cell] = position_lots

    def cell(self, cell: int) -> int:
        """Signed position of a cell in lots; 0 for a cell never set or moved."""
        return self._cells.get(cell, 0)

    @property
    def resting_count(self) -> int:
        """Orders resting in all books."""
        return len(self._orders)

    def depth(self, instrument: int, levels: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """Return up to `levels` (price_ticks, quantity_lots, order_count) per side, best first; KeyError if unknown."""
        bids, asks = (
            [(price, level.total_lots, len(level.orders)) for price, level in side.items()[: max(levels, 0)]]
            for side in self._instruments[instrument].sides
        )
        return bids, asks

    def best(self, instrument: int) -> tuple[int | None, int, int | None, int]:
        """Return (bid price or None, its quantity, ask price or None, its quantity); KeyError if unknown."""
        bids, asks = self.depth(instrument, 1)
        bid_ticks, bid_lots = bids[0][:2] if bids else (None, 0)
        ask_ticks, ask_lots = asks[0][:2] if asks else (None, 0)
        return bid_ticks, bid_lots, ask_ticks, ask_lots

    def order(self, handle: int) -> tuple[int, int, int, int, int, int, int] | None:
        """Return (instrument, side, price_ticks, remaining_lots, owner, cell, flags) of a resting order, else None."""
        order = self._orders.get(handle)
        if order is None:
            return None
        price, remaining = order.price_ticks, order.remaining_lots
        return order.instrument, order.side, price, remaining, order.owner, order.cell, order.flags

    def orders(self, instrument: int) -> list[tuple[int, int, int, int, int, int, int]]:
        """List (handle, side, price_ticks, remaining_lots, owner, cell, flags): bids, then asks, in match order."""
        book = self._instruments[instrument]
        return [
            (handle, side, price, order.remaining_lots, order.owner, order.cell, order.flags)
            for side in (CoreSide.BUY, CoreSide.SELL)
            for price, level in book.sides[side].items()
            for handle, order in level.orders.items()
        ]

    def state_hash(self) -> bytes:
        """SHA-256 over everything that decides future events except slots: bands, levels, orders in line, cells."""
        digest = sha256()
        for instrument in sorted(self._instruments):
            book = self._instruments[instrument]
            bids, asks = book.sides
            band = (book.price_min_ticks, book.price_max_ticks)
            digest.update(_HASH_INSTRUMENT.pack(instrument, *band, len(bids), len(asks)))
            for price, level in (*bids.items(), *asks.items()):
                digest.update(_HASH_LEVEL.pack(price, level.total_lots, len(level.orders)))
                for order in level.orders.values():
                    digest.update(_HASH_ORDER.pack(order.remaining_lots, order.owner, order.cell, order.flags))
        for cell in sorted(self._cells):
            if self._cells[cell]:
                digest.update(_HASH_CELL.pack(cell, self._cells[cell]))
        return digest.digest()

    def check_invariants(self) -> None:
        """Raise InvariantViolated where levels, orders, totals or slots contradict each other."""
        resting = 0
        for book in self._instruments.values():
            bid, ask = book.best(CoreSide.BUY), book.best(CoreSide.SELL)
            require(bid is None or ask is None or bid < ask, "book is crossed")
            for side in (CoreSide.BUY, CoreSide.SELL):
                resting += self._check_side(book, side)
        require(resting == len(self._orders), "an order rests in no level")
        require(self._slots.allocated_count == resting, "slots in use differ from resting orders")

    def _check_side(self, book: Instrument, side: int) -> int:
        """Check one side and return its count of orders."""
        count = open_lots = 0
        for price, level in book.sides[side].items():
            require(bool(level.orders), "empty level")
            require(book.price_min_ticks <= price <= book.price_max_ticks, "level beyond the band")
            for handle, order in level.orders.items():
                require(self._orders.get(handle) is order, "order is not indexed")
                require((order.side, order.price_ticks) == (side, price), "order in the wrong level")
                require(0 < order.remaining_lots <= QUANTITY_MAX_LOTS, "remaining quantity out of range")
            require(level.total_lots == sum(o.remaining_lots for o in level.orders.values()), "level total is off")
            count += len(level.orders)
            open_lots += level.total_lots
        require(open_lots == book.open_lots[side], "open quantity is off")
        return count
