"""A book from the orders that rest in it: every level in its order, every iceberg with what is left of its slice.

A level's first order alone can have traded a part of its slice, because matching is first in, first out. Such an order
comes back with the traded part added, while no other stands before it, and an ownerless order takes that part off.
Therefore levels come back from the worst price to the best, before the other side's.
"""

from collections.abc import Iterable
from typing import Any, Final

from exchange.domain.commands import Side
from exchange.engine.auctions import switch_book
from exchange.engine.book_commands import new_order
from exchange.engine.flags import REDUCE_ONLY
from exchange.engine.matching import open_order
from exchange.engine.records import Order
from exchange.engine.state import InvariantViolated, State
from matching_core.fills import COMMAND, EVENT, FLAG_IOC, CoreCommand, CoreEvent

__all__ = ["restore_book", "shown_lots"]

_FAR: Final = 1 << 60
"""A position far enough from zero for any reduce-only order to rest again."""
_NEW, _IOC = int(CoreCommand.NEW), int(FLAG_IOC)
_COMES_TO_REST: Final = (
    (int(CoreEvent.ACCEPTED), int(CoreEvent.DEPTH)),
    (int(CoreEvent.ACCEPTED), int(CoreEvent.REFILLED), int(CoreEvent.DEPTH)),
)


def shown_lots(state: State, order: Order) -> int:
    """What the public sees of an iceberg in the book, 0 for other orders."""
    if not order.place.display_lots:
        return 0
    extension = state.book.extension(state.handles[order.number])
    return order.remaining_lots - int(extension[1])


def restore_book(state: State, orders: list[Order], shown: dict[int, int]) -> None:
    """Rest the open orders; `shown` has the slices of icebergs by number. Raises InvariantViolated on bad rows.

    What came during a call crosses, and comes when all else rests and the calls have begun again.
    """
    late = [order for order in orders if _came_in_call(state, order)]
    early = [order for order in orders if not _came_in_call(state, order)]
    handles = {order.number: _rest(state, order, shown[order.number]) for order in _worst_levels_first(early)}
    for instrument in sorted(state.auctions):
        switch_book(state, instrument)
    for order in sorted(late, key=lambda order: order.place_in_line):
        handles[order.number] = _rest(state, order, shown[order.number])
    for order in sorted(orders, key=lambda order: order.place_in_line):
        state.open_orders[order.number] = order
        state.links.add(order)
        open_order(state, order, handles[order.number])


def _came_in_call(state: State, order: Order) -> bool:
    auction = state.auctions.get(order.place.instrument)
    return auction is not None and order.rank >= auction.first_rank


def _worst_levels_first(orders: Iterable[Order]) -> list[Order]:
    def key(order: Order) -> tuple[Any, ...]:
        side = order.place.side
        return order.place.instrument, side, order.price_ticks * (1 if side is Side.BUY else -1), order.place_in_line

    return sorted(orders, key=key)


def _rest(state: State, order: Order, shown: int) -> int:
    """Put one order into the book and return its handle. Its cell is pulled away from zero for that moment."""
    place = order.place
    cell = state.cell(place.subaccount, place.instrument)
    held = state.accounts[place.subaccount].lots(place.instrument)
    used = place.display_lots - shown if 0 < shown < order.remaining_lots else 0
    command = new_order(state, place, order.price_ticks, order.remaining_lots + used)
    if int(place.flags) & REDUCE_ONLY:
        state.book.set_cell(cell, _FAR if place.side else -_FAR)
    raw: bytes = state.book.submit(command)
    kinds = tuple(event[0] for event in EVENT.iter_unpack(raw))
    if used:
        _take(state, order, used)
    state.book.set_cell(cell, held)
    _, _, code, _, handle, _, _ = EVENT.unpack_from(raw)
    # Accepted and one level deeper; anything more means that it traded.
    if kinds not in _COMES_TO_REST or used < 0:
        raise InvariantViolated(f"order {order.number} does not rest again (code {code})")
    return int(handle)


def _take(state: State, order: Order, lots: int) -> None:
    """Trade a part of a slice away once more."""
    place = order.place
    command = COMMAND.pack(_NEW, 1 - place.side, _IOC, place.instrument, order.price_ticks, lots, 0, 0)
    trades = [event for event in EVENT.iter_unpack(state.book.submit(command)) if event[0] == CoreEvent.TRADE]
    if [event[6] for event in trades] != [lots]:
        raise InvariantViolated(f"the slice of order {order.number} does not come back")
