"""What the reference book is made of: orders, levels, instruments and the pool of slots."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import neg
from typing import TYPE_CHECKING, Final

from sortedcontainers import SortedDict

from matching_core.fills import FLAG_REDUCE_ONLY, CoreSide

if TYPE_CHECKING:
    from sortedcontainers.sorteddict import SortedDict as SortedDictType

__all__ = ["Instrument", "Level", "Order", "SlotPool"]

GENERATION_MAX: Final = 2**32 - 1


@dataclass(slots=True)
class Order:
    """One live order; `remaining_lots` counts down, everything but price and quantity stays."""

    handle: int
    instrument: int
    side: int
    price_ticks: int
    remaining_lots: int
    owner: int
    cell: int
    flags: int

    @property
    def is_reduce_only(self) -> bool:
        """Whether fills may only shrink the position in the order's cell."""
        return bool(self.flags & FLAG_REDUCE_ONLY)


@dataclass(slots=True)
class Level:
    """All orders of one side at one price in order of arrival, keyed by handle."""

    orders: dict[int, Order] = field(default_factory=dict)
    total_lots: int = 0


class Instrument:
    """Price band and the two sides, each a map price -> Level with the best price first."""

    def __init__(self, instrument: int, price_min_ticks: int, price_max_ticks: int) -> None:
        self.instrument = instrument
        self.price_min_ticks = price_min_ticks
        self.price_max_ticks = price_max_ticks
        self.sides: tuple[SortedDictType[int, Level], SortedDictType[int, Level]] = (SortedDict(neg), SortedDict())
        self.open_lots = [0, 0]

    def best(self, side: int) -> int | None:
        """Best price of a side in ticks, None when the side is empty."""
        levels = self.sides[side]
        return levels.peekitem(0)[0] if levels else None

    def crosses(self, side: int, price_ticks: int) -> bool:
        """Whether an order of `side` at `price_ticks` would meet the opposite best."""
        best = self.best(1 - side)
        if best is None:
            return False
        return price_ticks >= best if side == CoreSide.BUY else price_ticks <= best

    def crossed_orders(self, side: int, price_ticks: int) -> Iterator[Order]:
        """Resting orders an order of `side` at `price_ticks` would meet, in match order."""
        for level_price, level in self.sides[1 - side].items():
            if level_price > price_ticks if side == CoreSide.BUY else level_price < price_ticks:
                return
            yield from level.orders.values()

    def add(self, order: Order) -> None:
        """Rest an order at the back of its level."""
        levels = self.sides[order.side]
        level = levels.setdefault(order.price_ticks, Level())
        level.orders[order.handle] = order
        level.total_lots += order.remaining_lots
        self.open_lots[order.side] += order.remaining_lots

    def reduce(self, order: Order, quantity_lots: int) -> None:
        """Take quantity off a resting order; it keeps its place, and leaves with its last lot."""
        level = self.sides[order.side][order.price_ticks]
        order.remaining_lots -= quantity_lots
        level.total_lots -= quantity_lots
        self.open_lots[order.side] -= quantity_lots
        if order.remaining_lots == 0:
            del level.orders[order.handle]
        if not level.orders:
            del self.sides[order.side][order.price_ticks]


class SlotPool:
    """Hands out handles: slot | generation << 32, slots from 1, last freed slot first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._generations = [0]
        self._free: list[int] = []

    @property
    def is_full(self) -> bool:
        """Whether no slot is left."""
        return not self._free and len(self._generations) > self._capacity

    @property
    def allocated_count(self) -> int:
        """Slots in use."""
        return len(self._generations) - 1 - len(self._free)

    def take(self) -> int:
        """Return a fresh handle; the caller has checked `is_full`."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._generations)
            self._generations.append(1)
        return slot | self._generations[slot] << 32

    def release(self, handle: int) -> None:
        """Free a slot and age its generation, so that the old handle never resolves again."""
        slot = handle & 0xFFFF_FFFF
        generation = self._generations[slot]
        self._generations[slot] = 1 if generation == GENERATION_MAX else generation + 1
        self._free.append(slot)
