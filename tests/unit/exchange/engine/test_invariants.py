"""Each invariant notices the damage it is there for."""

from collections.abc import Callable

import pytest
from msgspec import structs

from exchange.domain.commands import Amend, Clock, MarkRow, OrderFlag, Trigger, TriggerKind
from exchange.domain.result_codes import OrderStatus
from exchange.engine.apply import apply
from exchange.engine.invariants import check_invariants
from exchange.engine.records import TriggerStage
from exchange.engine.state import InvariantViolated, State
from tests.unit.exchange.engine.world import BUY, PERP, SELL, World


def world_with_everything() -> World:
    """A position, two open orders, closed ones, and waiting ones: alone, with a partner, with a parent."""
    world = World().open()
    world.place(2, BUY, 600_000, 10)
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 590_000, 10)
    world.place(3, SELL, 610_000, 10)
    stop = Trigger(kind=TriggerKind.STOP, price_e9=50_000 * 10**9)
    world.place(2, SELL, 1, 10, trigger=stop)
    partner = max(world.state.waiting_orders)
    world.place(2, SELL, 1, 10, trigger=structs.replace(stop, partner=partner))
    parent = min(world.state.open_orders)
    world.place(2, SELL, 1, 10, trigger=structs.replace(stop, parent=parent), flags=OrderFlag.REDUCE_ONLY)
    return world


def lose_cash(state: State) -> None:
    """A unit of money is gone."""
    state.accounts[2].ledger_cash_e6 -= 1


def lose_collateral(state: State) -> None:
    """The chain holds less than the ledger says."""
    state.collateral_e6 -= 1
    state.cash_sum_e6 -= 0


def lose_lots(state: State) -> None:
    """One side of a position is larger."""
    state.accounts[2].positions[PERP].lots += 1


def lose_fee(state: State) -> None:
    """The batch forgets a fee."""
    state.batch.fee_e6 -= 1


def lose_cost(state: State) -> None:
    """Shown cash drifts from its positions."""
    state.accounts[2].perpetual_cost_e6 += 1


def lose_exposure(state: State) -> None:
    """An order reserves too little."""
    state.exposures[2][PERP].buy_lots -= 1


def lose_order(state: State) -> None:
    """The book has an order that nobody knows."""
    number, order = state.open_orders.popitem()
    state.account_orders[order.place.subaccount].pop(number)


def lose_timer(state: State) -> None:
    """An order would live for ever."""
    state.timers.clear()


def zombie(state: State) -> None:
    """A closed order is open."""
    next(iter(state.closed_orders.values())).status = OrderStatus.OPEN


def resize(state: State) -> None:
    """An order and its place in the book differ."""
    next(iter(state.open_orders.values())).quantity_lots += 1


def lose_waiting(state: State) -> None:
    """A trigger order that its account does not know."""
    state.account_waiting[2].clear()


def disarm(state: State) -> None:
    """An armed order that no price would find."""
    state.triggers.ladders.clear()


def queue_it(state: State) -> None:
    """An armed order in the queue of those that fired."""
    state.triggers.fired.add(next(iter(state.waiting_orders)))


def pass_by(state: State) -> None:
    """The price went beyond a trigger, and nothing fired."""
    state.prices.marks[PERP] = MarkRow(PERP, 40_000 * 10**9)


def finish_waiting(state: State) -> None:
    """A waiting order with nothing left."""
    next(iter(state.waiting_orders.values())).quantity_lots = 0


def misplace(state: State) -> None:
    """A stage that no waiting order has."""
    next(iter(state.waiting_orders.values())).stage = TriggerStage.OVER


def untie(state: State) -> None:
    """A group that nobody remembers."""
    state.links.groups.clear()


def lose_parent(state: State) -> None:
    """A child that waits for nobody, consistently."""
    child = state.waiting_orders[max(state.waiting_orders)]
    child.place = structs.replace(child.place, trigger=structs.replace(child.place.trigger, parent=77))
    state.links.children = {77: {child.number: None}}


def two_of_a_group(state: State) -> None:
    """Partners that could both fill."""
    state.links.groups[5] = dict.fromkeys(state.open_orders)
    for order in state.open_orders.values():
        order.group = 5


@pytest.mark.parametrize(
    "damage",
    [
        lose_waiting,
        disarm,
        queue_it,
        pass_by,
        finish_waiting,
        misplace,
        untie,
        lose_parent,
        two_of_a_group,
        lose_cash,
        lose_collateral,
        lose_lots,
        lose_fee,
        lose_cost,
        lose_exposure,
        lose_order,
        lose_timer,
        zombie,
        resize,
    ],
)
def test_damage_is_found(damage: Callable[[State], None]) -> None:
    """The full check raises."""
    world = world_with_everything()
    check_invariants(world.state)
    damage(world.state)
    with pytest.raises(InvariantViolated):
        check_invariants(world.state)


def break_sum(state: State) -> None:
    """Cash that never came in."""
    state.cash_sum_e6 += 1


def break_cell(state: State) -> None:
    """The core counts another position."""
    state.book.set_cell(state.cells[2, PERP], 99)


def break_zero(state: State) -> None:
    """Positions no longer sum to zero."""
    state.position_sums[PERP] += 1


@pytest.mark.parametrize("damage", [break_sum, break_cell, break_zero])
def test_the_cheap_check_stops_the_next_trade(damage: Callable[[State], None]) -> None:
    """A command that touches the damage raises at once."""
    world = world_with_everything()
    world.checks = False
    damage(world.state)
    with pytest.raises(InvariantViolated):
        world.place(3, SELL, 590_000, 5)


def test_time_does_not_run_backwards() -> None:
    """Equal times are fine."""
    world = world_with_everything()
    apply(world.state, Clock(), world.now_ns)
    with pytest.raises(InvariantViolated, match="backwards"):
        apply(world.state, Clock(), world.now_ns - 1)


def test_two_orders_may_not_share_a_place() -> None:
    """Numbers within a level ascend; swapped names are found."""
    world = World().open()
    world.place(2, BUY, 590_000, 10)
    world.place(3, BUY, 590_000, 10)
    one, other = world.state.open_orders.values()
    handles = world.state.handles
    handles[one.number], handles[other.number] = handles[other.number], handles[one.number]
    world.state.by_handle = {handle: world.state.open_orders[number] for number, handle in handles.items()}
    with pytest.raises(InvariantViolated, match="stands behind"):
        check_invariants(world.state)


def cancel_it(world: World, order: int) -> None:
    """Cancel."""
    world.cancel(2, order)


def lower_it(world: World, order: int) -> None:
    """Lower in place."""
    world.run(Amend(subaccount=2, order=order, quantity_lots=5))


@pytest.mark.parametrize("touch", [cancel_it, lower_it])
def test_a_book_that_forgot_an_order_is_found(touch: Callable[[World, int], None]) -> None:
    """The book's refusal to touch a resting order is no business refusal."""
    world = World().open()
    world.place(2, BUY, 590_000, 10)
    world.checks = False
    (number,) = world.state.open_orders
    handle = world.state.handles[number]
    world.state.by_handle[handle + 1] = world.state.by_handle.pop(handle)
    world.state.handles[number] = handle + 1
    with pytest.raises(InvariantViolated, match="the book"):
        touch(world, number)


def test_a_book_that_refuses_an_admitted_order_is_found() -> None:
    """An instrument the book does not have."""
    world = World().open()
    world.checks = False
    world.state.book.delist_instrument(PERP)
    with pytest.raises(InvariantViolated, match="refused an admitted order"):
        world.place(2, BUY, 590_000, 10, flags=OrderFlag.POST_ONLY)
