"""Fees: tiers, roundings for the venue, caps for the payer, parts that sum to the fee."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.fees import FeePart, FeeTier, deal_fee, fee_of, option_fee_cap, tier_of

TIERS = (
    FeeTier(volume=0, maker_ppm=200, taker_ppm=500),
    FeeTier(volume=1_000, maker_ppm=0, taker_ppm=400),
    FeeTier(volume=5_000, maker_ppm=-100, taker_ppm=300),
)


@pytest.mark.parametrize("tiers", [(), TIERS[1:], (TIERS[0], TIERS[0]), (TIERS[0], TIERS[2], TIERS[1])])
def test_tiers_must_ascend_from_nothing(tiers):
    """Everybody has one tier, and only one."""
    with pytest.raises(ValueError, match="ascend"):
        tier_of(10, tiers)


def test_a_rebate_above_the_fee_is_refused():
    """Two accounts of one owner would print money."""
    with pytest.raises(ValueError, match="with oneself"):
        tier_of(10, (TIERS[0], FeeTier(volume=1, maker_ppm=-301, taker_ppm=300)))


@pytest.mark.parametrize(
    ("volume", "place"), [(-5, 0), (0, 0), (999, 0), (1_000, 1), (4_999, 1), (5_000, 2), (10**18, 2)]
)
def test_the_last_tier_that_is_reached(volume, place):
    """The bound belongs to the better tier."""
    assert tier_of(volume, TIERS) == TIERS[place]


@pytest.mark.parametrize(
    ("notional", "rate", "fee"),
    [(1_000_000, 500, 500), (1_000_001, 500, 501), (1, 1, 1), (0, 500, 0), (1_999_999, -100, -199)],
)
def test_fees_round_up_and_rebates_down_in_size(notional, rate, fee):
    """One unit is the venue's on either side."""
    assert fee_of(notional, rate) == fee


@given(notional=st.integers(0, 10**20), rebate=st.integers(0, 300))
def test_a_trade_never_costs_the_venue(notional, rebate):
    """Taker's fee and maker's rebate of one match."""
    assert fee_of(notional, 300) + fee_of(notional, -rebate) >= 0


@pytest.mark.parametrize(
    ("fee", "value", "expected"), [(100, 1_000, 100), (126, 1_000, 125), (126, 1_007, 125), (-5, 0, -5)]
)
def test_an_option_fee_is_capped_by_its_value(fee, value, expected):
    """12.5 %, rounded down; a rebate passes."""
    assert option_fee_cap(fee, value=value, cap_ppm=125_000) == expected


@pytest.mark.parametrize("shares", [[(1, -1)], [(1, 600_000), (2, 400_001)]])
def test_shares_beyond_the_whole_are_refused(shares):
    """Nobody is paid what was not taken."""
    with pytest.raises(ValueError, match="fractions"):
        deal_fee(100, shares, house=0)


def test_the_residue_goes_to_the_house():
    """A third and a half of 100."""
    parts = deal_fee(100, [(7, 333_333), (8, 500_000)], house=0)
    assert parts == (FeePart(account=7, amount=33), FeePart(account=8, amount=50), FeePart(account=0, amount=17))


@given(fee=st.integers(0, 10**18), shares=st.lists(st.integers(0, 200_000), max_size=5))
def test_parts_sum_to_the_fee(fee, shares):
    """To the unit, none negative."""
    parts = deal_fee(fee, list(enumerate(shares, 1)), house=0)
    assert sum(part.amount for part in parts) == fee
    assert min(part.amount for part in parts) >= 0
