"""What margin other positions would need: as the engine finds it once the account has them, its orders included."""

import pytest

from exchange.domain.commands import OrderFlag
from exchange.domain.views import AccountView, GetAccount, SimulateAccount, SimulationView
from exchange.engine.queries import answer
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SELL, World


def simulated(world: World, *changes: tuple[int, int, int]) -> SimulationView:
    """Account 2 with changes."""
    view = answer(world.state, SimulateAccount(subaccount=2, changes=changes))
    assert isinstance(view, SimulationView)
    return view


def shown(world: World) -> AccountView:
    """Account 2 as it is."""
    view = answer(world.state, GetAccount(subaccount=2))
    assert isinstance(view, AccountView)
    return view


def with_orders() -> World:
    """Account 2 is short half a bitcoin, bids for one and offers a call; account 3 takes part in everything."""
    world = World().open()
    world.place(3, BUY, 600_000, 500)
    world.place(2, SELL, 600_000, 500, max_fee_e18=0)
    world.place(2, BUY, 590_000, 1_000)
    world.place(2, SELL, 1_900, 20, CALL)
    return world


def fill(world: World, instrument: int, lots: int, price_ticks: int) -> None:
    """Account 2 gets the position without a fee."""
    ours, theirs = (BUY, SELL) if lots > 0 else (SELL, BUY)
    world.place(3, theirs, price_ticks, abs(lots), instrument)
    world.place(2, ours, price_ticks, abs(lots), instrument, flags=OrderFlag.NONE, max_fee_e18=0)


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ((PERP, 300, 600_000),),
        ((PERP, 900, 600_000),),
        ((PERP, -700, 600_000),),
        ((CALL, -15, 1_500),),
        ((CALL, 15, 1_500), (PUT, -40, 800)),
        ((PUT, -30, 800), (PERP, 200, 600_000)),
    ],
)
def test_open_orders_are_charged_beside_the_changed_positions(changes: tuple[tuple[int, int, int], ...]) -> None:
    """Bids that closed a short open a long once it is gone: equity and all requirements are those behind the fills."""
    world, other = with_orders(), with_orders()
    view = simulated(world, *changes)
    for instrument, lots, price_ticks in changes:
        fill(other, instrument, lots, price_ticks)
    wanted = shown(other)
    assert view.equity_e6 == wanted.equity_e6
    assert view.initial_requirement_e6 == wanted.initial_requirement_e6
    assert view.maintenance_requirement_e6 == wanted.maintenance_requirement_e6
    assert view.open_orders_requirement_e6 == wanted.open_orders_requirement_e6


def test_a_simulation_changes_nothing() -> None:
    """Nor does the answer depend on the one before."""
    world = with_orders()
    before = shown(world)
    first = simulated(world, (PERP, 900, 600_000))
    assert simulated(world, (PERP, 900, 600_000)) == first
    assert shown(world) == before


def test_a_change_without_a_price_is_made_at_the_mark() -> None:
    """What is bought at the mark leaves equity as it is; above it, the difference is lost."""
    world = World().open()
    assert simulated(world, (PERP, 1_000, 0)).equity_e6 == 100_000 * E6
    assert simulated(world, (PERP, 1_000, 610_000)).equity_e6 == 99_000 * E6
    assert simulated(world, (PERP, -1_000, 610_000)).equity_e6 == 101_000 * E6


def test_an_unknown_account_has_no_simulation() -> None:
    """None, as for every question about it."""
    assert answer(World().open().state, SimulateAccount(subaccount=99)) is None
