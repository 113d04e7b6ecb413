"""What liquidations are computed from: the exposure of a position in either kind of margin, and the fund's fee."""

from types import SimpleNamespace
from typing import Any

import pytest

from exchange.domain.commands import Side
from exchange.engine.liquidation_terms import exposure_of, liquidation_fee_e6, standing_of
from exchange.engine.valuation import value_account
from exchange.risk.liquidation import Exposure, Standing
from tests.unit.exchange.engine.liquidating import FALLEN, long_one
from tests.unit.exchange.engine.portfolios import PortfolioWorld
from tests.unit.exchange.engine.world import BUY, E6, PERP, SELL, World

E9, E12, E24 = 10**9, 10**12, 10**24


def exposure(world: World, account: int = 2) -> Exposure:
    """Of the account's perpetual."""
    return exposure_of(world.state, world.state.accounts[account], world.state.instruments[PERP])


@pytest.mark.parametrize(
    ("lots", "maintenance"),
    [
        (1_000, 20_000_000_000),
        (100_000, 20_833_333_334),  # 2 % of five millions and 2.5 % of one
    ],
)
def test_the_fraction_of_a_position_is_that_of_its_whole_notional(lots: int, maintenance: int) -> None:
    """Bracket by bracket, rounded up; long and short alike."""
    world = long_one(lots, deposit=10**6 * E6)
    assert exposure(world) == Exposure(amount=lots * E6, price=60_000 * E9, maintenance=maintenance)
    assert exposure(world, 3) == Exposure(amount=-lots * E6, price=60_000 * E9, maintenance=maintenance)


def test_who_holds_nothing_has_an_exposure_of_nothing() -> None:
    """No fraction of nothing is asked for."""
    assert exposure(long_one(), 4) == Exposure(amount=0, price=60_000 * E9, maintenance=0)


def test_with_portfolio_margin_it_is_what_closing_frees() -> None:
    """Four fifths of 18 %, and 3 %, of a perpetual alone."""
    world = PortfolioWorld().open()
    world.choose(2)
    world.hold(2, PERP, 1_000, 600_000)
    assert exposure(world).maintenance == 174_000_000_000


def test_standing_is_scaled_twice() -> None:
    """Equity of 100,000 USDC, nothing required."""
    world = World().open()
    value = value_account(world.state, world.state.accounts[2])
    assert standing_of(value) == Standing(net_collateral=100_000 * E6 * E24, requirement=0)


def fee(world: World, account: int, side: Side, price_ticks: int) -> int:
    """Of a fill of ten lots."""
    order: Any = SimpleNamespace(place=world.order(account, side, price_ticks, 10))
    return liquidation_fee_e6(world.state, order, price_ticks=price_ticks, lots=10)


@pytest.mark.parametrize(
    ("price_ticks", "expected"), [(581_000, 5_810_000), (575_000, 4_820_000), (570_180, 0), (570_000, 0)]
)
def test_the_fund_takes_what_is_above_bankruptcy_up_to_one_percent(price_ticks: int, expected: int) -> None:
    """Ten lots at 58,100 are worth 581 USDC; a hundredth of the equity of 1,082 may be given for them."""
    world = long_one()
    world.prices(FALLEN)
    assert fee(world, 2, SELL, price_ticks) == expected


def test_a_short_that_buys_pays_it_too() -> None:
    """It has collateral enough: one per cent."""
    world = long_one()
    world.prices(FALLEN)
    assert fee(world, 3, BUY, 581_000) == 5_810_000


def test_nothing_is_taken_of_who_needs_no_margin() -> None:
    """Even far above the mark."""
    assert fee(long_one(), 4, SELL, 700_000) == 0
