"""The trigger book: which waiting orders a price fires, found in O(log n).

Theory of operation. A ladder per watched price holds fixed triggers in two sorted lists, those that fire when the price
rises to them and those that fire when it falls. Trailing orders of one direction share the history of their price, so
their extremes form groups: whoever was armed earlier has an extreme at least as far. A new extreme swallows the groups
it passes (the smaller into the larger: O(log n) moves per order over its whole life), and one sorted list of group
heads, each with the price at which the group's closest order fires, finds who is due. Nobody is touched by a price that
is neither an extreme nor a trigger.

Everything here is derived from the orders; a load builds it anew. Prices are 1e-9 USDC.
"""

from typing import Final

from sortedcontainers import SortedDict, SortedList

from exchange.domain.commands import PriceSource, Side, TriggerKind
from exchange.domain.money import ceil_div
from exchange.engine.records import Order, TriggerStage

__all__ = ["Ladder", "SourceKey", "Trail", "TriggerBook", "fires_at_once", "trailing_price_e9", "waits_for_rise"]

SourceKey = tuple[PriceSource, int | str]
"""(MARK or LAST, instrument) or (INDEX, underlying)."""
_PPM: Final = 1_000_000


def trailing_price_e9(order: Order, extreme_e9: int) -> int:
    """Where a trailing order fires; a part of the extreme is rounded up, so that it never fires earlier than asked."""
    trigger = order.place.trigger
    offset_ppm = 0 if trigger is None else trigger.offset_ppm
    return _trailing_e9(order.place.side, extreme_e9, offset_e9=order.offset_e9, offset_ppm=offset_ppm)


def fires_at_once(order: Order, price_e9: int) -> bool:
    """Whether a trigger is at or beyond its price already; a trailing one by its `extreme_e9`."""
    trigger_e9 = order.trigger_e9
    if order.extreme_e9:
        trigger_e9 = trailing_price_e9(order, order.extreme_e9)
    return trigger_e9 <= price_e9 if waits_for_rise(order) else trigger_e9 >= price_e9


def waits_for_rise(order: Order) -> bool:
    """Whether a trigger fires at or above its price (stops and trails of buys, take-profits of sells) or below."""
    trigger = order.place.trigger
    is_take_profit = trigger is not None and trigger.kind is TriggerKind.TAKE_PROFIT
    return (order.place.side is Side.SELL) == is_take_profit


def _trailing_e9(side: Side, extreme_e9: int, *, offset_e9: int, offset_ppm: int) -> int:
    distance_e9 = offset_e9 or ceil_div(extreme_e9 * offset_ppm, _PPM)
    return extreme_e9 + distance_e9 if side is Side.BUY else extreme_e9 - distance_e9


class _Group:
    """Trailing orders with one extreme, the closest first."""

    __slots__ = ("extreme", "rows")

    def __init__(self, extreme: int) -> None:
        self.extreme = extreme
        """Signed as in Trail."""
        self.rows: SortedList[tuple[int, int]] = SortedList()
        """(offset, number)."""


class Trail:
    """Trailing orders of one price, side and way to say the offset. Inside, prices of buys count negative."""

    def __init__(self, side: Side, *, is_ppm: bool) -> None:
        self._side = side
        self._is_ppm = is_ppm
        self._groups: SortedDict[int, _Group] = SortedDict()
        """By extreme; the first was armed last."""
        self._heads: SortedList[tuple[int, int]] = SortedList()
        """(price at which a group's closest order fires, extreme of the group)."""
        self._group_of: dict[int, _Group] = {}

    def __len__(self) -> int:
        return len(self._group_of)

    def add(self, number: int, offset: int, extreme_e9: int) -> None:
        """Watch an order whose extreme so far is `extreme_e9`: not beyond that of any order here."""
        extreme = self._signed(extreme_e9)
        group = self._groups.pop(extreme, None)
        if group is None:
            group = _Group(extreme)
        else:
            self._heads.remove(self._head(group))
        group.rows.add((offset, number))
        self._group_of[number] = group
        self._put(group)

    def remove(self, number: int, offset: int) -> None:
        """Forget an order."""
        group = self._group_of.pop(number)
        self._take(group)
        group.rows.remove((offset, number))
        if group.rows:
            self._put(group)

    def extreme_e9(self, number: int) -> int:
        """Highest (sells) or lowest (buys) price since the order was armed."""
        return self._signed(self._group_of[number].extreme)

    def observe(self, price_e9: int) -> list[int]:
        """Take a price; the numbers of the orders it fires leave."""
        price = self._signed(price_e9)
        self._advance(price)
        fired = []
        while self._heads and self._heads[-1][0] >= price:
            offset, number = self._groups[self._heads[-1][1]].rows[0]
            self.remove(number, offset)
            fired.append(number)
        return fired

    def _advance(self, price: int) -> None:
        """Give every group that has a lesser extreme the new one, all as one group."""
        merged: _Group | None = None
        while self._groups and self._groups.peekitem(0)[0] <= price:
            group = self._groups.peekitem(0)[1]
            self._take(group)
            merged = group if merged is None else self._merge(merged, group)
        if merged is not None:
            merged.extreme = price
            self._put(merged)

    def _merge(self, one: _Group, other: _Group) -> _Group:
        larger, smaller = (one, other) if len(one.rows) >= len(other.rows) else (other, one)
        for row in smaller.rows:
            larger.rows.add(row)
            self._group_of[row[1]] = larger
        return larger

    def _put(self, group: _Group) -> None:
        self._groups[group.extreme] = group
        self._heads.add(self._head(group))

    def _take(self, group: _Group) -> None:
        del self._groups[group.extreme]
        self._heads.remove(self._head(group))

    def _head(self, group: _Group) -> tuple[int, int]:
        offset = group.rows[0][0]
        fires_e9 = _trailing_e9(
            self._side,
            self._signed(group.extreme),
            offset_e9=0 if self._is_ppm else offset,
            offset_ppm=offset if self._is_ppm else 0,
        )
        return self._signed(fires_e9), group.extreme

    def _signed(self, price_e9: int) -> int:
        return price_e9 if self._side is Side.SELL else -price_e9


class Ladder:
    """Everything that watches one price."""

    def __init__(self) -> None:
        self.rising: SortedList[tuple[int, int]] = SortedList()
        """(trigger price, number): fires at or above."""
        self.falling: SortedList[tuple[int, int]] = SortedList()
        """(trigger price, number): fires at or below."""
        self._trails: dict[tuple[Side, bool], Trail] = {}

    def __len__(self) -> int:
        return len(self.rising) + len(self.falling) + sum(map(len, self._trails.values()))

    def add(self, order: Order) -> None:
        """Watch an armed order."""
        trail, offset = self._trail(order)
        if trail is not None:
            trail.add(order.number, offset, order.extreme_e9)
        else:
            self._fixed(order).add((order.trigger_e9, order.number))

    def remove(self, order: Order) -> None:
        """Stop watching an armed order."""
        trail, offset = self._trail(order)
        if trail is not None:
            trail.remove(order.number, offset)
        else:
            self._fixed(order).remove((order.trigger_e9, order.number))

    def extreme_e9(self, order: Order) -> int:
        """Extreme of a trailing order, 0 for others."""
        trail, _ = self._trail(order)
        return 0 if trail is None else trail.extreme_e9(order.number)

    def observe(self, price_e9: int) -> list[int]:
        """Take a price; the numbers of the orders it fires leave."""
        fired: list[int] = []
        while self.rising and self.rising[0][0] <= price_e9:
            fired.append(self.rising.pop(0)[1])
        while self.falling and self.falling[-1][0] >= price_e9:
            fired.append(self.falling.pop()[1])
        for trail in self._trails.values():
            fired += trail.observe(price_e9)
        return fired

    def _fixed(self, order: Order) -> "SortedList[tuple[int, int]]":
        return self.rising if waits_for_rise(order) else self.falling

    def _trail(self, order: Order) -> tuple[Trail | None, int]:
        trigger = order.place.trigger
        if trigger is None or trigger.kind is not TriggerKind.TRAILING:
            return None, 0
        side, is_ppm = order.place.side, bool(trigger.offset_ppm)
        trail = self._trails.get((side, is_ppm))
        if trail is None:
            trail = self._trails[side, is_ppm] = Trail(side, is_ppm=is_ppm)
        return trail, trigger.offset_ppm if is_ppm else order.offset_e9


class TriggerBook:
    """All ladders, and the queue of orders that fired and are not placed yet, by ascending number."""

    def __init__(self) -> None:
        self.ladders: dict[SourceKey, Ladder] = {}
        self.fired: SortedList[int] = SortedList()
        self.held: set[int] = set()
        """Fired too, but their instruments are in a call auction, or restricted: they join the queue behind it."""

    def arm(self, key: SourceKey, order: Order) -> None:
        """Watch `order`'s price; its `trigger_e9`, or for a trailing order `extreme_e9`, is set."""
        self.ladders.setdefault(key, Ladder()).add(order)

    def disarm(self, key: SourceKey, order: Order) -> None:
        """Forget an order that is armed or has fired."""
        if order.stage is TriggerStage.FIRED and order.number in self.held:
            self.held.remove(order.number)
        elif order.stage is TriggerStage.FIRED:
            self.fired.remove(order.number)
        elif order.stage is TriggerStage.ARMED:
            ladder = self.ladders[key]
            ladder.remove(order)
            if not ladder:
                del self.ladders[key]

    def observe(self, key: SourceKey, price_e9: int) -> list[int]:
        """Take a price; the numbers of the orders it fires join the queue and are returned."""
        ladder = self.ladders.get(key)
        if ladder is None:
            return []
        numbers = ladder.observe(price_e9)
        self.fired.update(numbers)
        if not ladder:
            del self.ladders[key]
        return numbers
