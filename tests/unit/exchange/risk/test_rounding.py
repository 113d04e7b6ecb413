"""Who keeps the odd unit: requirements go up, credits and values down, in both margins, in auctions and the fund."""

import pytest

from exchange.risk.auction import AuctionParameters, auction_share
from exchange.risk.insurance import Candidate, FundLimits, FundState, deleveraging_weight, fund_pays
from exchange.risk.parameters import StandardParameters, Tier
from exchange.risk.portfolio import (
    Collateral,
    ExpiryValues,
    Perpetual,
    PortfolioAccount,
    PortfolioMargin,
    naked_shorts,
    portfolio_margin,
)
from exchange.risk.portfolio_parameters import PortfolioParameters, Scenario, VolatilityMove
from exchange.risk.standard import (
    ExpiryGroup,
    Margin,
    Market,
    OptionRow,
    PerpetualRow,
    Portfolio,
    confidence_add_on,
    expiry_margin,
    margin,
    withdrawable,
)

OURS = StandardParameters()
E9, E18 = 10**9, 10**18
FREE = (Tier(upper_e6=0, initial_ppm=0, maintenance_ppm=0),)
ONE = 1_000


def test_an_unpaired_call_is_charged_to_the_last_unit() -> None:
    """A billionth of a call at a forward of a billionth: 1.2 and 1.1 units of loss are two, and better than alone."""
    group = ExpiryGroup(forward_e9=1, options=(OptionRow(50, True, -1, 0),))
    assert expiry_margin(100, group, OURS) == Margin(-2, -2, 0)


def test_long_options_need_nothing_and_give_nothing() -> None:
    """To the unit: their value is equity alone, for initial and for maintenance."""
    group = ExpiryGroup(forward_e9=100, options=(OptionRow(50, True, 3, 7), OptionRow(50, False, 0, 9)))
    assert expiry_margin(100, group, OURS) == Margin(0, 0, 21)


# (what, index = forward, (strike, is_call, amount, mark) of each leg, initial, maintenance)
TO_THE_UNIT = [
    ("a call", 1_010, ((1_000, True, -1, 0),), -152, -81),  # 151.5 and 80.8
    ("a put at the money", 1_010, ((1_010, False, -1, 0),), -152, -81),
    ("the maximum loss of a put down to a price of 0", 1_000, ((10, False, -1, 0),), -10, -10),
    ("a put above its underlying: 720.08 of its mark", 1_000, ((20_000, False, -1, 9_001),), -10_209, -9_722),
    ("105 % of the maintenance of a cheap put", 1, ((100, False, -1, 0),), -2, -1),
    ("calls never sold pay for nothing", 100, ((100, False, -1, 0), (95, False, 1, 0), (200, True, 5, 0)), -5, -5),
    ("a profit at every price lends nothing", 100, ((60, False, 1, 0), (50, True, 1, 0), (60, True, -1, 0)), 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("_", "index", "legs", "initial", "maintenance"), TO_THE_UNIT, ids=[row[0] for row in TO_THE_UNIT]
)
def test_margin_of_an_expiry_to_the_unit(
    _: str, index: int, legs: tuple[tuple[int, bool, int, int], ...], initial: int, maintenance: int
) -> None:
    """The better of the legs alone and the maximum loss, every fraction against the account."""
    group = ExpiryGroup(forward_e9=index, options=tuple(OptionRow(*leg) for leg in legs))
    value = sum(amount * mark for _, _, amount, mark in legs)
    assert expiry_margin(index, group, OURS) == Margin(initial, maintenance, value)


@pytest.mark.parametrize(
    ("confidence_e9", "exposed", "expected"),
    [
        (0, 0, 0),
        (550_000_000, 100, 0),  # at the threshold it is believed
        (550_000_001, 100, 0),
        (800_000_000, 100, 0),
        (549_999_999, 100, 46),  # 45.0000001
        (500_000_000, 3, 2),  # 1.5
        (0, 7, 7),
    ],
)
def test_addition_for_a_price_that_few_confirm(confidence_e9: int, exposed: int, expected: int) -> None:
    """What is missing of full confidence, of what is exposed, rounded up; nothing from the threshold on."""
    assert confidence_add_on(confidence_e9, exposed, OURS) == expected


def test_only_short_options_are_exposed_to_the_dollar_and_to_the_index() -> None:
    """Ten short calls: 1 % x 2 of their index for a dollar at 0.98, all of it without confidence; long ones nothing."""
    shorts, longs = OptionRow(50, True, -10, 3), OptionRow(5_000, True, 5, 1)
    plain, low, cheap, alone = (
        margin(Portfolio(cash_e6=0, markets=(Market(index_e9=100, expiries=(group,)),), stable_ppm=stable_ppm), OURS)
        for group, stable_ppm in (
            (ExpiryGroup(forward_e9=100, options=(shorts, longs)), 1_000_000),
            (ExpiryGroup(forward_e9=100, options=(shorts, longs), confidence_e9=0), 1_000_000),
            (ExpiryGroup(forward_e9=100, options=(shorts, longs)), 980_000),
            (ExpiryGroup(forward_e9=100, options=(longs,), confidence_e9=0), 980_000),
        )
    )
    assert plain == Margin(-180, -110, -25)
    assert low == Margin(-180 - 1_000, -110, -25)
    assert cheap == Margin(-180 - 20, -110, -25)
    assert alone == Margin(0, 0, 5)


def test_the_underlying_itself_lends_only_what_it_is_told_to() -> None:
    """Without a factor nothing; with one, initially less what its index lacks of confidence."""
    held = {"index_e9": 4, "base_amount_e9": E9}
    rows = (Market(**held), Market(**held, base_factor_ppm=750_000, confidence_e9=E9 // 2))  # type: ignore[arg-type]
    found = [margin(Portfolio(cash_e6=0, markets=(row,)), OURS) for row in rows]
    assert found == [Margin(0, 0, 4 * E9), Margin(E9, 3 * E9, 4 * E9)]


def test_a_unit_of_perpetuals_holds_back_a_unit_of_cash() -> None:
    """A tenth of the notional stays, rounded up."""
    given = {"cash_e6": 10, "equity_e6": 10, "initial_requirement_e6": 0}
    assert [withdrawable(perpetual_notional_e6=notional, **given) for notional in (0, 1, 10, 11)] == [10, 9, 9, 8]


@pytest.mark.parametrize(
    ("market", "stable_ppm", "expected"),
    [
        # Base collateral worth 4: three quarters is 3, 93 % of that 2.79, at 0.99 the dollar 4.04.
        (
            Market(index_e9=4, base_amount_e9=1, base_factor_ppm=750_000, base_initial_scale_ppm=930_000),
            990_000,
            Margin(2, 3, 4),
        ),
        (Market(index_e9=1, base_amount_e9=1, base_factor_ppm=750_000), 1_000_000, Margin(0, 0, 1)),
        # A dollar at 0.98: a cent below the threshold, twice, of all that is exposed; initial margin alone.
        (
            Market(index_e9=E9, perpetuals=(PerpetualRow(amount_e9=-3 * E9, mark_e9=0, tiers=FREE),)),
            980_000,
            Margin(-60_000_000 * E9, 0, 0),
        ),
        (
            Market(index_e9=1, perpetuals=(PerpetualRow(amount_e9=1, mark_e9=0, tiers=FREE),)),
            980_000,
            Margin(-1, 0, 0),
        ),
        # Confidence 0.5 of the market or of the perpetual: half of the exposure.
        (
            Market(index_e9=2, perpetuals=(PerpetualRow(amount_e9=4, mark_e9=0, tiers=FREE, confidence_e9=E9 // 2),)),
            1_000_000,
            Margin(-4, 0, 0),
        ),
        (
            Market(index_e9=2, perpetuals=(PerpetualRow(amount_e9=4, mark_e9=0, tiers=FREE),), confidence_e9=E9 // 2),
            1_000_000,
            Margin(-4, 0, 0),
        ),
    ],
)
def test_standard_margin_of_a_market_to_the_unit(market: Market, stable_ppm: int, expected: Margin) -> None:
    """Credits and values down, additions up; what is added for initial margin leaves maintenance alone."""
    assert margin(Portfolio(cash_e6=0, markets=(market,), stable_ppm=stable_ppm), OURS) == expected


def test_a_short_option_without_confidence_keeps_its_maintenance() -> None:
    """The addition is of initial margin: maintenance is what it is with full confidence, to the unit."""
    rows = (OptionRow(50, True, -10, 3),)
    results = [
        margin(Portfolio(cash_e6=0, markets=(Market(index_e9=100, expiries=(group,)),)), OURS)
        for group in (
            ExpiryGroup(forward_e9=100, options=rows),
            ExpiryGroup(forward_e9=100, options=rows, confidence_e9=0),
        )
    ]
    assert results[1] == Margin(results[0].initial_e18 - 1_000, results[0].maintenance_e18, -30)


def portfolio(**fields: object) -> PortfolioMargin:
    """Margins over thousandths, one still scenario; contingencies are a thousandth unless said otherwise."""
    names = ("maintenance_factor", "initial_factor", "perpetual_maintenance", "perpetual_initial")
    values = dict.fromkeys((*names, "option_maintenance", "option_initial"), 1)
    values |= {"confidence_threshold": 550, "confidence_factor": ONE, "peg_threshold": 990, "peg_factor": 1}
    still = (Scenario(spot=ONE, move=VolatilityMove.NONE, dampening=ONE),)
    account = PortfolioAccount(**{"cash": 0, "index": 1} | fields)
    return portfolio_margin(account, PortfolioParameters(one=ONE, scenarios=still, **values))


def expiry(**fields: int) -> ExpiryValues:
    """An expiry worth nothing in any scenario."""
    values = {"mark": 0, "forward_up": 0, "forward_down": 0, "long_discount": ONE, "short_discount": ONE}
    return ExpiryValues(values=(fields.pop("value", 0),), **{**values, "basis_factor": 0} | fields)


@pytest.mark.parametrize(
    ("fields", "initial", "maintenance"),
    [
        ({"perpetual": Perpetual(amount=1, mark=0)}, -2, -1),
        ({"expiries": (expiry(naked_shorts=1),)}, -2, -1),
        ({"open_sells": 1}, -1, 0),
        ({"collateral": (Collateral(value=1, maintenance_haircut=1, initial_haircut=1),)}, -1, 0),
        ({"expiries": (expiry(gross=1, confidence=0),)}, -1, 0),
        # A loss of one, times a thousandth, is one; the addition for the dollar is rounded up to a thousandth itself.
        ({"expiries": (expiry(value=-1),)}, -1, -1),
        ({"expiries": (expiry(value=-1_000),), "stable": 989}, -2, -1),
        # Nothing is a long value: it takes the discount of longs, which changes nothing.
        ({"expiries": (expiry(value=0, short_discount=0),)}, 0, 0),
    ],
)
def test_portfolio_margin_to_the_unit(fields: dict[str, object], initial: int, maintenance: int) -> None:
    """Every part is rounded against the account where it is taken."""
    found = portfolio(**fields)
    assert (found.initial, found.maintenance) == (initial, maintenance)


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        (((50, True, -1),), 1),
        (((50, False, -1),), 1),
        (((50, True, -1), (50, False, -1)), 2),
        (((50, True, -3), (50, False, 1)), 2),
        (((50, True, 1), (50, False, -1)), 0),
        (((50, True, 1), (60, False, -1)), 1),
        (((50, True, 5), (50, False, 5)), 0),
    ],
)
def test_a_long_option_nets_a_short_one_of_its_strike(legs: tuple[tuple[int, bool, int], ...], expected: int) -> None:
    """As far as it reaches; other strikes net nothing, and what is long alone is no short."""
    assert naked_shorts(legs) == expected


def share(**fields: int) -> int:
    """Largest share of a portfolio worth 4 that lacks 10, at half price, over one tenth."""
    rules = AuctionParameters(
        one=10, start=9, knee=5, buffer=1, fast_s=10, slow_s=10, insolvent_s=10, everything_below=3
    )
    return auction_share(**{"value": 4, "buffered": -10, "reserved": 0, "discount": 5} | fields, parameters=rules)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 8),  # 100 / 120 is 0.83
        ({"buffered": 0, "value": 2}, 0),  # restored: nothing is for sale, however small the account
        ({"buffered": -1, "value": 2}, 10),  # below the cutoff all of it goes
        ({"buffered": -1, "value": 3}, 4),  # at the cutoff a share does: 10 / 25
        ({"buffered": -1, "value": -2}, 10),  # what a bidder pays helps nothing: all of it
    ],
)
def test_the_smallest_share_that_restores_is_sold(fields: dict[str, int], expected: int) -> None:
    """Rounded down; everything where no share would restore."""
    assert share(**fields) == expected


@pytest.mark.parametrize(
    ("lots", "profit", "equity", "expected"),
    [
        (2, 1, 3, 666_666_666_666_666_666),
        (1, 1, 2 * E18, 1),  # too little to be counted is counted once
        (5, 0, 3, 0),
        (5, 1, 0, 0),
        (5, 1, 1, 5 * E18),
        (5, -1, 3, 0),
    ],
)
def test_weight_of_a_position(lots: int, profit: int, equity: int, expected: int) -> None:
    """Position x profit / equity rounded down; without profit or equity nothing is given."""
    assert deleveraging_weight(Candidate(account=1, lots=lots, profit=profit, equity=equity)) == expected


def test_a_days_share_of_the_fund_is_rounded_down() -> None:
    """Two fifths of 99 are 39, of which 30 are gone."""
    limits = FundLimits(one=10, per_event=10, per_day=4)
    assert fund_pays(50, FundState(cash=99, day_start_cash=99, taken_today=30), limits) == 9
