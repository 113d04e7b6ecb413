"""What an account with Portfolio Margin is made of for `exchange.risk`: its positions, and what its orders may do."""

import pytest

from exchange.domain.commands import OrderFlag
from exchange.domain.result_codes import ResultCode
from exchange.engine.changes import Change, fees_e18
from exchange.engine.portfolio_margin import scenario_portfolio, worst_margin_e18
from tests.unit.exchange.engine.portfolios import PortfolioWorld
from tests.unit.exchange.engine.world import BUY, CALL, PERP, PUT, SELL, refusal


@pytest.mark.parametrize(
    ("held", "buys", "sells", "expected"),
    [
        (0, 0, 0, 0),
        (0, 4, 3, 4),
        (0, 3, 4, 4),
        (3, 2, 1, 2),
        (3, 0, 6, 0),
        (3, 0, 7, 1),
        (-3, 2, 0, 0),
        (-3, 6, 0, 0),
        (-3, 7, 0, 1),
        (-3, 4, 2, 2),
        (-3, 0, 1, 1),
    ],
)
def test_orders_widen_a_perpetual_on_their_worse_side(held: int, buys: int, sells: int, expected: int) -> None:
    """What only closes, or turns no further than it stood, widens nothing."""
    world = PortfolioWorld().open()
    side = BUY if held > 0 else SELL
    orders = [(PERP, is_buy, 600_000, lots) for is_buy, lots in ((True, buys), (False, sells)) if lots]
    orders += [(CALL, True, 1_500, 50), (CALL, False, 1_500, 9)]
    found = scenario_portfolio(
        world.state, world.state.accounts[2], change=Change(PERP, side, filled_lots=abs(held)), orders=orders
    )
    assert found.markets[0].open_perpetuals_e9 == expected * 10**6
    assert found.markets[0].open_sells_e9 == 9 * 10**7
    assert [row.amount_e9 for row in found.markets[0].perpetuals] == ([held * 10**6] if held else [])


@pytest.mark.parametrize(
    ("instrument", "is_buy", "price_ticks", "gain"),
    [(PERP, True, 599_990, 1), (PERP, False, 599_990, -1), (CALL, True, 1_490, 10), (PUT, False, 805, 5)],
)
def test_an_order_gains_what_its_limit_is_better_than_the_mark(
    instrument: int, is_buy: bool, price_ticks: int, gain: int
) -> None:
    """In USDC per unit; beside it pays its fees."""
    world = PortfolioWorld().open()
    order = (instrument, is_buy, price_ticks, 7)
    (row,) = scenario_portfolio(world.state, world.state.accounts[2], orders=[order]).markets[0].orders
    listed = world.state.instruments[instrument]
    assert (row.is_buy, row.amount_e9, row.gain_e9) == (is_buy, 7 * listed.lot_e9, gain * 10**9)
    assert row.fee_e18 == fees_e18(world.state, listed, 7, legs=1) > 0


def test_options_are_told_as_they_are_and_those_that_are_gone_are_not() -> None:
    """Calls are calls, puts are puts; what a fill closes is no position any more."""
    world = PortfolioWorld().open()
    account = world.state.accounts[2]
    for number, is_call in ((CALL, True), (PUT, False)):
        found = scenario_portfolio(world.state, account, change=Change(number, BUY, filled_lots=2))
        (option,) = found.markets[0].expiries[0].options
        assert (option.is_call, option.amount_e9) == (is_call, 2 * 10**7)
    world.hold(2, CALL, 2, 1_500)
    closed = scenario_portfolio(world.state, account, change=Change(CALL, SELL, filled_lots=2))
    assert closed.markets[0].expiries == ()


def test_an_order_that_only_reduces_loses_nothing_as_the_spot_rises() -> None:
    """One that may open a short does; and a reduction of more than is held fills no further than that."""
    world = PortfolioWorld().open()
    world.choose(2)
    world.hold(2, PERP, 100, 600_000)
    account = world.state.accounts[2]
    before = worst_margin_e18(world.state, account)
    assert refusal(world.place(2, SELL, 600_500, 100_000, flags=OrderFlag.REDUCE_ONLY)) is ResultCode.OK
    assert worst_margin_e18(world.state, account) == before
    assert refusal(world.place(2, SELL, 600_500, 300)) is ResultCode.OK
    assert worst_margin_e18(world.state, account) < before
