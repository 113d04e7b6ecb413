"""Counters without a name: cells (signed positions of reduce-only orders) and guards (market-maker protection).

A guard counts the fills of one quote group inside a window. The window starts with a fill and the first fill at least
`interval_ns` later starts the next one; interval 0 never ends. Reaching a limit freezes the guard until it is reset.
"""

from copy import copy
from dataclasses import dataclass
from typing import Self

from matching_core.fills import CoreCode, CoreSide
from matching_core.limits import GUARD_LIMIT_MAX, QUANTITY_MAX_LOTS
from matching_core.reference_state import Instrument, Order

__all__ = ["Counters", "Guard"]


@dataclass(slots=True)
class Guard:
    """Limits (0: none) of one quote group, and its sums in the running window."""

    interval_ns: int
    quantity_limit_lots: int
    delta_limit_e9: int
    vega_limit_e9: int
    count_limit: int
    is_frozen: bool = False
    start_ns: int = 0
    quantity_lots: int = 0
    delta_e9: int = 0
    vega_e9: int = 0
    count: int = 0

    def reset(self) -> None:
        """Thaw, and forget the window."""
        self.is_frozen = False
        self.restart(0)

    def restart(self, now_ns: int) -> None:
        """Begin a window with nothing in it."""
        self.start_ns = now_ns
        self.quantity_lots = self.delta_e9 = self.vega_e9 = self.count = 0

    def is_over(self, now_ns: int) -> bool:
        """Whether the next fill starts a window."""
        return self.count == 0 or (self.interval_ns > 0 and now_ns - self.start_ns >= self.interval_ns)

    def room(self, now_ns: int) -> int:
        """Lots that may trade before the quantity limit; 0 while frozen."""
        if self.is_frozen:
            return 0
        if self.quantity_limit_lots == 0:
            return QUANTITY_MAX_LOTS
        return self.quantity_limit_lots - (0 if self.is_over(now_ns) else self.quantity_lots)

    def book(self, quantity_lots: int, delta_e9: int, vega_e9: int, now_ns: int) -> int:
        """Count one fill (signed delta and vega); freezes and returns the code of the first limit reached, else OK."""
        if self.is_over(now_ns):
            self.restart(now_ns)
        self.quantity_lots = _bounded(self.quantity_lots + quantity_lots)
        self.delta_e9 = _bounded(self.delta_e9 + delta_e9)
        self.vega_e9 = _bounded(self.vega_e9 + vega_e9)
        self.count += 1
        code = self.reached()
        self.is_frozen = code != CoreCode.OK
        return code

    def reached(self) -> int:
        """Code of the first limit that the window has reached, else OK."""
        limits = (
            (CoreCode.GUARD_QUANTITY, self.quantity_lots, self.quantity_limit_lots),
            (CoreCode.GUARD_DELTA, abs(self.delta_e9), self.delta_limit_e9),
            (CoreCode.GUARD_VEGA, abs(self.vega_e9), self.vega_limit_e9),
            (CoreCode.GUARD_COUNT, self.count, self.count_limit),
        )
        return next((code for code, reached, limit in limits if limit and reached >= limit), CoreCode.OK)


class Counters:
    """All cells and guards; a copy is the scratch paper of a dry run."""

    def __init__(self) -> None:
        self.cells: dict[int, int] = {}
        self.guards: dict[int, Guard] = {}

    def scratch(self) -> Self:
        """Return a copy that may be changed at will."""
        paper = type(self)()
        paper.cells = dict(self.cells)
        paper.guards = {number: copy(guard) for number, guard in self.guards.items()}
        return paper

    def reduce_room(self, order: Order) -> int:
        """Lots a reduce-only order may trade before its cell's position would cross zero; no bound for another."""
        if not order.is_reduce_only:
            return QUANTITY_MAX_LOTS
        position = self.cells.get(order.cell, 0)
        return max(0, -position if order.side == CoreSide.BUY else position)

    def pair_room(self, one: Order, other: Order) -> int:
        """Lots that the cells of two orders leave a fill of theirs; inside one cell it moves nothing: no bound."""
        if one.cell and one.cell == other.cell:
            return QUANTITY_MAX_LOTS
        return min(self.reduce_room(one), self.reduce_room(other))

    def guard_room(self, order: Order, now_ns: int) -> int:
        """Lots a resting order's guard still lets it trade; no bound without a guard."""
        return self.guards[order.guard].room(now_ns) if order.guard else QUANTITY_MAX_LOTS

    def unfit(self, order: Order, now_ns: int) -> int:
        """Why a resting order may not trade at all, OK if it may."""
        if self.guard_room(order, now_ns) == 0:
            return CoreCode.MMP_TRIGGERED
        return CoreCode.OK if self.reduce_room(order) else CoreCode.REDUCE_ONLY_EXCESS

    def move(self, order: Order, quantity_lots: int) -> None:
        """Book a fill on the order's cell; cell 0 is none."""
        if order.cell:
            signed = quantity_lots if order.side == CoreSide.BUY else -quantity_lots
            self.cells[order.cell] = self.cells.get(order.cell, 0) + signed

    def guard_fill(self, book: Instrument, order: Order, quantity_lots: int, now_ns: int) -> int:
        """Count a resting order's fill in its guard; returns the code of the limit it reached, else OK."""
        if not order.guard:
            return CoreCode.OK
        signed = quantity_lots if order.side == CoreSide.BUY else -quantity_lots
        delta_e9, vega_e9 = signed * book.delta_e9, signed * book.vega_e9
        return self.guards[order.guard].book(quantity_lots, delta_e9, vega_e9, now_ns)


def _bounded(value: int) -> int:
    """Sums stop at the bound: it is at least any limit, so the guard has frozen by then or has no such limit."""
    return max(-GUARD_LIMIT_MAX, min(GUARD_LIMIT_MAX, value))
