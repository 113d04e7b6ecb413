"""Raw SVI slices and their gates, against printed numbers of the Derive feed and of Gatheral and Jacquier."""

import math

import pytest

from exchange.pricing.black76 import Option, price
from exchange.pricing.smile import (
    SviSlice,
    butterfly_density,
    crosses_calendar,
    has_butterfly_arbitrage,
    jump_wings,
    repaired_wings,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": -0.1}, "b >= 0"),
        ({"rho": 1.0}, "rho"),
        ({"sigma": 0.0}, "sigma"),
        ({"years": 0.0}, "years"),
        ({"a": -0.2}, "negative variance"),
        ({"b": 3.0, "rho": 0.5}, "wings"),
    ],
)
def test_slices_with_arbitrage_are_refused(change, message):
    """Each condition on the parameters."""
    good = {"a": 0.04, "b": 0.4, "rho": -0.1, "m": 0.0, "sigma": 0.1, "years": 0.25}
    with pytest.raises(ValueError, match=message):
        SviSlice(**good | change)


PRINTED = [
    # a, b, rho, m, sigma, years, forward, strike, volatility          derivexyz/v2-core, LyraVolFeed tests
    (
        0.00821917808219178, 0.01232876712328767, -0.000821917808219178, -0.000410958904109589, 0.000410958904109589,
        0.00821917808219178, 1_800.0, 1_500.0, 1.1283132838354804,
    ),
    (0.01, 0.01, -0.04, 0.03, 0.05, 0.03287671232, 2_000.0, 1.0, 0.666465),
    (0.01, 0.01, -0.04, 0.03, 0.05, 0.03287671232, 2_000.0, 2_000_000.0, 0.645048),
    (2.0, 0.6, -0.02, 0.03, 0.3, 0.03835616438, 2_000.0, 200_000.0, 11.064985),
]  # fmt: skip


@pytest.mark.parametrize("row", PRINTED)
def test_volatility_equals_the_printed_one(row):
    """Near the money, on both flat wings and at the cap of the variance; the last three printed with six digits."""
    a, b, rho, m, sigma, years, forward, strike, expected = row
    piece = SviSlice(a=a, b=b, rho=rho, m=m, sigma=sigma, years=years)
    assert piece.volatility(strike=strike, forward=forward) == pytest.approx(expected, abs=1e-6)


VOGT = SviSlice(a=-0.0410, b=0.1331, m=0.3586, rho=0.3060, sigma=0.4153, years=1.0)
"""The slice of Gatheral and Jacquier's example, whose density is negative."""
REPAIRED = SviSlice(
    a=0.00774091242036558,
    b=0.06924203448893687,
    rho=-0.33403648061147906,
    m=0.04203374522958454,
    sigma=0.11860780291327253,
    years=1.0,
)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["a", "b", "rho", "m", "sigma", "years"])
def test_slices_that_are_not_finite_are_refused(name, value):
    """A fit that failed must not become a smile."""
    good = {"a": 0.04, "b": 0.4, "rho": -0.1, "m": 0.0, "sigma": 0.1, "years": 0.25}
    with pytest.raises(ValueError, match="slice"):
        SviSlice(**good | {name: value})


def test_the_butterfly_gate_rejects_vogt_and_passes_its_repair():
    """On its own points and on those of the paper."""
    paper = [step / 100 for step in range(-150, 151)]
    assert [has_butterfly_arbitrage(row, points) for row in (VOGT, REPAIRED) for points in (None, paper)] == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_point_without_variance_is_arbitrage():
    """The price would be a corner."""
    corner = SviSlice(a=0.0, b=0.0, rho=0.0, m=0.0, sigma=0.1, years=1.0)
    assert butterfly_density(corner, 0.0) == -math.inf
    assert has_butterfly_arbitrage(corner)


def test_density_is_the_second_derivative_of_the_price():
    """g(k) from the parameters against finite differences of Black-76 in the strike."""
    for point in (-0.6, -0.1, 0.0, 0.3, 0.9):
        step = 1e-4
        strikes = [math.exp(point) * (1 + side * step) for side in (-1, 0, 1)]
        prices = [
            price(
                Option(is_call=True, forward=1.0, strike=strike, years=1.0),
                math.sqrt(REPAIRED.raw_variance(math.log(strike))),
            )
            for strike in strikes
        ]
        second = (prices[0] - 2 * prices[1] + prices[2]) / (strikes[1] * step) ** 2
        variance = REPAIRED.raw_variance(point)
        d2 = -point / math.sqrt(variance) - math.sqrt(variance) / 2
        density = math.exp(-d2 * d2 / 2) / math.sqrt(2 * math.pi * variance) / strikes[1]
        assert second == pytest.approx(butterfly_density(REPAIRED, point) * density, rel=1e-5)


def test_calendar_gate():
    """More time needs at least as much variance everywhere; equal slices do not cross."""
    flat = {"b": 0.0, "rho": 0.0, "m": 0.0, "sigma": 0.1}
    near, far = SviSlice(a=0.04, years=0.1, **flat), SviSlice(a=0.05, years=0.2, **flat)
    assert [crosses_calendar(*pair) for pair in ((near, far), (near, near), (far, near))] == [False, False, True]
    bent = SviSlice(a=0.01, b=0.2, rho=0.0, m=0.0, sigma=0.1, years=0.2)
    assert crosses_calendar(near, bent)
    assert not crosses_calendar(near, bent, [0.5])


def test_jump_wings_and_their_repair():
    """The paper's numbers: c = 0.3493158 and v~ = 0.01548182."""
    wings = jump_wings(VOGT)
    assert wings.variance == pytest.approx(0.017426252555159116)
    assert wings.skew == pytest.approx(-0.1752111408091251)
    repaired = repaired_wings(wings)
    assert (round(repaired.call_slope, 7), round(repaired.lowest_variance, 8)) == (0.3493158, 0.01548182)
    assert (repaired.variance, repaired.skew, repaired.put_slope) == (wings.variance, wings.skew, wings.put_slope)
