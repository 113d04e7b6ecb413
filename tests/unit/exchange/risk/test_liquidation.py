"""Liquidation sizes and prices: dYdX's, Drift's and Hyperliquid's printed numbers, and the sides of every rounding."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exchange.risk.liquidation import (
    Exposure,
    Standing,
    bankruptcy_quote,
    close_amount,
    fillable_price,
    fund_fee,
    liquidation_price,
    standing_of,
)

E9, E18 = 10**9, 10**18
TENTH = E9 // 10


def exposure(amount, price, maintenance=TENTH):
    """A position in units and USDC."""
    return Exposure(amount=round(amount * E9), price=price * E18, maintenance=maintenance)


def standing(rows, cash):
    """Where the account stands with `cash` USDC."""
    return standing_of(rows, cash=cash * E18, one=E9)


LONG, SHORT = exposure(0.1, 50_000), exposure(-0.1, 50_000)
ETH = exposure(0.1, 3_000)


def test_an_account_without_a_requirement_has_no_fillable_price():
    """It is not liquidated."""
    nothing = Standing(net_collateral=0, requirement=0)
    with pytest.raises(ValueError, match="without a requirement"):
        fillable_price(exposure(0, 50_000), nothing, aggressiveness=E9, spread_share=TENTH, one=E9)


BANKRUPTCY = [
    # position  others                    cash   change   quote    dYdX v4-chain, liquidations_test.go
    (LONG, [], -4_501, -0.1, 4_501),
    (SHORT, [], 5_499, 0.1, -5_499),
    (SHORT, [], 5_000, 0.05, -2_500),
    (ETH, [exposure(0.004, 50_000)], -490, -0.1, 294),
]


@pytest.mark.parametrize(("row", "others", "cash", "change", "quote"), BANKRUPTCY)
def test_bankruptcy_quotes(row, others, cash, change, quote):
    """The quote leaves the account's ratio where it is."""
    found = bankruptcy_quote(row, standing([row, *others], cash), change=round(change * E9), one=E9)
    assert found == quote * E18


def test_bankruptcy_quote_without_a_requirement_is_the_oracle():
    """Nothing can be shared out by requirement."""
    assert bankruptcy_quote(LONG, Standing(net_collateral=5, requirement=0), change=-LONG.amount, one=E9) == 5_000 * E18


@pytest.mark.parametrize(("change", "quote"), [(3, -1), (-3, 2)])
def test_a_bankruptcy_quote_is_rounded_against_the_account(change, quote):
    """At a price of a half: it pays 1.5 and is asked for 1 only, but sells for 2, whatever its requirement is."""
    one, price = 10, 5
    held = Exposure(amount=3, price=price, maintenance=0)
    for at in (Standing(net_collateral=0, requirement=0), Standing(net_collateral=0, requirement=7)):
        assert bankruptcy_quote(held, at, change=change, one=one) == quote


def test_who_grows_pays_for_the_requirement_that_comes_with_it():
    """Twice as long with 10 of collateral for a requirement of 50: a fifth of the 50 more is taken of the quote."""
    held = exposure(1, 500)
    found = bankruptcy_quote(held, standing([held], -490), change=held.amount, one=E9)
    assert found == -510 * E18
    half = bankruptcy_quote(held, standing([held], -490), change=held.amount // 2, one=E9)
    assert half == -255 * E18


@given(
    amount=st.integers(1, 10**12),
    price=st.integers(1, 10**15),
    cash=st.integers(-(10**18), 10**18),
    maintenance=st.integers(1, E9),
)
def test_a_close_at_the_bankruptcy_quote_leaves_nothing(amount, price, cash, maintenance):
    """Closing the only position leaves zero, or the unit that the account is asked for too much."""
    row = Exposure(amount=amount, price=price, maintenance=maintenance)
    quote = bankruptcy_quote(row, standing_of([row], cash=cash, one=E9), change=-amount, one=E9)
    assert 0 <= cash + quote <= 1


FILLABLE = [
    # position  others                     cash   BA  share of the spread   price
    (LONG, [], -4_501, 1, TENTH, 49_999),
    (LONG, [], -4_501, 2, TENTH, 49_998),
    (LONG, [], -4_501, 1, 2 * TENTH, 49_998),
    (SHORT, [], 5_499, 2, TENTH, 50_002),
    (ETH, [exposure(0.004, 50_000)], -490, 1, TENTH, 2_976),
    (LONG, [], 0, 1, TENTH, 50_000),
    (LONG, [], -9_000, 1, TENTH, 49_500),
]


@pytest.mark.parametrize(("row", "others", "cash", "aggressiveness", "share", "price"), FILLABLE)
def test_fillable_prices(row, others, cash, aggressiveness, share, price):
    """dYdX's printed prices; healthy accounts stay at the oracle, the hopeless give a tenth of their margin."""
    found = fillable_price(
        row, standing([row, *others], cash), aggressiveness=aggressiveness * E9, spread_share=share, one=E9
    )
    assert found == price * E18


def test_fillable_price_rounds_away_from_the_oracle():
    """A long is sold a unit lower, a short bought a unit higher."""
    deficit = Standing(net_collateral=0, requirement=3)
    rows = [Exposure(amount=amount, price=10, maintenance=1) for amount in (1, -1)]
    assert [fillable_price(row, deficit, aggressiveness=1, spread_share=1, one=E9) for row in rows] == [9, 11]


@pytest.mark.parametrize("requirement", [0, -1])
def test_the_least_requirement_has_a_fillable_price(requirement):
    """A unit is one; nothing, or less, is none."""
    row = Exposure(amount=1, price=10, maintenance=1)
    given_terms = {"aggressiveness": 1, "spread_share": 1, "one": E9}
    with pytest.raises(ValueError, match="without a requirement"):
        fillable_price(row, Standing(net_collateral=-5, requirement=requirement), **given_terms)
    assert fillable_price(row, Standing(net_collateral=1, requirement=1), **given_terms) == 10


CLOSE = [
    # fees of liquidation and fund   amount in 1e-9      Drift's tests: 1.0 and 1.25
    (0, 0, 1_000_000_000),
    (E9 // 100, E9 // 100, 1_250_000_000),
    (E9 // 20, E9 // 20, None),
    (E9 // 5, 0, None),
]


@pytest.mark.parametrize(("liquidation_fee", "fee", "expected"), CLOSE)
def test_close_amount(liquidation_fee, fee, expected):
    """Shortage 10 at price 100 and 10 %; nothing helps once fees eat what is freed."""
    found = close_amount(
        shortage=10 * E18, price=100 * E18, maintenance=TENTH, liquidation_fee=liquidation_fee, fund_fee=fee,
        quote_price=E9, one=E9, lot=1,
    )  # fmt: skip
    assert found == expected


def test_close_amount_is_whole_lots_rounded_up():
    """One lot less would not do."""

    def close(lot):
        return close_amount(
            shortage=10 * E18, price=100 * E18, maintenance=TENTH, liquidation_fee=0, fund_fee=0, quote_price=E9,
            one=E9, lot=lot,
        )  # fmt: skip

    assert [close(lot) for lot in (E9, 300_000_000, 999_999_999)] == [E9, 1_200_000_000, 1_999_999_998]


def test_the_least_that_is_freed_restores():
    """At a price of a unit a hundred million million units; at none nothing would."""
    terms = {
        "shortage": 1,
        "maintenance": 1,
        "liquidation_fee": 0,
        "fund_fee": 0,
        "quote_price": 1,
        "one": 10,
        "lot": 1,
    }
    assert [close_amount(price=price, **terms) for price in (0, 1)] == [None, 1_000]


FEES = [
    # quote  bankruptcy  fee      position 0.1 at 50,000, dYdX: most 0.5 %
    (5_049, 5_100, -51),
    (5_105, 5_100, 5),
    (5_610, 5_100, 28),
    (-4_410, -4_900, 22),
    (5_101, 5_100, 1),
    (2, 1, 0),
    (5_100, 5_100, 0),
]


@pytest.mark.parametrize(("quote", "bankruptcy", "fee"), FEES)
def test_fund_fee(quote, bankruptcy, fee):
    """Everything above bankruptcy up to the most, rounded down; a loss is the fund's."""
    assert fund_fee(quote=quote, bankruptcy=bankruptcy, highest=5_000_000, one=E9) == fee


LIQUIDATION = [
    # collateral  amount  others   price in cents      dYdX documentation: 3,174.60 and 3,380.95
    (1_000, -3, 0, 317_460),
    (1_000, -1.5, 175, 338_095),
    (1_000, 3, 0, 280_701),
    (9_000, 3, 0, None),
    (100, 0, 0, None),
]


@pytest.mark.parametrize(("collateral", "amount", "others", "cents"), LIQUIDATION)
def test_liquidation_price(collateral, amount, others, cents):
    """At 3,000 and 5 %; a fully paid long has none, nor has no position."""
    found = liquidation_price(
        net_collateral=collateral * E18, amount=round(amount * E9), price=3_000 * E18, maintenance=E9 // 20,
        other_requirement=others * E18, one=E9,
    )  # fmt: skip
    assert found is None if cents is None else found * 100 // E18 == cents


TO_THE_UNIT = [
    # collateral, amount, maintenance, price, expected; amounts and fractions in tenths
    (7, 30, 5, 5, 6),  # 8 / 1.5
    (7, -30, 5, 5, 4),  # 22 / 4.5
    (14, 30, 5, 5, 1),  # 1 / 1.5, rounded toward the present price
    (15, 30, 5, 5, None),  # at 0 and below nothing is endangered
    (0, -30, 5, 1, None),  # 3 / 4.5 is no whole price
    (20, 30, 15, 5, 4),  # a requirement above the worth: a long is endangered as prices rise
    (1, 1, 11, 5, 50),  # as flat as that can be
    (7, 30, 10, 5, None),  # a requirement of the whole worth: no price matters
]


@pytest.mark.parametrize(("collateral", "amount", "maintenance", "price", "expected"), TO_THE_UNIT)
def test_liquidation_price_to_the_unit(collateral, amount, maintenance, price, expected):
    """Over tenths, by hand."""
    found = liquidation_price(net_collateral=collateral, amount=amount, price=price, maintenance=maintenance, one=10)
    assert found == expected


@given(
    amount=st.integers(-(10**12), 10**12),
    collateral=st.integers(1, 10**20),
    maintenance=st.integers(1, E9 // 2),
)
def test_at_the_liquidation_price_the_requirement_is_met_and_a_unit_further_it_is_not(amount, collateral, maintenance):
    """Rounded toward the present price, so that the display never promises too much."""
    assume(amount)
    price = 3_000 * E9
    found = liquidation_price(net_collateral=collateral, amount=amount, price=price, maintenance=maintenance, one=E9)
    if found is None:
        return

    def excess(at):
        return collateral * E9 * E9 + amount * (at - price) * E9 - abs(amount) * at * maintenance

    step = -1 if amount > 0 else 1
    assert excess(found) >= 0 > excess(found + step)
