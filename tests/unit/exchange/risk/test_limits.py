"""Limits of a market: dYdX's and Paradex's printed numbers, and the side of each rounding."""

import pytest

from exchange.risk.limits import (
    execution_band,
    maintenance_fraction,
    open_interest_cap,
    room_of_limit,
    scaled_initial_fraction,
)
from exchange.risk.parameters import LARGE_CAP_TIERS, MAJOR_TIERS, Tier
from exchange.risk.standard import perpetual_requirement

PPM = 10**6


@pytest.mark.parametrize("leverage", [0, -1])
def test_a_leverage_below_one_is_refused(leverage):
    """Nobody may hold less than nothing."""
    with pytest.raises(ValueError, match="at least 1"):
        maintenance_fraction(leverage, one=PPM)


@pytest.mark.parametrize(("leverage", "expected"), [(40, 12_500), (25, 20_000), (3, 166_667), (1, 500_000)])
def test_maintenance_is_half_of_initial(leverage, expected):
    """Hyperliquid: 1.25 % at 40x, 16.7 % at 3x; thirds are rounded up."""
    assert maintenance_fraction(leverage, one=PPM) == expected


@pytest.mark.parametrize(("lower", "upper"), [(2, 2), (3, 2), (-1, 2)])
def test_bounds_must_ascend(lower, upper):
    """Otherwise a requirement would fall or divide by nothing."""
    with pytest.raises(ValueError, match="must ascend"):
        scaled_initial_fraction(200_000, open_interest=1, lower=lower, upper=upper, one=PPM)


SCALED = [
    # open interest  expected         dYdX v4-chain, perpetuals tests
    (0, 200_000),
    (1_000_000, 200_000),
    (1_500_000, 600_000),
    (1_000_001, 200_000),
    (1_000_002, 200_001),
    (2_000_000, 1_000_000),
    (2_500_000, 1_000_000),
]


@pytest.mark.parametrize(("open_interest", "expected"), SCALED)
def test_initial_fraction_rises_with_open_interest(open_interest, expected):
    """From its base at the lower bound to 1 at the upper, rounded down."""
    found = scaled_initial_fraction(200_000, open_interest=open_interest, lower=10**6, upper=2 * 10**6, one=PPM)
    assert found == expected


@pytest.mark.parametrize(
    ("base", "open_interest", "lower", "upper", "expected"),
    [
        (0, 0, 0, 1, 0),
        (0, 1, 0, 1, 10),  # a bound of nothing and one of a unit ascend
        (0, 5, 0, 10, 5),
        (10, 5, 0, 10, 10),  # all of it already
        (3, 1, 0, 3, 5),  # 5.33
    ],
)
def test_scaling_by_hand_over_tenths(base, open_interest, lower, upper, expected):
    """The lower bound may be 0; a market that nobody holds anything of asks for its base."""
    assert scaled_initial_fraction(base, open_interest=open_interest, lower=lower, upper=upper, one=10) == expected


def test_no_upper_bound_scales_nothing():
    """Nor is a fraction above 1 lowered."""
    assert scaled_initial_fraction(200_000, open_interest=10**9, lower=0, upper=0, one=PPM) == 200_000
    assert scaled_initial_fraction(1_200_000, open_interest=10**9, lower=1, upper=2, one=PPM) == 1_200_000


def test_requirement_rounds_up():
    """dYdX prints 70,030 for 70,029.55."""
    tiers = (Tier(upper_e6=0, initial_ppm=567_243, maintenance_ppm=0),)
    assert perpetual_requirement(notional_e18=123_456, tiers=tiers) == (70_030, 0)


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        (LARGE_CAP_TIERS, [(5, 40_000, 20_000), (25, 50_000, 25_000), (100, 100_000, 50_000), (0, 200_000, 100_000)]),
        (MAJOR_TIERS, [(1, 100_000, 50_000), (10, 200_000, 100_000), (0, 333_334, 166_667)]),
    ],
)
def test_brackets_are_those_of_the_design(tiers, expected):
    """risk.md 9.4 in millions of USDC and ppm; maintenance is half of the initial fraction, thirds rounded up."""
    rows = [(tier.upper_e6, tier.initial_ppm, tier.maintenance_ppm) for tier in tiers]
    assert rows == [(millions * 10**12, initial, maintenance) for millions, initial, maintenance in expected]


@pytest.mark.parametrize(
    ("governance", "market_cap", "depth", "expected"),
    [(100, 10_000, 1_000, 100), (1_000, 10_019, 1_000, 500), (1_000, 10_000, 7, 21)],
)
def test_open_interest_cap_is_the_lowest(governance, market_cap, depth, expected):
    """Our own, a twentieth of what exists, three times what could be sold outside."""
    assert open_interest_cap(governance=governance, market_cap=market_cap, outside_depth=depth) == expected


@pytest.mark.parametrize(
    ("position", "expected"), [(-900, (100, 1_900)), (0, (1_000, 1_000)), (1_200, (2_200, 0)), (-1_200, (0, 2_200))]
)
def test_room_of_a_position_limit(position, expected):
    """Paradex prints 100 and 1,900; beyond the limit only the way back is open."""
    assert room_of_limit(limit=1_000, position=position) == expected


@pytest.mark.parametrize(("mark", "expected"), [(100, (95, 105)), (101, (96, 106)), (1, (1, 1))])
def test_band_is_rounded_inward(mark, expected):
    """No price outside 5 % is inside the band."""
    assert execution_band(mark, width=50_000, one=PPM) == expected
