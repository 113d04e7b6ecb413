"""Amend: what needs a signature, what keeps its place, and that a refusal changes nothing."""

from typing import Any

import pytest

from exchange.domain.commands import Amend, Cancel, OrderFlag, SignedAmend, Trigger, TriggerKind
from exchange.domain.events import (
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderRefused,
    OrderRepeated,
    OrderRevised,
    TriggerSet,
)
from exchange.domain.result_codes import OrderStatus, ResultCode
from exchange.domain.views import GetOrder
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import ReferenceOrderBook
from tests.unit.exchange.engine.world import BUY, CALL, PERP, SELL, World, refusal, trades

E9 = 10**9
STOP = Trigger(kind=TriggerKind.STOP, price_e9=59_000 * E9)


def placed(world: World, *args: Any, **fields: Any) -> int:
    """Number of a fresh order."""
    event = world.place(*args, **fields)[0]
    assert isinstance(event, OrderAccepted)
    return event.order


def signed(world: World, order: int, *args: Any, **fields: Any) -> SignedAmend:
    """A signed amendment of account 2 with the terms given."""
    guards = {name: fields.pop(name) for name in ("expected_filled_lots", "trigger_e9") if name in fields}
    return SignedAmend(target_order=order, order=world.order(2, *args, **fields), **guards)


@pytest.mark.parametrize("lots", [0, -1, 11])
def test_amend_refuses_what_needs_a_signature(lots: int) -> None:
    """A larger total, or none at all."""
    world = World().open()
    number = placed(world, 2, BUY, 500_000, 10)
    assert refusal(world.run(Amend(subaccount=2, order=number, quantity_lots=lots))) is ResultCode.BAD_AMOUNT


def test_amend_keeps_number_and_place_in_line() -> None:
    """The lowered order still trades before the one behind it."""
    world = World().open()
    first, second = placed(world, 2, BUY, 600_000, 10), placed(world, 3, BUY, 600_000, 10)
    events = world.run(Amend(subaccount=2, order=first, quantity_lots=4))
    assert isinstance(events[0], OrderAmended)
    assert (events[0].quantity_lots, events[0].remaining_lots, events[0].version) == (4, 4, 2)
    makers = [trade.maker.order for trade in trades(world.place(4, SELL, 600_000, 5))]
    assert makers == [first, second]


def test_amend_to_the_filled_part_fills() -> None:
    """At or below what is filled the order ends as filled."""
    world = World().open()
    number = placed(world, 2, BUY, 600_000, 10)
    world.place(3, SELL, 600_000, 6)
    events = world.run(Amend(subaccount=2, order=number, quantity_lots=5))
    closed = [event for event in events if isinstance(event, OrderClosed)]
    assert [(c.status, c.unfilled_lots) for c in closed] == [(OrderStatus.FILLED, 0)]


@pytest.mark.parametrize(
    ("terms", "fields", "code"),
    [
        ((BUY, 590_000, 10), {"nonce": 5}, ResultCode.NONCE_OUTSIDE_WINDOW),
        ((BUY, 590_000, 10), {"signer": b"\x01" * 20}, ResultCode.SIGNER_UNKNOWN),
        ((BUY, 590_000, 10), {"expiry_s": 1}, ResultCode.BAD_SIGNATURE_EXPIRY),
        ((SELL, 590_000, 10), {}, ResultCode.ORDER_NOT_FOUND),
        ((BUY, 500, 10, CALL), {}, ResultCode.ORDER_NOT_FOUND),
        ((BUY, 590_000, 10), {"expected_filled_lots": 1}, ResultCode.REPLACE_FILL_MISMATCH),
        ((BUY, 0, 10), {}, ResultCode.BAD_PRICE),
        ((BUY, 590_000, 0), {}, ResultCode.BAD_AMOUNT),
        ((BUY, 590_000, 2_000_000), {}, ResultCode.BAD_AMOUNT),
        ((BUY, 590_000, 10), {"reject_after_ms": 1}, ResultCode.REJECT_TIMESTAMP_PASSED),
        ((BUY, 590_000, 10), {"trigger_e9": 1}, ResultCode.TRIGGER_NOT_REPLACEABLE),
        ((BUY, 590_000, 900_000), {}, ResultCode.INSUFFICIENT_MARGIN),
        ((BUY, 610_000, 10), {}, ResultCode.POST_ONLY_WOULD_CROSS),
    ],
)
def test_a_refused_signed_amendment_leaves_the_order(
    terms: tuple[Any, ...], fields: dict[str, Any], code: ResultCode
) -> None:
    """Price, size, place, exposure and version are as before; only the nonce may be spent."""
    world = World().open()
    number = placed(world, 2, BUY, 595_000, 10, flags=OrderFlag.POST_ONLY)
    placed(world, 3, SELL, 605_000, 10)
    before = answer(world.state, GetOrder(subaccount=2, order=number))
    events = world.run(signed(world, number, *terms, **fields))
    assert refusal(events) is code
    assert answer(world.state, GetOrder(subaccount=2, order=number)) == before


def test_a_refusal_by_margin_restores_the_exposure() -> None:
    """What was affordable before is affordable after, to the lot."""
    world = World().open()
    number = placed(world, 2, BUY, 595_000, 10)
    hashed = state_hash(world.state)
    rows = repr(world.state.exposures[2])
    command = signed(world, number, BUY, 595_010, 900_000)
    assert refusal(world.run(command)) is ResultCode.INSUFFICIENT_MARGIN
    assert repr(world.state.exposures[2]) == rows
    assert state_hash(world.state) != hashed  # the nonce
    assert refusal(world.run(command)) is ResultCode.NONCE_USED


@pytest.mark.parametrize("end", ["canceled", "filled"])
def test_a_dead_order_is_not_amended(end: str) -> None:
    """The refusal names it and says what became of it."""
    world = World().open()
    number = placed(world, 2, BUY, 595_000, 10)
    if end == "canceled":
        world.cancel(2, number)
    else:
        world.place(3, SELL, 595_000, 10)
    event = world.run(signed(world, number, BUY, 596_000, 10))[0]
    assert isinstance(event, OrderRefused)
    code = ResultCode.ALREADY_CANCELED if end == "canceled" else ResultCode.ALREADY_FILLED
    assert (event.code, event.order) == (code, number)


@pytest.mark.parametrize(("price", "lots"), [(600_000, 12), (599_990, 10)])
def test_a_larger_size_or_another_price_goes_to_the_back(price: int, lots: int) -> None:
    """The number stays, the version rises, one event says all; the queue survives a restore."""
    world = World().open()
    first = placed(world, 2, BUY, 600_000, 10)
    second = placed(world, 3, BUY, 600_000, 10)
    third = placed(world, 4, BUY, 599_990, 10)
    events = world.run(signed(world, first, BUY, price, lots, digest=b"\x07" * 32))
    assert isinstance(events[0], OrderRevised)
    assert (events[0].order, events[0].price_ticks, events[0].quantity_lots, events[0].version) == (
        first,
        price,
        lots,
        2,
    )
    assert events[0].digest == b"\x07" * 32
    world.state = load(dump(world.state), ReferenceOrderBook)
    makers = [trade.maker.order for trade in trades(world.place(5 - 1, SELL, 600_000, 10))]
    assert makers == [second]
    order = [world.state.by_handle[row[0]].number for row in world.state.book.orders(PERP)]
    assert order == ([first, third] if price == 600_000 else [third, first])


def test_a_signed_size_down_keeps_its_place() -> None:
    """The same price and a smaller total: only the authority changes."""
    world = World().open()
    first, second = placed(world, 2, BUY, 600_000, 10), placed(world, 3, BUY, 600_000, 10)
    world.run(signed(world, first, BUY, 600_000, 4))
    assert [trade.maker.order for trade in trades(world.place(4, SELL, 600_000, 5))] == [first, second]


def test_an_amendment_into_the_spread_trades_as_a_taker() -> None:
    """What crosses is matched under the same number; the rest rests at the new price."""
    world = World().open()
    placed(world, 3, SELL, 600_000, 4)
    number = placed(world, 2, BUY, 590_000, 10)
    events = world.run(signed(world, number, BUY, 600_000, 10))
    (trade,) = trades(events)
    assert (trade.taker.order, trade.taker.filled_lots, trade.taker.remaining_lots) == (number, 4, 6)
    assert world.state.book.best(PERP)[0] == 600_000
    full = signed(world, number, BUY, 610_000, 10, expected_filled_lots=4)
    placed(world, 3, SELL, 605_000, 20)
    closed = [event for event in world.run(full) if isinstance(event, OrderClosed)]
    assert [(event.order, event.status) for event in closed] == [(number, OrderStatus.FILLED)]


def test_a_signed_total_at_the_filled_part_fills() -> None:
    """The new total is no more than what is filled: nothing is left to trade."""
    world = World().open()
    number = placed(world, 2, BUY, 600_000, 10)
    world.place(3, SELL, 600_000, 6)
    closed = [event for event in world.run(signed(world, number, BUY, 601_000, 6)) if isinstance(event, OrderClosed)]
    assert [(event.status, event.unfilled_lots) for event in closed] == [(OrderStatus.FILLED, 0)]


def test_fills_before_and_after_are_leaves_of_their_own_signatures() -> None:
    """The batch counts the order once per signature that filled in it."""
    world = World().open()
    number = placed(world, 2, BUY, 600_000, 10)
    world.place(3, SELL, 600_000, 4)
    world.run(signed(world, number, BUY, 600_010, 10))
    world.place(3, SELL, 600_000, 4)
    assert world.state.batch.orders == {2: 2, 3: 2}


def test_the_new_nonce_names_the_order_and_the_old_one_does_not() -> None:
    """Live and restored engines agree on the names; the first body still answers as a repeat."""
    world = World().open()
    first = world.order(2, BUY, 590_000, 10, client_order_id="x")
    world.run(first)
    (number,) = world.state.open_orders
    command = signed(world, number, BUY, 591_000, 10)
    world.run(command)
    assert world.run(first) == [OrderRepeated(subaccount=2, order=number)]
    assert refusal(world.run(Cancel(subaccount=2, nonce=first.nonce))) is ResultCode.ORDER_NOT_FOUND
    before = state_hash(world.state)
    world.state = load(dump(world.state), ReferenceOrderBook)
    assert state_hash(world.state) == before
    assert world.run(first) == [OrderRepeated(subaccount=2, order=number)]
    assert refusal(world.run(Cancel(subaccount=2, nonce=first.nonce))) is ResultCode.ORDER_NOT_FOUND
    assert refusal(world.run(Cancel(subaccount=2, nonce=command.order.nonce))) is ResultCode.OK


def test_a_life_that_was_signed_again_ends_the_order() -> None:
    """The new signature's expiry replaces the old one."""
    world = World().open()
    now_s = world.now_ns // E9
    number = placed(world, 2, BUY, 590_000, 10, expiry_s=now_s + 600)
    world.run(signed(world, number, BUY, 590_010, 10, expiry_s=now_s + 30))
    closed = [event.order for event in world.clock(40) if isinstance(event, OrderClosed)]
    assert closed == [number]


def test_a_waiting_order_takes_new_terms_without_margin() -> None:
    """Limit, size and trigger change together; it stays in the trigger book and fires at the new price."""
    world = World().open()
    number = placed(world, 2, SELL, 589_000, 10, trigger=STOP)
    wrong = signed(world, number, SELL, 580_000, 20, trigger_e9=61_000 * E9)
    assert refusal(world.run(wrong)) is ResultCode.TRIGGER_WRONG_SIDE
    events = world.run(signed(world, number, SELL, 580_000, 900_000, trigger_e9=58_000 * E9))
    assert [type(event) for event in events] == [OrderRevised, TriggerSet]
    view = answer(world.state, GetOrder(subaccount=2, order=number))
    assert (view.price_ticks, view.quantity_lots, view.trigger_e9) == (  # type: ignore[union-attr]
        580_000,
        900_000,
        58_000 * E9,
    )
