"""An account at its marks, by hand: what is rounded which way, funding that is due, and one position alone."""

import pytest

from exchange.domain.commands import MarkRow, SetPrices, UnderlyingRow
from exchange.engine.funding import pending_e18
from exchange.engine.margin import worst_margin_e18
from exchange.engine.valuation import (
    freed_e6,
    maintenance_margin_e18,
    open_orders_requirement_e6,
    portfolio_of,
    position_requirement,
    value_account,
)
from exchange.risk.standard import Requirement
from tests.unit.exchange.engine.portfolios import PortfolioWorld
from tests.unit.exchange.engine.test_closing import LONG, SHORT, ready
from tests.unit.exchange.engine.test_funding import funding
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SECOND_NS, SELL, World

E9, E12, E18 = 10**9, 10**12, 10**18


def broken_marks() -> World:
    """Account 2 is long a lot of the perpetual and short two calls, 3 the other way; marks end in a billionth."""
    world = World().open()
    for long, short, price, lots, number in ((2, 3, 600_000, 1, PERP), (3, 2, 1_500, 2, CALL)):
        world.place(long, BUY, price, lots, number)
        world.place(short, SELL, price, lots, number)
    marks = (MarkRow(PERP, 60_000 * E9 + 1), MarkRow(CALL, 1_500 * E9 + 1))
    world.run(SetPrices(round=world.round + 1, underlyings=(UnderlyingRow("BTC", 60_000 * E9),), marks=marks))
    return world


@pytest.mark.parametrize(
    ("account", "positions", "perpetual"), [(2, 29_999_999, 60_000_000), (3, -30_000_000, -60_000_001)]
)
def test_values_are_rounded_down_and_the_notional_up(account: int, positions: int, perpetual: int) -> None:
    """60 USDC of the perpetual, 15 of each call, and less than a millionth beside."""
    world = broken_marks()
    held = world.state.accounts[account]
    found = value_account(world.state, held)
    assert found.positions_value_e6 == positions
    assert found.equity_e6 == held.ledger_cash_e6 + positions
    assert found.realized_cash_e6 == held.ledger_cash_e6 + perpetual
    assert found.perpetual_notional_e6 == 60_000_001


@pytest.mark.parametrize("account", [LONG, SHORT])
def test_funding_that_is_due_counts_as_paid(account: int) -> None:
    """In equity, in cash and in both margins; 100 lots are worth 6,000 USDC and need 240 and 120."""
    world = ready()
    funding(world)
    funding(world, after_ns=SECOND_NS)
    held = world.state.accounts[account]
    due = pending_e18(world.state, held, PERP)
    assert due < 0 if account == LONG else due > 0
    worth = held.lots(PERP) * 60 * E18
    found = value_account(world.state, held)
    assert found.equity_e6 == found.realized_cash_e6 == held.ledger_cash_e6 + (worth + due) // E12
    assert found.requirement == Requirement(240 * E6, 120 * E6)
    equity_e18 = held.ledger_cash_e6 * E12 + worth + due
    assert maintenance_margin_e18(world.state, held) == equity_e18 - 120 * E18
    assert worst_margin_e18(world.state, held) == equity_e18 - 240 * E18
    assert open_orders_requirement_e6(world.state, held) == 0


def test_orders_reserve_what_they_add() -> None:
    """A hundred lots more: 4 % of 6,000 USDC, and fees of 3 hundredths of a per cent on the way in and out."""
    world = ready()
    world.place(LONG, BUY, 599_000, 100)
    assert open_orders_requirement_e6(world.state, world.state.accounts[LONG]) == 240 * E6 + 3_600_000


def test_a_position_alone() -> None:
    """What is not held requires nothing; of what is held prices may be doubted or taken as sure."""
    world = ready(calls=10)
    held, perpetual = world.state.accounts[LONG], world.state.instruments[PERP]
    assert position_requirement(world.state, held, perpetual) == Requirement(240 * E6, 120 * E6)
    assert position_requirement(world.state, world.state.accounts[4], perpetual) == Requirement(0, 0)
    assert freed_e6(world.state, held, PERP) == 120 * E6
    assert freed_e6(world.state, held, CALL) == 150 * E6  # nothing is lent on what it is worth
    (sure,) = portfolio_of(world.state, held, doubts=False).markets
    assert sure.confidence_e9 == E9


def test_with_portfolio_margin_funding_counts_too() -> None:
    """Equity and maintenance move by what is due."""
    world = PortfolioWorld().open()
    world.choose(2)
    world.hold(2, PERP, 100, 600_000)
    held = world.state.accounts[2]
    funding(world)
    before = maintenance_margin_e18(world.state, held), worst_margin_e18(world.state, held)
    funding(world, after_ns=SECOND_NS)
    due = pending_e18(world.state, held, PERP)
    assert due < 0
    after = maintenance_margin_e18(world.state, held), worst_margin_e18(world.state, held)
    assert [now - then for now, then in zip(after, before, strict=True)] == [due, due]


def test_closing_a_hedge_frees_nothing() -> None:
    """A short call against a long perpetual: without the perpetual more would be asked for."""
    world = PortfolioWorld().open()
    world.choose(2)
    world.hold(2, CALL, -100, 1_500)
    world.hold(2, PERP, 200, 600_000)
    held = world.state.accounts[2]
    alone = position_requirement(world.state, held, world.state.instruments[CALL]).maintenance_e6
    assert value_account(world.state, held).requirement.maintenance_e6 < alone
    assert freed_e6(world.state, held, PERP) == 0
