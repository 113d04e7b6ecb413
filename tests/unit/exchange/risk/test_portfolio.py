"""Portfolio Margin: our parameter table, every term by hand, and what thin vectors cannot hold (risk.md 15.6)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.pricing.portfolios import ExpiryTerms, OptionLeg, value_expiry
from exchange.pricing.scenarios import ForwardParts, plan_columns
from exchange.risk.portfolio import (
    Collateral,
    ExpiryValues,
    OpenOrder,
    Perpetual,
    PortfolioAccount,
    expiry_values,
    naked_shorts,
    open_losses,
    portfolio_margin,
    worst_loss,
)
from exchange.risk.portfolio_parameters import PortfolioParameters, Scenario, VolatilityMove

E9, E18 = 10**9, 10**18
OURS = PortfolioParameters()
SPOT = 60_000
MONTH = 30 / 365
FLAT = Scenario(spot=E9, move=VolatilityMove.NONE)
UP = Scenario(spot=1_100_000_000, move=VolatilityMove.UP)
SKEW = Scenario(spot=E9, move=VolatilityMove.LINEAR)


def e9(value):
    """Nearest integer in 1e-9."""
    return round(value * E9)


def expiry_of(legs, *, years=MONTH, rate=0.0, forward=None, volatility=0.55):
    """Legs (strike, is_call, amount) through the grid, as the engine gets them."""
    rows = [
        OptionLeg(is_call=call, strike=float(strike), volatility=volatility, amount=e9(amount))
        for strike, call, amount in legs
    ]
    terms = ExpiryTerms(forward=forward or ForwardParts.free(SPOT), years=years, rate=rate)
    return value_expiry(rows, terms, plan=plan_columns(OURS))


def account_of(legs=(), *, perpetual=0.0, **changes):
    """A subaccount without cash."""
    row = perpetual
    if isinstance(perpetual, float | int):
        row = Perpetual(amount=e9(perpetual), mark=SPOT * E18) if perpetual else None
    expiries = (expiry_of(legs),) if legs else ()
    fields = {"cash": 0, "index": SPOT * E18, "expiries": expiries, "perpetual": row}
    return PortfolioAccount(**fields | changes)


CALL, PUT = True, False
OUR_TABLE = [
    # portfolio                    perpetual  legs                                                     IM      MM
    ("long 1 perpetual", 1, [], 13_200, 10_440),
    ("short 70k call", 0, [(70_000, CALL, -1)], 9_201, 7_478),
    ("short 50k put", 0, [(50_000, PUT, -1)], 6_934, 5_593),
    ("short 60k straddle", 0, [(60_000, CALL, -1), (60_000, PUT, -1)], 16_248, 14_386),
    ("short 50/70k strangle", 0, [(50_000, PUT, -1), (70_000, CALL, -1)], 10_015, 8_175),
    ("call spread", 0, [(60_000, CALL, -1), (70_000, CALL, 1)], 6_657, 5_843),
    (
        "iron condor",
        0,
        [(45_000, PUT, 1), (50_000, PUT, -1), (70_000, CALL, -1), (75_000, CALL, 1)],
        3_236,
        2_655,
    ),
    ("long straddle", 0, [(60_000, CALL, 1), (60_000, PUT, 1)], -4_984, -5_496),
    ("short call and 0.3 perpetual", 0.3, [(70_000, CALL, -1)], 7_426, 6_022),
    ("ten short 100k calls", 0, [(100_000, CALL, -10)], 75_091, 59_477),
]


@pytest.mark.parametrize(
    ("perpetual", "legs", "initial", "maintenance"), [row[1:] for row in OUR_TABLE], ids=[row[0] for row in OUR_TABLE]
)
def test_our_parameters(perpetual, legs, initial, maintenance):
    """Cash that a fresh account must hold with our parameters (risk.md 6); to one USDC."""
    result = portfolio_margin(account_of(legs, perpetual=perpetual), OURS)
    assert abs(-result.initial / E18 - initial) <= 1
    assert abs(-result.maintenance / E18 - maintenance) <= 1


def test_scenarios_that_are_missing_are_refused():
    """One value too few would leave out a shock in silence."""
    full = expiry_of([(60_000, CALL, -1)])
    short = msgspec.structs.replace(full, values=full.values[1:])
    with pytest.raises(ValueError, match="32 values for 33 scenarios"):
        portfolio_margin(account_of(expiries=(short,)), OURS)
    with pytest.raises(ValueError, match="zip"):
        portfolio_margin(account_of(open_values=(0,) * 32), OURS)


def test_an_expiry_without_legs_is_worth_nothing():
    """In every column, with the discounts of its time."""
    empty = expiry_of([])
    assert set(empty.values) == {0}
    assert (empty.mark, empty.naked_shorts, empty.gross) == (0, 0, 0)


def test_a_parameter_set_needs_scenarios_and_a_unit():
    """Without scenarios nothing could be lost."""
    for changes in ({"scenarios": ()}, {"one": 0}):
        with pytest.raises(ValueError, match="needs scenarios"):
            PortfolioParameters(**changes)


def test_as_many_rows_as_amounts():
    """A leg without a row is a position without a price."""
    with pytest.raises(ValueError, match="as many"):
        expiry_values([1, 2], [[3]])
    assert expiry_values([2, -3], [[5, 7], [11, 13]]) == (-23, -25)


NAKED = [
    # legs (strike, is_call, amount)                    naked
    ([], 0),
    ([(100, CALL, 5)], 0),
    ([(100, CALL, -5)], 5),
    ([(100, CALL, -5), (100, PUT, -2)], 7),
    ([(100, CALL, -5), (100, PUT, 2)], 3),
    ([(100, CALL, -5), (100, PUT, 9)], 0),
    ([(100, CALL, -5), (110, PUT, 9)], 5),
    ([(100, PUT, -5), (100, CALL, 5), (110, CALL, -1)], 1),
    ([(100, CALL, -5), (100, CALL, 2)], 3),
]


@pytest.mark.parametrize(("legs", "expected"), NAKED)
def test_naked_shorts_net_within_a_strike(legs, expected):
    """A call and a put of one strike net when their signs differ, never across strikes."""
    assert naked_shorts(legs) == expected


def plain(scenarios, **changes):
    """Parameters without contingencies."""
    nothing = dict.fromkeys(("perpetual_maintenance", "perpetual_initial", "option_maintenance", "option_initial"), 0)
    return PortfolioParameters(**{"scenarios": tuple(scenarios), **nothing, **changes})


def values_of(values, *, mark=0, up=0, down=0, long=E9, short=E9, basis=0, **more):
    """An expiry by its numbers."""
    return ExpiryValues(
        values=tuple(values),
        mark=mark,
        forward_up=up,
        forward_down=down,
        long_discount=long,
        short_discount=short,
        basis_factor=basis,
        **more,
    )


def test_values_are_discounted_by_their_sign():
    """A long keeps half of 100 in the shock, a debt of 100 grows by half; marks are not discounted."""
    parameters = plain([FLAT])
    gain = values_of([100], mark=90, long=E9 // 2, short=3 * E9 // 2)
    debt = values_of([-100], mark=-90, long=E9 // 2, short=3 * E9 // 2)
    assert worst_loss(account_of(expiries=(gain,)), parameters) == 50 - 90
    assert worst_loss(account_of(expiries=(debt,)), parameters) == -150 + 90


def test_expiries_are_discounted_apart():
    """Two opposite expiries do not net before their discounts."""
    rows = (values_of([100], long=E9 // 2), values_of([-100], short=2 * E9))
    assert worst_loss(account_of(expiries=rows), plain([FLAT])) == 50 - 200


def test_a_gain_in_a_skew_scenario_counts_as_a_loss():
    """Per expiry, because the smile may bend the other way."""
    rows = (values_of([100], mark=90), values_of([50], mark=70))
    assert worst_loss(account_of(expiries=rows), plain([SKEW])) == -10 - 20


def test_tails_are_dampened_and_move_everything():
    """Options, perpetual and collateral of the underlying: a tenth up, a quarter of it counts."""
    tail = Scenario(spot=1_100_000_000, move=VolatilityMove.UP, dampening=E9 // 4)
    account = account_of(
        expiries=(values_of([-1_000 * E18], mark=0),),
        perpetual=-0.5,
        collateral=(
            Collateral(value=2_000 * E18, maintenance_haircut=0, initial_haircut=0, is_risk_canceling=True),
            Collateral(value=9_000 * E18, maintenance_haircut=0, initial_haircut=0),
        ),
    )
    assert worst_loss(account, plain([tail])) == (-1_000 - 3_000 + 200) * E18 // 4


def test_basis_is_the_worst_forward_of_each_expiry():
    """Each by itself, undiscounted, times its factor; what gains adds nothing."""
    rows = (
        values_of([0], mark=100, up=40, down=70, basis=E9 // 2),
        values_of([0], mark=100, up=140, down=120, basis=E9 // 2),
    )
    result = portfolio_margin(account_of(expiries=rows), plain([UP]))
    assert (result.basis, result.worst) == (-30, -200)


@given(legs=st.lists(st.tuples(st.sampled_from((40_000, 60_000, 80_000)), st.booleans(), st.floats(-5, 5)), max_size=4))
def test_basis_and_worst_are_never_positive(legs):
    """And without options there is no basis."""
    result = portfolio_margin(account_of(legs), OURS)
    assert result.worst <= result.basis <= 0 or result.basis < result.worst <= 0
    assert portfolio_margin(account_of(perpetual=3.0), OURS).basis == 0


def test_a_depeg_raises_the_initial_loss_factor_only():
    """0.94 is 0.05 below: the factor grows by 0.2."""
    account = account_of(perpetual=1.0)
    before, after = (
        portfolio_margin(msgspec.structs.replace(account, stable=stable), OURS) for stable in (None, 940_000_000)
    )
    assert after.maintenance == before.maintenance
    assert before.initial - after.initial == 10_800 * E18 // 5


CONFIDENCE = [
    # what is low                                                         addition of 1e9 at confidence 0.5
    ({"index_confidence": E9 // 2}, 30_000 + 2 * 30_000 + 500),
    ({"perpetual": Perpetual(amount=E9, mark=SPOT * E18, confidence=E9 // 2)}, 30_000 + 2 * 30_000),
    ({"expiries": (values_of([0] * 33, gross=2 * E9, confidence=E9 // 2),)}, 2 * 30_000),
    (
        {"collateral": (Collateral(value=1_000 * E18, maintenance_haircut=0, initial_haircut=0, confidence=E9 // 2),)},
        500,
    ),
    ({"index_confidence": 550_000_000}, 0),
]


@pytest.mark.parametrize(("changes", "expected"), CONFIDENCE)
def test_low_confidence_raises_initial_margin_only(changes, expected):
    """One perpetual, two options, 1,000 of collateral; the lowest feed counts, the threshold itself is enough."""
    fields = {
        "perpetual": Perpetual(amount=E9, mark=SPOT * E18),
        "expiries": (values_of([0] * 33, gross=2 * E9),),
        "collateral": (Collateral(value=1_000 * E18, maintenance_haircut=0, initial_haircut=0),),
    }
    sure = portfolio_margin(account_of(**fields), OURS)
    unsure = portfolio_margin(account_of(**fields | changes), OURS)
    assert unsure.maintenance == sure.maintenance
    assert sure.initial - unsure.initial == expected * E18


def test_collateral_counts_with_its_haircuts():
    """10 % for maintenance, 5 % more for initial margin; all of it in equity."""
    row = Collateral(value=1_000 * E18, maintenance_haircut=E9 // 10, initial_haircut=E9 // 20)
    result = portfolio_margin(account_of(collateral=(row,), cash=7 * E18), OURS)
    assert (result.equity, result.collateral_value) == (1_007 * E18, 1_000 * E18)
    assert (result.maintenance, result.initial) == (907 * E18, 857 * E18)


def test_open_orders_count_in_their_own_worst_scenario():
    """They lower the initial margin only, and offered options are naked until something nets them."""
    losses = tuple(-100 * E18 if row.spot == 820_000_000 else 0 for row in OURS.scenarios)
    without = account_of(perpetual=1.0)
    ordered = msgspec.structs.replace(without, open_values=losses, open_sells=2 * E9)
    before, after = portfolio_margin(without, OURS), portfolio_margin(ordered, OURS)
    assert after.maintenance == before.maintenance
    assert before.initial - after.initial == 100 * E18 + 2 * 60_000 * E18 // 200
    harmless = tuple(-100 * E18 if row.spot == E9 else 0 for row in OURS.scenarios)
    assert portfolio_margin(msgspec.structs.replace(without, open_values=harmless), OURS).initial == before.initial


def test_an_order_of_another_grid_is_refused():
    """Its losses would be those of other scenarios."""
    with pytest.raises(ValueError, match="1 values for 33"):
        open_losses([OpenOrder(is_buy=True, amount=1, limit=1, fee=0, values=(1,))], OURS)


def test_orders_lose_where_they_are_dear():
    """A bid of 10 for what is worth 12 or 7, an offer of 11, fee 1: each scenario takes those that lose there."""
    parameters = plain([FLAT, UP])
    bid = OpenOrder(is_buy=True, amount=2, limit=10, fee=1, values=(12, 7))
    offer = OpenOrder(is_buy=False, amount=3, limit=11, fee=1, values=(12, 7))
    assert open_losses([], parameters) == (0, 0)
    assert open_losses([bid], parameters) == (0, -8)
    assert open_losses([offer], parameters) == (-6, 0)
    assert open_losses([bid, offer], parameters) == (-6, -8)


@given(
    orders=st.lists(
        st.tuples(
            st.booleans(),
            st.integers(1, 9),
            st.integers(0, 20),
            st.integers(0, 2),
            st.integers(0, 20),
            st.integers(0, 20),
        ),
        max_size=5,
    ),
    held=st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
)
def test_no_subset_of_fills_is_worse_than_the_charge(orders, held):
    """Without discounts the charge is exactly the worst of all subsets, premiums and fees paid in cash."""
    parameters = plain([FLAT, UP])
    rows = [
        OpenOrder(is_buy=buy, amount=amount, limit=limit, fee=fee, values=(flat, up))
        for buy, amount, limit, fee, flat, up in orders
    ]

    def initial(taken):
        signs = [row.amount if row.is_buy else -row.amount for row in taken]
        values = [
            total + sum(sign * row.values[at] for sign, row in zip(signs, taken, strict=True))
            for at, total in enumerate(held)
        ]
        paid = sum(sign * row.limit + row.amount * row.fee for sign, row in zip(signs, taken, strict=True))
        return min(values) - paid

    subsets = [[row for at, row in enumerate(rows) if mask >> at & 1] for mask in range(2 ** len(rows))]
    account = account_of(expiries=(values_of(held, mark=10**6, basis=0),), open_values=open_losses(rows, parameters))
    charged = portfolio_margin(account, parameters).initial
    assert charged == min(initial(taken) for taken in subsets)


@pytest.mark.parametrize("amount", [-1, 1])
def test_rounding_is_against_the_account(amount):
    """The smallest position of all loses at least one unit where anything is lost."""
    row = Perpetual(amount=amount, mark=1)
    result = portfolio_margin(PortfolioAccount(cash=0, index=1, perpetual=row), OURS)
    assert result.worst == -1
    assert result.maintenance == -2
    assert result.initial == -3


@pytest.mark.parametrize("legs", [row[2] for row in OUR_TABLE if row[2]], ids=[row[0] for row in OUR_TABLE if row[2]])
def test_margin_does_not_jump_at_thirty_days(legs):
    """Nor does it half an hour before expiry, where the forward begins to be averaged."""
    results = [
        portfolio_margin(account_of(expiries=(expiry_of(legs, years=MONTH * (1 + side)),)), OURS)
        for side in (-1e-9, 1e-9)
    ]
    assert abs(results[0].initial - results[1].initial) < E18 // 100
    window = 1_800 / 31_536_000
    inside = ForwardParts.inside_window(
        average_so_far=SPOT * 1.1, forward_now=SPOT, seconds_left=1_799.999, window_s=1_800.0
    )
    both = [
        portfolio_margin(account_of(expiries=(expiry_of(legs, years=window, forward=forward),)), OURS)
        for forward in (None, inside)
    ]
    assert abs(both[0].initial - both[1].initial) < E18
