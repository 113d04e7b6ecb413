"""Iceberg orders: the public sees a slice, the book trades all, and a new slice goes to the back of the line."""

from typing import Any

import pytest

from exchange.domain.commands import Amend, OrderFlag, Replace, SignedAmend, TimeInForce, Trigger, TriggerKind
from exchange.domain.events import BookLevel, Event, OrderAccepted, OrderAmended, OrderClosed
from exchange.domain.packing import BadRecord, pack_command, unpack_commands
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.views import BookView, GetBook, GetOrder, OrderView
from exchange.engine.invariants import check_invariants
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from tests.unit.exchange.engine.world import BUY, CALL, PERP, SELL, World, refusal, trades

PRICE = 600_000
E9 = 10**9


def number_of(events: list[Event]) -> int:
    """Number of the one order accepted."""
    (number,) = [event.order for event in events if isinstance(event, OrderAccepted)]
    return number


def levels(events: list[Event]) -> list[tuple[int, int]]:
    """Price and shown total of every level touched."""
    return [(event.price_ticks, event.quantity_lots) for event in events if isinstance(event, BookLevel)]


def view_of(world: World, account: int, order: int) -> OrderView:
    """The order as its owner sees it."""
    found = answer(world.state, GetOrder(subaccount=account, order=order))
    assert isinstance(found, OrderView)
    return found


def asks(world: World) -> tuple[tuple[int, int], ...]:
    """The asks of the perpetual as the public sees them."""
    book = answer(world.state, GetBook(instrument=PERP))
    assert isinstance(book, BookView)
    return tuple((price, lots) for price, lots, _ in book.asks)


def restored(world: World) -> Any:
    """The state out of its own dump."""
    state = load(dump(world.state), type(world.state.book), world.state.config, type(world.state))
    check_invariants(state)
    return state


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"time_in_force": TimeInForce.IOC}, ResultCode.DISPLAY_NOT_ALLOWED),
        ({"time_in_force": TimeInForce.FOK}, ResultCode.DISPLAY_NOT_ALLOWED),
        ({"flags": OrderFlag.MARKET}, ResultCode.DISPLAY_NOT_ALLOWED),
        ({"time_in_force": TimeInForce.IOC, "display_lots": 200}, ResultCode.DISPLAY_NOT_ALLOWED),
        ({"display_lots": 101}, ResultCode.BAD_AMOUNT),
        ({"display_lots": -1}, ResultCode.BAD_AMOUNT),
        ({"lots": 1_001, "display_lots": 10}, ResultCode.BAD_AMOUNT),
        ({"lots": 0, "display_lots": 0}, ResultCode.BAD_AMOUNT),
        ({"lots": 1_000, "display_lots": 10}, ResultCode.OK),
        ({"display_lots": 100}, ResultCode.OK),
        ({"flags": OrderFlag.POST_ONLY}, ResultCode.OK),
    ],
)
def test_a_slice_must_fit_an_order_that_can_rest(fields: dict[str, Any], code: ResultCode) -> None:
    """Refused: a slice of what never rests (declared first), one above the total, and more than 100 of them."""
    world = World().open()
    values = {"lots": 100, "display_lots": 10, **fields}
    assert refusal(world.place(2, SELL, PRICE, **values)) == code


def test_the_public_sees_a_slice_and_the_owner_all() -> None:
    """BookLevel and GetBook show 10 lots; the event and the owner's view show 100, 10 of them at a time."""
    world = World().open()
    events = world.place(2, SELL, PRICE, 100, display_lots=10)
    accepted = next(event for event in events if isinstance(event, OrderAccepted))
    assert (accepted.quantity_lots, accepted.display_lots) == (100, 10)
    assert levels(events) == [(PRICE, 10)]
    assert asks(world) == ((PRICE, 10),)
    view = view_of(world, 2, accepted.order)
    assert (view.quantity_lots, view.display_lots) == (100, 10)


def test_a_used_up_slice_comes_back_behind_its_level() -> None:
    """Of 25 lots the iceberg's 10 trade first, then the other order's 10, then 5 of the next slice."""
    world = World().open()
    iceberg = number_of(world.place(2, SELL, PRICE, 30, display_lots=10))
    other = number_of(world.place(3, SELL, PRICE, 10))
    events = world.place(4, BUY, PRICE, 25)
    assert [(trade.maker.order, trade.quantity_lots) for trade in trades(events)] == [
        (iceberg, 10),
        (other, 10),
        (iceberg, 5),
    ]
    assert levels(events) == [(PRICE, 5)]
    assert view_of(world, 2, iceberg).filled_lots == 15


def test_a_refill_loses_its_place_and_a_part_of_a_slice_does_not() -> None:
    """After 10 lots the other order is first; after 5 more of the other one, that one still is."""
    world = World().open()
    iceberg = number_of(world.place(2, SELL, PRICE, 30, display_lots=10))
    other = number_of(world.place(3, SELL, PRICE, 10))
    world.place(4, BUY, PRICE, 10)
    first = trades(world.place(4, BUY, PRICE, 5))
    second = trades(world.place(4, BUY, PRICE, 5))
    third = trades(world.place(4, BUY, PRICE, 5))
    assert [rows[0].maker.order for rows in (first, second, third)] == [other, other, iceberg]


def test_icebergs_refilled_by_one_taker_keep_the_order_of_their_refills() -> None:
    """Two icebergs whose slices one taker used up, the larger one twice, stand in the order in which they came back."""
    world = World().open(accounts=4)
    small = number_of(world.place(2, SELL, PRICE, 20, display_lots=5))
    large = number_of(world.place(3, SELL, PRICE, 40, display_lots=10))
    world.place(4, BUY, PRICE, 20)  # 5 small, 10 large, 5 small again: large is first now
    events = world.place(5, BUY, PRICE, 15)
    assert [trade.maker.order for trade in trades(events)] == [large, small]


def test_an_aggressive_iceberg_trades_all_it_has() -> None:
    """As a taker it takes 15 of its 40 lots at once and shows one slice of the rest."""
    world = World().open()
    world.place(3, BUY, PRICE, 15)
    events = world.place(2, SELL, PRICE, 40, display_lots=10)
    assert [trade.quantity_lots for trade in trades(events)] == [15]
    assert levels(events)[-1] == (PRICE, 10)


def test_amending_down_takes_hidden_lots_first_and_keeps_the_place() -> None:
    """From 30 to 15: the public sees no change and the iceberg is still first; from 15 to 5 it shows 5."""
    world = World().open()
    iceberg = number_of(world.place(2, SELL, PRICE, 30, display_lots=10))
    world.place(3, SELL, PRICE, 10)
    events = world.run(Amend(subaccount=2, order=iceberg, quantity_lots=15))
    assert [event.remaining_lots for event in events if isinstance(event, OrderAmended)] == [15]
    assert asks(world) == ((PRICE, 20),)
    world.run(Amend(subaccount=2, order=iceberg, quantity_lots=5))
    assert asks(world) == ((PRICE, 15),)
    assert trades(world.place(4, BUY, PRICE, 1))[0].maker.order == iceberg


@pytest.mark.parametrize(("lots", "code"), [(1_000, ResultCode.OK), (1_001, ResultCode.BAD_AMOUNT)])
def test_a_signed_amendment_keeps_the_slice_and_its_bound(lots: int, code: ResultCode) -> None:
    """A larger total at another price shows a slice of the old size, and may have no more than 100 of them."""
    world = World().open()
    iceberg = number_of(world.place(2, SELL, PRICE, 30, display_lots=10))
    events = world.run(SignedAmend(target_order=iceberg, order=world.order(2, SELL, PRICE + 10, lots)))
    assert refusal(events) == code
    assert asks(world) == (((PRICE if code else PRICE + 10), 10),)


def test_a_waiting_iceberg_shows_slices_when_it_fires_and_not_too_many() -> None:
    """A stop with a slice rests as an iceberg; before, its amendment is bound to 100 slices too."""
    world = World().open()
    trigger = Trigger(kind=TriggerKind.STOP, price_e9=59_000 * E9)
    stop = number_of(world.place(2, SELL, PRICE, 30, display_lots=10, trigger=trigger))
    too_large = world.order(2, SELL, PRICE, 1_001)
    assert refusal(world.run(SignedAmend(target_order=stop, order=too_large))) == ResultCode.BAD_AMOUNT
    world.prices(index=58_900)
    assert asks(world) == ((PRICE, 10),)


def test_a_canceled_iceberg_takes_its_hidden_lots_along() -> None:
    """The close reports all 30 lots; the level is gone."""
    world = World().open()
    iceberg = number_of(world.place(2, SELL, PRICE, 30, display_lots=10))
    events = world.cancel(2, iceberg)
    (closed,) = [event for event in events if isinstance(event, OrderClosed)]
    assert (closed.reason, closed.unfilled_lots) == (CloseReason.USER_REQUEST, 30)
    assert levels(events) == [(PRICE, 0)]


def test_a_replacement_may_have_another_slice() -> None:
    """A replace is a new order: its own display counts."""
    world = World().open()
    iceberg = number_of(world.place(2, SELL, PRICE, 30, display_lots=10))
    world.run(Replace(target_order=iceberg, order=world.order(2, SELL, PRICE, 30, display_lots=3)))
    assert asks(world) == ((PRICE, 3),)


def test_the_same_id_with_another_slice_is_another_order() -> None:
    """A repeat is compared with its slice."""
    world = World().open()
    world.place(2, SELL, PRICE, 30, display_lots=10, client_order_id="one")
    events = world.place(2, SELL, PRICE, 30, display_lots=5, client_order_id="one")
    assert refusal(events) == ResultCode.CLIENT_ORDER_ID_CONFLICT


@pytest.mark.parametrize("taken", [0, 3, 10, 13, 25, 27])
@pytest.mark.parametrize("amended", [0, 30])
def test_a_restored_iceberg_shows_and_trades_as_before(taken: int, amended: int) -> None:
    """After any part of two icebergs' slices a restore has the same depth, hash and next trades."""
    world = World().open(accounts=4)
    iceberg = number_of(world.place(2, SELL, PRICE, 40, display_lots=10))
    world.place(3, SELL, PRICE, 12, display_lots=5)
    world.place(3, SELL, PRICE + 10, 5)
    world.place(2, BUY, PRICE - 10, 20, display_lots=7)
    if taken:
        world.place(4, BUY, PRICE, taken)
        world.place(5, SELL, PRICE - 10, 3)
    if amended:
        world.run(Amend(subaccount=2, order=iceberg, quantity_lots=amended))
    again = World()
    again.state, again.now_ns = restored(world), world.now_ns
    assert state_hash(again.state) == state_hash(world.state)
    assert asks(again) == asks(world)
    assert again.place(4, BUY, PRICE, 37) == world.place(4, BUY, PRICE, 37)
    assert state_hash(again.state) == state_hash(world.state)


def test_a_restored_reduce_only_iceberg_keeps_its_slice_and_its_position() -> None:
    """The lots that a restore trades away are nobody's: the cell says what the ledger says."""
    world = World().open()
    world.place(2, BUY, PRICE, 40)
    world.place(3, SELL, PRICE, 40)
    world.place(2, SELL, PRICE + 10, 40, display_lots=10, flags=OrderFlag.REDUCE_ONLY)
    world.place(3, BUY, PRICE + 10, 4)
    again = World()
    again.state, again.now_ns = restored(world), world.now_ns
    assert again.state.accounts[2].lots(PERP) == 36
    assert asks(again) == ((PRICE + 10, 6),)
    assert again.place(3, BUY, PRICE + 10, 36) == world.place(3, BUY, PRICE + 10, 36)


def test_a_slice_is_in_the_journal_once_and_canonical() -> None:
    """A packed order reads back with its slice; one that shows all has no bytes for it; a slice of 0 is no record."""
    order = World().order(2, SELL, PRICE, 30, CALL, display_lots=10)
    record, attachments = pack_command(order)
    assert list(unpack_commands(record, attachments)) == [order]
    plain = pack_command(World().order(2, SELL, PRICE, 30, CALL))
    assert len(attachments) == len(plain[1]) + 16
    with pytest.raises(BadRecord):
        list(unpack_commands(record, attachments[:-8] + bytes(8)))
