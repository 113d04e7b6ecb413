"""Cancel, cancel many and replace."""

from typing import Any

import pytest

from exchange.domain.commands import Cancel, CancelMany, Replace
from exchange.domain.events import ManyCanceled, OrderAccepted, OrderClosed, OrderRefused
from exchange.domain.result_codes import CloseReason, ResultCode
from tests.unit.exchange.engine.world import BUY, CALL, PERP, SELL, World, refusal


def placed(world: World, *args: Any, **fields: Any) -> int:
    """Number of a fresh order."""
    event = world.place(*args, **fields)[0]
    assert isinstance(event, OrderAccepted)
    return event.order


def test_cancel_says_what_became_of_the_order() -> None:
    """Unknown, foreign, canceled, filled and expired orders each have their code."""
    world = World().open()
    canceled, filled = placed(world, 2, BUY, 500_000, 1), placed(world, 2, BUY, 600_000, 1)
    world.cancel(2, canceled)
    world.place(3, SELL, 600_000, 1)
    expired = placed(world, 2, BUY, 500_000, 1, expiry_s=world.now_ns // 10**9 + 15)
    world.later(16)
    live = placed(world, 2, BUY, 500_000, 1)
    code = ResultCode
    assert refusal(world.run(Cancel(subaccount=99, order=live))) is code.SUBACCOUNT_NOT_FOUND
    assert refusal(world.cancel(2, 1 << 50)) is code.ORDER_NOT_FOUND
    assert refusal(world.cancel(3, live)) is code.ORDER_NOT_FOUND
    assert refusal(world.run(Cancel(subaccount=2, order=live, instrument=CALL))) is code.ORDER_NOT_FOUND
    assert refusal(world.cancel(2, canceled)) is code.ALREADY_CANCELED
    assert refusal(world.cancel(2, filled)) is code.ALREADY_FILLED
    assert refusal(world.cancel(2, expired)) is code.ALREADY_EXPIRED


@pytest.mark.parametrize("name", [{"client_order_id": "x"}, {"nonce": 1_790_000_000_123_456_789}])
def test_cancel_by_every_name(name: dict[str, Any]) -> None:
    """Client order id and nonce name the order as well as its number."""
    world = World().open()
    number = placed(world, 2, BUY, 500_000, 1, **name)
    events = world.run(Cancel(subaccount=2, **name))
    assert isinstance(events[0], OrderClosed)
    assert (events[0].order, events[0].reason) == (number, CloseReason.USER_REQUEST)


def test_cancel_many_counts_what_fits() -> None:
    """Filters are joined; closes come by ascending number, then the count."""
    world = World().open()
    first = placed(world, 2, BUY, 500_000, 1, label="a")
    placed(world, 2, BUY, 100, 1, CALL, label="a")
    second = placed(world, 2, BUY, 500_000, 1, label="a")
    placed(world, 2, BUY, 500_000, 1, label="b")
    events = world.run(CancelMany(subaccount=2, instrument=PERP, label="a"))
    assert [event.order for event in events if isinstance(event, OrderClosed)] == [first, second]
    assert ManyCanceled(subaccount=2, count=2) in events
    assert refusal(world.run(CancelMany(subaccount=50))) is ResultCode.SUBACCOUNT_NOT_FOUND


def test_cancel_many_by_underlying() -> None:
    """A currency that has no orders cancels none; with one, perpetuals and options of it go."""
    world = World().open()
    placed(world, 2, BUY, 500_000, 1)
    placed(world, 2, BUY, 100, 1, CALL)
    assert ManyCanceled(subaccount=2, count=0) in world.run(CancelMany(subaccount=2, underlying="ETH"))
    assert ManyCanceled(subaccount=2, count=2) in world.run(CancelMany(subaccount=2, underlying="BTC"))


def test_replace_guards_and_order_of_events() -> None:
    """A wrong expectation leaves the target; a good one closes it first and gives a new number."""
    world = World().open()
    number = placed(world, 2, BUY, 500_000, 10)
    wrong = Replace(target_order=number, order=world.order(2, BUY, 500_010, 5), expected_filled_lots=1)
    assert refusal(world.run(wrong)) is ResultCode.REPLACE_FILL_MISMATCH
    assert number in world.state.open_orders
    events = world.run(Replace(target_order=number, order=world.order(2, BUY, 500_010, 5), expected_filled_lots=0))
    closed, accepted = events[0], events[1]
    assert isinstance(closed, OrderClosed)
    assert isinstance(accepted, OrderAccepted)
    assert (closed.order, closed.reason, accepted.replaces) == (number, CloseReason.REPLACED, number)


@pytest.mark.parametrize(
    ("fields", "code", "is_canceled"),
    [
        ({"nonce": 1}, ResultCode.NONCE_OUTSIDE_WINDOW, False),
        ({"signer": b"\x01" * 20}, ResultCode.SIGNER_UNKNOWN, False),
        ({"quantity_lots": 900_000}, ResultCode.INSUFFICIENT_MARGIN, True),
    ],
)
def test_replace_may_cancel_and_fail(fields: dict[str, Any], code: ResultCode, is_canceled: bool) -> None:
    """An unauthorized new order changes nothing; one refused behind the nonce leaves the cancel standing."""
    world = World().open()
    number = placed(world, 2, BUY, 500_000, 10)
    fields = dict(fields)
    values = {"lots": fields.pop("quantity_lots", 5)} | fields
    events = world.run(Replace(target_order=number, order=world.order(2, BUY, 500_010, **values)))
    assert refusal(events) is code
    assert (number in world.state.closed_orders) is is_canceled


def test_replace_of_a_dead_order_is_refused() -> None:
    """The refusal names the target and what became of it."""
    world = World().open()
    number = placed(world, 2, BUY, 500_000, 10)
    world.cancel(2, number)
    event = world.run(Replace(target_order=number, order=world.order(2, BUY, 500_010, 5)))[0]
    assert isinstance(event, OrderRefused)
    assert (event.code, event.order) == (ResultCode.ALREADY_CANCELED, number)
