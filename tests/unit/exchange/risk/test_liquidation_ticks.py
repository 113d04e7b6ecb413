"""To the tick: below maintenance there, not one tick before; equal to the printed examples of the linear form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.liquidation import liquidation_price
from exchange.risk.liquidation_ticks import liquidation_ticks
from exchange.risk.parameters import Tier
from exchange.risk.standard import perpetual_requirement

E9, E18 = 10**9, 10**18
FLAT = (Tier(upper_e6=0, initial_ppm=100_000, maintenance_ppm=50_000),)
BRACKETS = (
    Tier(upper_e6=50_000 * 10**6, initial_ppm=40_000, maintenance_ppm=20_000),
    Tier(upper_e6=200_000 * 10**6, initial_ppm=100_000, maintenance_ppm=50_000),
    Tier(upper_e6=0, initial_ppm=200_000, maintenance_ppm=100_000),
)
CENT_E9 = 10**7


def margin_of(amount_e9, mark_e9, cash_e18, tiers):
    """Equity less maintenance of cash and one perpetual, in 1e-18 USDC."""
    return cash_e18 + amount_e9 * mark_e9 - perpetual_requirement(notional_e18=abs(amount_e9) * mark_e9, tiers=tiers)[1]


def found(amount_e9, mark_e9, cash_e18, tiers, maximum_ticks=10**9):
    """The tick for such an account, in cents."""
    return liquidation_ticks(
        margin_e18=margin_of(amount_e9, mark_e9, cash_e18, tiers),
        amount_e9=amount_e9,
        mark_e9=mark_e9,
        tiers=tiers,
        tick_e9=CENT_E9,
        maximum_ticks=maximum_ticks,
    )


def test_no_position_has_no_price():
    """Nothing moves."""
    assert found(0, 3_000 * E9, 0, FLAT) is None


def test_a_position_that_no_price_endangers_has_none():
    """A long whose cash is above its size at any price, a short with cash for the highest one."""
    assert found(E9, 3_000 * E9, E18, FLAT) is None
    assert found(-E9, 3_000 * E9, 10**6 * E18, FLAT, maximum_ticks=10_000_00) is None


def test_the_printed_example_of_a_long_and_of_a_short():
    """dYdX's help page, worked with 10 units at 3,000, 1,000 USDC beside and 5 % maintenance (risk.md 4.3)."""
    for amount_e9 in (10 * E9, -10 * E9):
        cash_e18 = 4_000 * E18 - amount_e9 * 3_000 * E9
        linear = liquidation_price(
            net_collateral=4_000 * E9,
            amount=amount_e9,
            price=3_000 * E9,
            maintenance=50_000_000,
            one=E9,
        )
        ticks = found(amount_e9, 3_000 * E9, cash_e18, FLAT)
        assert abs(ticks * CENT_E9 - linear) < CENT_E9


FREE = (Tier(upper_e6=0, initial_ppm=0, maintenance_ppm=0),)


@pytest.mark.parametrize(
    ("amount_e9", "cash_cents", "maximum_ticks", "expected"),
    [
        (E9, -50, 100, 49),  # at 50 exactly nothing is missing
        (E9, -1, 100, None),  # a long of one tick: there is no tick below it
        (E9, -2, 100, 1),
        (E9, -100, 100, 99),
        (E9, -101, 100, 100),  # below already: the highest tick there is
        (-E9, 50, 100, 51),
        (-E9, 99, 100, 100),
        (-E9, 100, 100, None),
        (-E9, 0, 100, 1),
        (-E9, -5, 100, 1),
    ],
)
def test_the_tick_by_hand(amount_e9, cash_cents, maximum_ticks, expected):
    """Without a requirement only cash and price count, and the ends of the scale are ticks like others."""
    assert found(amount_e9, 60 * CENT_E9, cash_cents * CENT_E9 * E9, FREE, maximum_ticks) == expected


@given(
    amount_e9=st.integers(-(10**11), 10**11).filter(bool),
    mark_e9=st.integers(100 * E9, 5_000 * E9),
    share=st.integers(-300, 1_500),
)
def test_one_tick_decides(amount_e9, mark_e9, share):
    """Below maintenance at the tick that was found, and not at its neighbor on the safe side."""
    cash_e18 = abs(amount_e9) * mark_e9 * share // 1_000 - amount_e9 * mark_e9
    maximum = 2_000_000
    ticks = found(amount_e9, mark_e9, cash_e18, BRACKETS, maximum)
    safer = 1 if amount_e9 > 0 else -1
    if ticks is None:
        ticks = 0 if amount_e9 > 0 else maximum + 1
    else:
        assert margin_of(amount_e9, ticks * CENT_E9, cash_e18, BRACKETS) < 0
    if 1 <= ticks + safer <= maximum:
        assert margin_of(amount_e9, (ticks + safer) * CENT_E9, cash_e18, BRACKETS) >= 0
