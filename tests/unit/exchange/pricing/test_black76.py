"""Black-76 at its edges, against textbooks and against itself; the published vectors are in tests/conformance."""

import math

import pytest

from exchange.domain.commands import MarkRow
from exchange.pricing.black76 import Greeks, Option, greeks, implied_volatility, price, quantise


@pytest.mark.parametrize(
    ("forward", "value", "lowest"),
    [
        (100.0, 0.0, 0.0),
        (100.0, -1.0, 0.0),
        (120.0, 20.0, 0.0),
        (120.0, 19.0, 0.0),
        (100.0, 100.0, 0.0),
        (80.0, 0.4, 0.5),
    ],
)
def test_prices_without_a_volatility_give_none(forward, value, lowest):
    """At or below intrinsic, at the forward, or a time value below half a tick."""
    option = Option(is_call=True, forward=forward, strike=100.0, years=0.5)
    assert implied_volatility(option, value, lowest_value=lowest) is None


def test_expired_options_have_no_volatility():
    """Without time there is only intrinsic value."""
    assert implied_volatility(Option(is_call=True, forward=120.0, strike=100.0, years=0.0), 21.0) is None


def test_textbook_example_of_hull():
    """Hull, Options, Futures and Other Derivatives: put on a future, F = K = 20, 9 %, 25 %, four months: 1.12."""
    option = Option(is_call=False, forward=20.0, strike=20.0, years=4 / 12, discount=math.exp(-0.09 * 4 / 12))
    assert round(price(option, 0.25), 2) == 1.12


@pytest.mark.parametrize(
    ("is_call", "strike", "volatility", "years", "expected"),
    [
        (True, 90.0, 0.0, 1.0, 10.0),
        (False, 90.0, 0.0, 1.0, 0.0),
        (False, 110.0, 0.5, 0.0, 10.0),
        (True, 0.0, 0.5, 1.0, 100.0),
        (True, 90.0, 30.0, 1.0, 100.0),
        (False, 90.0, 30.0, 1.0, 90.0),
    ],
)
def test_price_at_the_edges(is_call, strike, volatility, years, expected):
    """No volatility, no time, no strike, more volatility than matters."""
    option = Option(is_call=is_call, forward=100.0, strike=strike, years=years)
    assert price(option, volatility) == expected


@pytest.mark.parametrize("deviations", [-3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("volatility", [0.05, 0.5, 1.5])
def test_round_trip_of_the_volatility(deviations, volatility):
    """Pricing and inverting gives the volatility back within three standard deviations."""
    strike = 84000.0 * math.exp(deviations * volatility * 0.5)
    option = Option(is_call=deviations > 0, forward=84000.0, strike=strike, years=0.25)
    assert implied_volatility(option, price(option, volatility)) == pytest.approx(volatility, rel=1e-12, abs=0)


@pytest.mark.parametrize("years", [1e-9, 1e-6, 1e-3, 0.1, 1.0])
@pytest.mark.parametrize("volatility", [0.01, 0.5, 5.0])
def test_round_trip_at_the_money(years, volatility):
    """Also seconds before expiry, where the two halves of the formula would cancel."""
    option = Option(is_call=True, forward=84000.0, strike=84000.0, years=years)
    assert implied_volatility(option, price(option, volatility)) == pytest.approx(volatility, rel=1e-12, abs=0)


@pytest.mark.parametrize("is_call", [True, False])
def test_greeks_are_the_slopes_of_the_price(is_call):
    """Finite differences of our own price, which has vectors of its own."""
    option = Option(is_call=is_call, forward=84000.0, strike=90000.0, years=0.2)
    values = greeks(option, 0.55)

    def bumped(*, forward=0.0, years=0.0, volatility=0.0):
        moved = Option(is_call=is_call, forward=84000.0 + forward, strike=90000.0, years=0.2 + years)
        return price(moved, 0.55 + volatility)

    assert values.delta == pytest.approx((bumped(forward=1) - bumped(forward=-1)) / 2, rel=1e-6)
    assert values.gamma == pytest.approx(bumped(forward=1) + bumped(forward=-1) - 2 * values.price, rel=1e-3)
    assert values.vega == pytest.approx((bumped(volatility=1e-4) - bumped(volatility=-1e-4)) * 50, rel=1e-5)
    assert values.theta == pytest.approx((bumped(years=-1e-5) - bumped(years=1e-5)) / 2e-5 / 365, rel=1e-5)


@pytest.mark.parametrize("is_call", [True, False])
def test_mixed_greeks_are_slopes_of_delta_and_vega(is_call):
    """Vanna is the delta's, volga the vega's slope per vol point; rho the price's per 1 % with the forward held."""
    option = Option(is_call=is_call, forward=84000.0, strike=90000.0, years=0.2, discount=math.exp(-0.01))
    values = greeks(option, 0.55, spot=83000.0)
    high, low = (greeks(option, 0.55 + side * 1e-4, spot=83000.0) for side in (1, -1))
    assert values.vanna == pytest.approx((high.delta - low.delta) / 2e-4 * 0.01, rel=1e-5)
    assert values.volga == pytest.approx((high.vega - low.vega) / 2e-4 * 0.01, rel=1e-5)
    moved = (
        Option(is_call=is_call, forward=84000.0, strike=90000.0, years=0.2, discount=math.exp(-0.01 - side * 0.2e-4))
        for side in (1, -1)
    )
    up, down = (price(row, 0.55) for row in moved)
    assert values.rho == pytest.approx((up - down) / 2e-4 * 0.01, rel=1e-6)


@pytest.mark.parametrize(("forward", "is_call", "delta"), [(120.0, True, 1.0), (80.0, True, 0.0), (80.0, False, -1.0)])
def test_greeks_at_expiry(forward, is_call, delta):
    """Delta is the exercise, everything else is gone."""
    values = greeks(Option(is_call=is_call, forward=forward, strike=100.0, years=0.0), 0.5)
    assert (values.delta, values.gamma, values.vega, values.theta) == (delta, 0.0, 0.0, 0.0)


def test_quantise_rounds_once_to_the_nearest():
    """Units of MarkRow; ties go to the even neighbor."""
    values = Greeks(
        price=1250.4999999996, delta=-0.25, forward_delta=0.0, gamma=1.25e-5, vega=2.5e-9, theta=-31.5, rho=0.1,
        vanna=0.0, volga=0.0,
    )  # fmt: skip
    assert quantise(5, values, 0.55) == MarkRow(
        instrument=5, mark_e9=1250500000000, volatility_e9=550000000, delta_e9=-250000000, gamma_e12=12500000,
        vega_e9=2, theta_e9=-31500000000, rho_e9=100000000,
    )  # fmt: skip


def test_quantise_refuses_what_is_not_finite():
    """A NaN must never become a price."""
    fields = dict.fromkeys(Greeks.__struct_fields__, 1.0)
    with pytest.raises(ValueError, match="no finite value"):
        quantise(5, Greeks(**fields | {"gamma": math.nan}), 0.5)


BAD = [math.nan, math.inf, -math.inf, -1.0, 1e16]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("field", ["forward", "strike", "years", "discount"])
def test_what_is_no_option_is_refused(field, value):
    """Zero is a price and no time is a time; a NaN, an infinity and a negative number are neither."""
    good = {"is_call": True, "forward": 100.0, "strike": 100.0, "years": 1.0, "discount": 1.0}
    with pytest.raises(ValueError, match=field):
        Option(**good | {field: value})


@pytest.mark.parametrize("value", BAD)
def test_what_is_no_volatility_or_spot_is_refused(value):
    """The same numbers, where they come beside the option."""
    option = Option(is_call=True, forward=100.0, strike=100.0, years=1.0)
    with pytest.raises(ValueError, match="volatility"):
        price(option, value)
    with pytest.raises(ValueError, match="volatility"):
        greeks(option, value)
    with pytest.raises(ValueError, match="spot"):
        greeks(option, 0.5, spot=value)


def test_a_spot_of_zero_is_refused():
    """Delta per unit of spot divides by it."""
    with pytest.raises(ValueError, match="spot"):
        greeks(Option(is_call=True, forward=100.0, strike=100.0, years=1.0), 0.5, spot=0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_price_that_is_no_number_has_no_volatility(value):
    """It is refused and not answered with None, which means a price that no volatility reaches."""
    with pytest.raises(ValueError, match="finite"):
        implied_volatility(Option(is_call=True, forward=100.0, strike=100.0, years=1.0), value)


@pytest.mark.parametrize(("forward", "strike"), [(0.0, 100.0), (100.0, 0.0)])
@pytest.mark.parametrize("volatility", [0.0, 0.5, 30.0])
def test_worthless_forwards_and_strikes(forward, strike, volatility):
    """F = 0: the put is worth K D; K = 0: the call is worth F D; the other side nothing."""
    call = Option(is_call=True, forward=forward, strike=strike, years=1.0, discount=0.9)
    put = Option(is_call=False, forward=forward, strike=strike, years=1.0, discount=0.9)
    assert (price(call, volatility), price(put, volatility)) == (0.9 * forward, 0.9 * strike)
    values = greeks(call, volatility), greeks(put, volatility)
    assert [row.forward_delta for row in values] == [0.9 * (forward > 0), -0.9 * (strike > 0)]


def test_parity_of_delta_at_expiry():
    """At the money each side has half, so call less put stays 1 like everywhere."""
    call, put = (Option(is_call=side, forward=100.0, strike=100.0, years=0.0) for side in (True, False))
    assert (greeks(call, 0.5).delta, greeks(put, 0.5).delta) == (0.5, -0.5)
