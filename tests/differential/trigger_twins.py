"""The trigger book over one core book beside plain triggers over the other: the same orders fire at the same prices.

What the engine does above a core, at the speed of a core: prices of marks and indices come, trades give the last
prices, what fires is placed one by one by ascending number, its trades fire more. Accounts and margin are not here.
"""

import struct
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from exchange.domain.commands import OrderFlag, Place, PriceSource, Side, TimeInForce, Trigger, TriggerKind
from exchange.engine.records import Order, TriggerStage
from exchange.engine.triggers import SourceKey, TriggerBook, fires_at_once, trailing_price_e9
from matching_core.fills import EVENT_BYTES, CoreEvent
from tests.differential.plain_triggers import PlainTriggers, Terms
from tests.differential.trigger_streams import (
    MIDDLES_E9,
    Act,
    CancelTrigger,
    MovePrice,
    MoveTrigger,
    PlaceTrigger,
    price_e9_of,
)
from tests.fuzz.steps import Step
from tests.fuzz.twins import Diverged, Twins

__all__ = ["TRIGGER_KINDS", "BookTriggers", "TriggerTwins"]

TRIGGER_KINDS: Final = (
    *(f"trigger {name}" for name in ("stop", "take_profit", "trailing", "trailing ppm")),
    *(f"trigger {name}" for name in ("on mark", "on index", "on last", "canceled", "moved", "fired", "placed")),
    "mark price",
    "index price",
)
"""What TriggerTwins counts when both sides did it."""

PLACED_MAX: Final = 6
"""Fired orders that one batch places; the others stay in line."""
_TRADE = struct.Struct("<IQqq")
_TRADES: Final = ((CoreEvent.TRADE, bytes((CoreEvent.TRADE,))), (CoreEvent.UNCROSSED, bytes((CoreEvent.UNCROSSED,))))


class BookTriggers:
    """`exchange.engine.triggers` behind the calls of PlainTriggers, with the records that the engine keeps."""

    def __init__(self) -> None:
        self.book = TriggerBook()
        self._orders: dict[int, tuple[SourceKey, Order]] = {}

    def place(self, number: int, terms: Terms, price_e9: int | None) -> None:
        """Arm an order, or fire it."""
        order = _order(number, terms)
        if terms.kind is TriggerKind.TRAILING:
            order.extreme_e9 = price_e9 or 0
        self._orders[number] = terms.key, order
        self._arm(terms.key, order, price_e9)

    def cancel(self, number: int) -> bool:
        """Disarm an order; whether there was one."""
        key, order = self._orders.pop(number, (None, None))
        if key is None or order is None:
            return False
        self.book.disarm(key, order)
        return True

    def move(self, number: int, level_e9: int, price_e9: int | None) -> bool:
        """Disarm an armed order and arm it at another price or offset; whether there was one."""
        key, order = self._orders.get(number, (None, None))
        if key is None or order is None or order.stage is not TriggerStage.ARMED:
            return False
        order.extreme_e9 = self.book.ladders[key].extreme_e9(order)
        self.book.disarm(key, order)
        trigger = order.place.trigger
        if trigger is None or trigger.kind is not TriggerKind.TRAILING:
            order.trigger_e9 = level_e9
        else:
            order.offset_e9 = 0 if trigger.offset_ppm else level_e9
        self._arm(key, order, price_e9)
        return True

    def observe(self, key: SourceKey, price_e9: int) -> list[int]:
        """Show the book a price; what it fires, ascending."""
        numbers = sorted(self.book.observe(key, price_e9))
        for number in numbers:
            self._fire(self._orders[number][1], price_e9)
        return numbers

    def take(self) -> int:
        """First in line, which leaves; 0 when nobody is."""
        number = self.book.fired[0] if self.book.fired else 0
        self.cancel(number)
        return number

    def rows(self) -> list[tuple[int, int, int]]:
        """As PlainTriggers; a trailing order's price from the extreme that the book holds."""
        return sorted((number, *self._shown(key, order)) for number, (key, order) in self._orders.items())

    def reload(self) -> None:
        """Build the book anew from its orders, as a restored engine does."""
        book = TriggerBook()
        for key, order in self._orders.values():
            if order.stage is TriggerStage.ARMED:
                order.extreme_e9 = self.book.ladders[key].extreme_e9(order)
                book.arm(key, order)
            else:
                book.fired.add(order.number)
        self.book = book

    def _shown(self, key: SourceKey, order: Order) -> tuple[int, int]:
        if order.stage is TriggerStage.FIRED:
            return 0, order.fired_e9
        extreme_e9 = self.book.ladders[key].extreme_e9(order)
        return trailing_price_e9(order, extreme_e9) if extreme_e9 else order.trigger_e9, 0

    def _arm(self, key: SourceKey, order: Order, price_e9: int | None) -> None:
        if price_e9 is not None and fires_at_once(order, price_e9):
            self._fire(order, price_e9)
            self.book.fired.add(order.number)
        else:
            order.stage = TriggerStage.ARMED
            self.book.arm(key, order)

    def _fire(self, order: Order, price_e9: int) -> None:
        order.stage, order.fired_e9, order.extreme_e9 = TriggerStage.FIRED, price_e9, 0


def _order(number: int, terms: Terms) -> Order:
    trigger = Trigger(
        kind=terms.kind,
        source=terms.key[0],
        price_e9=terms.price_e9,
        offset_e9=terms.offset_e9,
        offset_ppm=terms.offset_ppm,
    )
    place = Place(
        subaccount=1, instrument=1, side=terms.side, time_in_force=TimeInForce.GTC, flags=OrderFlag(0), price_ticks=1,
        quantity_lots=1, nonce=number, expiry_s=0, signer=b"", trigger=trigger,
    )  # fmt: skip
    order = Order(number=number, place=place, price_ticks=1, quantity_lots=1, created_ns=0, updated_ns=0)
    order.trigger_e9, order.offset_e9 = terms.price_e9, terms.offset_e9
    return order


class TriggerTwins:
    """Both books with the triggers above them. `kinds` counts what was done, each thing when both sides did it."""

    def __init__(self, twins: Twins, kinds: Counter[str]) -> None:
        self._twins = twins
        self._kinds = kinds
        self._plain, self._book = PlainTriggers(), BookTriggers()
        self._waiting: dict[int, tuple[bytes, Terms]] = {}
        self._prices_e9: dict[SourceKey, int] = {}
        self._last_number = 0

    def apply(self, act: Act) -> None:
        """Do what was drawn on both sides; Diverged when they differ."""
        match act:
            case PlaceTrigger():
                self._place(act)
            case CancelTrigger():
                self._cancel(act)
            case MoveTrigger():
                self._move(act)
            case MovePrice(key, price_e9):
                self._kinds[f"{key[0].name.lower()} price"] += 1
                self._observe(key, price_e9)

    def follow(self, events: bytes, now_ns: int, observe: Callable[[bytes], None]) -> None:
        """Take the last prices of what the books answered, place what fired; its events go to `observe` too."""
        self._observe_trades(events)
        for _ in range(PLACED_MAX):
            number = self._same("take")
            if not number:
                return
            step = Step("submit", {"commands": self._waiting.pop(number)[0], "now_ns": now_ns})
            events = self._twins.apply(step)
            self._kinds["trigger placed"] += 1
            observe(events)
            self._observe_trades(events)

    def compare(self) -> None:
        """Compare everything that waits, and go on with a trigger book that was built from its orders."""
        self._same("rows")
        self._book.reload()

    def _place(self, act: PlaceTrigger) -> None:
        known_e9 = self._prices_e9.get(act.key)
        if act.kind is TriggerKind.TRAILING and known_e9 is None:
            self._kinds["(trigger without a price)"] += 1
            return
        self._last_number += 1
        terms = self._terms(act, MIDDLES_E9[act.key] if known_e9 is None else known_e9)
        self._waiting[self._last_number] = act.command, terms
        self._same("place", self._last_number, terms, known_e9)
        self._kinds[f"trigger {act.kind.name.lower()}{' ppm' if terms.offset_ppm else ''}"] += 1
        self._kinds[f"trigger on {act.key[0].name.lower()}"] += 1

    def _terms(self, act: PlaceTrigger, price_e9: int) -> Terms:
        side = Side(act.command[1])
        if act.kind is not TriggerKind.TRAILING:
            return Terms(act.key, act.kind, side, price_e9=price_e9 + act.distance_e9)
        if act.offset_ppm:
            return Terms(act.key, act.kind, side, offset_ppm=act.offset_ppm)
        return Terms(act.key, act.kind, side, offset_e9=act.distance_e9)

    def _cancel(self, act: CancelTrigger) -> None:
        number = self._last_number - act.back
        self._kinds["trigger canceled"] += self._same("cancel", number)
        self._waiting.pop(number, None)

    def _move(self, act: MoveTrigger) -> None:
        """Move a trigger; the sides need not know it any more."""
        number = self._last_number - act.back
        price_e9, level_e9 = None, act.distance_e9
        if number in self._waiting:
            key = self._waiting[number][1].key
            price_e9 = self._prices_e9.get(key)
            if self._waiting[number][1].kind is TriggerKind.TRAILING:
                level_e9 = abs(act.distance_e9) + 1
            else:
                level_e9 += MIDDLES_E9[key] if price_e9 is None else price_e9
        self._kinds["trigger moved"] += self._same("move", number, level_e9, price_e9)

    def _observe_trades(self, events: bytes) -> None:
        kinds = events[::EVENT_BYTES]
        for kind, byte in _TRADES:
            at = kinds.find(byte)
            while at >= 0:
                instrument, _, ticks, lots = _TRADE.unpack_from(events, at * EVENT_BYTES + 4)
                if lots or kind == CoreEvent.TRADE:
                    self._observe((PriceSource.LAST, instrument), price_e9_of(instrument, ticks))
                at = kinds.find(byte, at + 1)

    def _observe(self, key: SourceKey, price_e9: int) -> None:
        if self._prices_e9.get(key) == price_e9:
            return
        self._prices_e9[key] = price_e9
        self._kinds["trigger fired"] += len(self._same("observe", key, price_e9))

    def _same(self, call: str, *arguments: object) -> Any:
        expected = getattr(self._plain, call)(*arguments)
        try:
            actual = getattr(self._book, call)(*arguments)
        except LookupError as error:
            raise Diverged(f"trigger {call} {arguments}: book raised {error!r}") from error
        if expected != actual:
            raise Diverged(f"trigger {call} {arguments}: plain {expected!r:.300}, book {actual!r:.300}")
        return expected
