"""State of the reference book, its settings and every way to look at it; no matching here."""

from matching_core.errors import CapacityExhausted
from matching_core.fills import CoreSide
from matching_core.limits import (
    DEFAULT_CELL_CAPACITY,
    DEFAULT_GUARD_CAPACITY,
    DEFAULT_INSTRUMENT_CAPACITY,
    DEFAULT_ORDER_CAPACITY,
    require_capacities,
    require_cell,
    require_guard,
    require_instrument,
    require_price_range,
    require_weights,
    require_window,
)
from matching_core.reference_counters import Counters, Guard
from matching_core.reference_state import Instrument, Order, SlotPool

__all__ = ["BookState"]


class BookState:
    """Instruments, live orders, slots, cells and guards of one core."""

    def __init__(
        self,
        *,
        order_capacity: int = DEFAULT_ORDER_CAPACITY,
        instrument_capacity: int = DEFAULT_INSTRUMENT_CAPACITY,
        cell_capacity: int = DEFAULT_CELL_CAPACITY,
        guard_capacity: int = DEFAULT_GUARD_CAPACITY,
    ) -> None:
        require_capacities(
            order=order_capacity, instrument=instrument_capacity, cell=cell_capacity, guard=guard_capacity
        )
        self._instrument_capacity = instrument_capacity
        self._cell_capacity = cell_capacity
        self._guard_capacity = guard_capacity
        self._instruments: dict[int, Instrument] = {}
        self._orders: dict[int, Order] = {}
        self._slots = SlotPool(order_capacity)
        self._counters = Counters()
        self._lines: dict[int, dict[int, Order]] = {}
        """Resting orders by guard, in the order in which they came to rest."""
        self._arrivals = 0
        self._now_ns = 0

    def list_instrument(self, instrument: int, *, price_min_ticks: int, price_max_ticks: int) -> None:
        """Open an empty book for an id (u32) and its inclusive price band; ValueError when listed or out of range."""
        require_instrument(instrument)
        require_price_range(price_min_ticks, price_max_ticks)
        if instrument in self._instruments:
            raise ValueError(f"instrument {instrument} is listed already")
        if len(self._instruments) == self._instrument_capacity:
            raise CapacityExhausted(f"{self._instrument_capacity} instruments are listed already")
        self._instruments[instrument] = Instrument(instrument, price_min_ticks, price_max_ticks)

    def delist_instrument(self, instrument: int) -> None:
        """Close an empty book; KeyError when unknown, ValueError while orders rest in it."""
        if any(self._instruments[instrument].sides):
            raise ValueError(f"instrument {instrument} still has resting orders")
        del self._instruments[instrument]

    def set_weights(self, instrument: int, *, delta_e9: int, vega_e9: int) -> None:
        """Set what one lot bought adds to a guard's delta and vega (1e-9, +-2**62); KeyError if unknown."""
        require_weights(delta_e9, vega_e9)
        book = self._instruments[instrument]
        book.delta_e9, book.vega_e9 = delta_e9, vega_e9

    def weights(self, instrument: int) -> tuple[int, int]:
        """Return (delta_e9, vega_e9) of one lot; KeyError if unknown."""
        book = self._instruments[instrument]
        return book.delta_e9, book.vega_e9

    def phase(self, instrument: int) -> int:
        """Return the CorePhase of an instrument; KeyError if unknown."""
        return self._instruments[instrument].phase

    def set_cell(self, cell: int, position_lots: int) -> None:
        """Set the signed position reduce-only orders of this cell are measured against (+-2**61 lots)."""
        require_cell(cell, position_lots)
        if not self._has_cell_room(cell):
            raise CapacityExhausted(f"{self._cell_capacity} cells are in use already")
        self._counters.cells[cell] = position_lots

    def cell(self, cell: int) -> int:
        """Signed position of a cell in lots; 0 for a cell never set or moved."""
        return self._counters.cells.get(cell, 0)

    def set_guard(
        self,
        guard: int,
        *,
        interval_ns: int,
        quantity_lots: int = 0,
        delta_e9: int = 0,
        vega_e9: int = 0,
        count: int = 0,
    ) -> None:
        """Set the limits (0: none, at most 2**62) of a guard and start its window anew; a frozen one stays frozen."""
        limits = {"quantity": quantity_lots, "delta": delta_e9, "vega": vega_e9, "count": count}
        require_guard(guard, interval=interval_ns, **limits)
        guards = self._counters.guards
        if guard not in guards and len(guards) == self._guard_capacity:
            raise CapacityExhausted(f"{self._guard_capacity} guards are in use already")
        is_frozen = guard in guards and guards[guard].is_frozen
        guards[guard] = Guard(interval_ns, quantity_lots, delta_e9, vega_e9, count, is_frozen)
        self._lines.setdefault(guard, {})

    def reset_guard(self, guard: int) -> None:
        """Thaw a guard and forget its window; KeyError when it was never set."""
        self._counters.guards[guard].reset()

    def guard(self, guard: int) -> tuple[bool, int, int, int, int, int]:
        """Return (is_frozen, window start ns, quantity_lots, delta_e9, vega_e9, fills) of a guard; KeyError unset."""
        held = self._counters.guards[guard]
        return held.is_frozen, held.start_ns, held.quantity_lots, held.delta_e9, held.vega_e9, held.count

    def set_window(
        self,
        guard: int,
        *,
        is_frozen: bool,
        start_ns: int,
        quantity_lots: int,
        delta_e9: int,
        vega_e9: int,
        fills: int,
    ) -> None:
        """Set what `guard` returns, as restoring order by order needs; KeyError when it was never set."""
        held = self._counters.guards[guard]
        require_window(start_ns, quantity_lots, delta_e9, vega_e9, fills)
        held.is_frozen, held.start_ns, held.quantity_lots = is_frozen, start_ns, quantity_lots
        held.delta_e9, held.vega_e9, held.count = delta_e9, vega_e9, fills

    def guard_orders(self, guard: int) -> list[int]:
        """List the handles of a guard's resting orders, the one that came to rest first in front; KeyError unset."""
        return list(self._lines[guard])

    @property
    def resting_count(self) -> int:
        """Orders resting in all books."""
        return len(self._orders)

    def depth(self, instrument: int, levels: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """Return up to `levels` (price_ticks, shown lots, order_count) per side, best first; KeyError if unknown."""
        bids, asks = (
            [(price, level.total_lots, len(level.orders)) for price, level in side.items()[: max(levels, 0)]]
            for side in self._instruments[instrument].sides
        )
        return bids, asks

    def best(self, instrument: int) -> tuple[int | None, int, int | None, int]:
        """Return (bid price or None, lots shown, ask price or None, lots shown), crossed in an auction; or KeyError."""
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

    def extension(self, handle: int) -> tuple[int, int, int, int] | None:
        """Return (display_lots, hidden_lots, guard, arrival) of a resting order, else None; zeros if it is plain."""
        order = self._orders.get(handle)
        return None if order is None else (order.display_lots, order.hidden_lots, order.guard, order.arrival)

    def orders(self, instrument: int) -> list[tuple[int, int, int, int, int, int, int]]:
        """List (handle, side, price_ticks, remaining_lots, owner, cell, flags): bids, then asks, in match order."""
        book = self._instruments[instrument]
        return [
            (handle, side, price, order.remaining_lots, order.owner, order.cell, order.flags)
            for side in (CoreSide.BUY, CoreSide.SELL)
            for price, level in book.sides[side].items()
            for handle, order in level.orders.items()
        ]

    def _has_cell_room(self, cell: int) -> bool:
        cells = self._counters.cells
        return cell == 0 or cell in cells or len(cells) < self._cell_capacity
