"""What the reference book is made of: orders, levels, instruments and the pool of slots."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import neg
from typing import TYPE_CHECKING, Final

from sortedcontainers import SortedDict

from matching_core.fills import FLAG_REDUCE_ONLY, CorePhase, CoreSide

if TYPE_CHECKING:
    from sortedcontainers.sorteddict import SortedDict as SortedDictType

__all__ = ["Instrument", "Level", "Order", "SlotPool"]

GENERATION_MAX: Final = 2**32 - 1


@dataclass(slots=True)
class Order:
    """One live order; `remaining_lots` counts down, hidden lots included."""

    handle: int
    instrument: int
    side: int
    price_ticks: int
    remaining_lots: int
    owner: int
    cell: int
    flags: int
    display_lots: int = 0
    """Slice of an iceberg; 0: everything is shown."""
    guard: int = 0
    arrival: int = 0
    """Number of the entry while its book was in an auction, 0 for any other: tells the younger of two that cross."""
    hidden_lots: int = 0

    @property
    def is_reduce_only(self) -> bool:
        """Whether fills may only shrink the position in the order's cell."""
        return bool(self.flags & FLAG_REDUCE_ONLY)

    @property
    def shown_lots(self) -> int:
        """What others see of it, and what one match takes at most."""
        return self.remaining_lots - self.hidden_lots

    def show_slice(self) -> None:
        """Hide what goes beyond one slice."""
        self.hidden_lots = max(0, self.remaining_lots - self.display_lots) if self.display_lots else 0


@dataclass(slots=True)
class Level:
    """All orders of one side at one price in match order, keyed by handle; the total is what they show."""

    orders: dict[int, Order] = field(default_factory=dict)
    total_lots: int = 0


class Instrument:
    """Price band, phase, guard weights and the two sides, each a map price -> Level with the best price first."""

    def __init__(self, instrument: int, price_min_ticks: int, price_max_ticks: int) -> None:
        self.instrument = instrument
        self.price_min_ticks = price_min_ticks
        self.price_max_ticks = price_max_ticks
        self.phase = CorePhase.CONTINUOUS
        self.delta_e9 = 0
        self.vega_e9 = 0
        self.sides: tuple[SortedDictType[int, Level], SortedDictType[int, Level]] = (SortedDict(neg), SortedDict())
        self.open_lots = [0, 0]
        """Resting quantity by side, hidden lots included."""

    @property
    def is_auction(self) -> bool:
        """Whether orders wait for the uncross instead of matching."""
        return self.phase == CorePhase.AUCTION

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid reaches the best ask: only in an auction."""
        bid, ask = self.best(CoreSide.BUY), self.best(CoreSide.SELL)
        return bid is not None and ask is not None and bid >= ask

    def best(self, side: int) -> int | None:
        """Best price of a side in ticks, None when the side is empty."""
        levels = self.sides[side]
        return levels.peekitem(0)[0] if levels else None

    def crosses(self, side: int, price_ticks: int) -> bool:
        """Whether an order of `side` at `price_ticks` would match at once; never in an auction."""
        best = self.best(1 - side)
        if best is None or self.is_auction:
            return False
        return price_ticks >= best if side == CoreSide.BUY else price_ticks <= best

    def reached_levels(self, side: int, price_ticks: int) -> Iterator[tuple[int, Level]]:
        """Price and level of the other side that an order of `side` at `price_ticks` reaches, best first."""
        for level_price, level in self.sides[1 - side].items():
            if level_price > price_ticks if side == CoreSide.BUY else level_price < price_ticks:
                return
            yield level_price, level

    def crossed_orders(self, side: int, price_ticks: int) -> Iterator[Order]:
        """Resting orders an order of `side` at `price_ticks` would meet, in match order; none in an auction."""
        if not self.is_auction:
            for _, level in self.reached_levels(side, price_ticks):
                yield from level.orders.values()

    def first(self, side: int) -> Order:
        """Return the order of a side that matches next; the side is not empty."""
        level: Level = self.sides[side].peekitem(0)[1]
        return next(iter(level.orders.values()))

    def add(self, order: Order) -> None:
        """Rest an order at the back of its level; an iceberg shows one slice."""
        order.show_slice()
        self.append(order)

    def append(self, order: Order) -> None:
        """Put an order at the back of its level as it is."""
        level = self.sides[order.side].setdefault(order.price_ticks, Level())
        level.orders[order.handle] = order
        level.total_lots += order.shown_lots
        self.open_lots[order.side] += order.remaining_lots

    def shrink(self, order: Order, quantity_lots: int) -> None:
        """Take quantity off a resting order, hidden lots first; it keeps its place, and leaves with its last lot."""
        level = self.sides[order.side][order.price_ticks]
        from_hidden = min(quantity_lots, order.hidden_lots)
        order.hidden_lots -= from_hidden
        order.remaining_lots -= quantity_lots
        level.total_lots -= quantity_lots - from_hidden
        self.open_lots[order.side] -= quantity_lots
        if order.remaining_lots == 0:
            self._leave(order)

    def fill(self, order: Order, quantity_lots: int) -> bool:
        """Take a fill off a resting order, shown lots first; True when a new slice went to the back of the level."""
        level = self.sides[order.side][order.price_ticks]
        is_used_up = quantity_lots >= order.shown_lots
        level.total_lots -= min(quantity_lots, order.shown_lots)
        order.remaining_lots -= quantity_lots
        self.open_lots[order.side] -= quantity_lots
        if order.remaining_lots == 0:
            order.hidden_lots = 0
            self._leave(order)
            return False
        if is_used_up:
            order.show_slice()
            level.total_lots += order.shown_lots
            level.orders[order.handle] = level.orders.pop(order.handle)
        return is_used_up

    def _leave(self, order: Order) -> None:
        level = self.sides[order.side][order.price_ticks]
        del level.orders[order.handle]
        if not level.orders:
            del self.sides[order.side][order.price_ticks]


class SlotPool:
    """Hands out handles: slot | generation << 32, slots from 1, last freed slot first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._generations = [0]
        self._free: list[int] = []

    @classmethod
    def of_parts(cls, capacity: int, generations: list[int], free: list[int]) -> "SlotPool":
        """Return the pool whose `parts` these are."""
        pool = cls(capacity)
        pool._generations += generations
        pool._free = free[::-1]
        return pool

    @property
    def parts(self) -> tuple[list[int], list[int]]:
        """Generations of the slots ever used, from slot 1; free slots, the next to be handed out first."""
        return self._generations[1:], self._free[::-1]

    def handle_of(self, slot: int) -> int:
        """Return the handle of a slot in use; IndexError beyond the slots ever used."""
        return slot | self._generations[slot] << 32

    @property
    def is_full(self) -> bool:
        """Whether no slot is left."""
        return not self._free and len(self._generations) > self.capacity

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
        return self.handle_of(slot)

    def release(self, handle: int) -> None:
        """Free a slot and age its generation, so that the old handle never resolves again."""
        slot = handle & 0xFFFF_FFFF
        generation = self._generations[slot]
        self._generations[slot] = 1 if generation == GENERATION_MAX else generation + 1
        self._free.append(slot)
