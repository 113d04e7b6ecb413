"""The Dutch auction: Derive's worked numbers, its curves at their ends, and what a sale leaves behind."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.auction import (
    AuctionParameters,
    auction_cash,
    auction_discount,
    auction_price,
    auction_share,
    buffered_margin,
    insolvent_payout,
    withdrawals_are_blocked,
)

E9 = 10**9
DERIVE = AuctionParameters(
    one=E9, start=E9, knee=8 * E9 // 10, buffer=E9 // 10, fast_s=600, slow_s=7_200, insolvent_s=600
)

CURVE = [
    (0, E9),
    (300, 900_000_000),
    (599, 800_333_333),
    (600, 800_000_000),
    (4_200, 400_000_000),
    (7_799, 111_111),
    (7_800, 0),
    (10**9, 0),
]


@pytest.mark.parametrize(("elapsed_s", "expected"), CURVE)
def test_discount(elapsed_s, expected):
    """1 to 0.8 in ten minutes, to 0 in two hours more; rounded down."""
    assert auction_discount(elapsed_s, DERIVE) == expected


@given(seconds=st.integers(0, 10_000))
def test_discount_never_rises(seconds):
    """A later bidder never pays a larger share."""
    assert auction_discount(seconds + 1, DERIVE) <= auction_discount(seconds, DERIVE)


def test_worked_auction():
    """Derive, MtM 300, MM -100: 31.8 % at the start for 300; 34.1 % for 92 after five minutes."""
    value, maintenance = 300 * E9, -100 * E9
    buffered = buffered_margin(maintenance=maintenance, value=value, parameters=DERIVE)
    assert buffered == -140 * E9
    shares = {}
    for elapsed_s in (0, 300):
        discount = auction_discount(elapsed_s, DERIVE)
        price = auction_price(value=value, reserved=0, discount=discount, one=E9)
        share = auction_share(value=value, buffered=buffered, reserved=0, discount=discount, parameters=DERIVE)
        shares[elapsed_s] = (price // E9, share * 1_000 // E9, auction_cash(price=price, share=share, one=E9) // E9)
    assert shares == {0: (300, 318, 95), 300: (270, 341, 92)}


def test_a_restored_account_is_not_sold():
    """Once the buffered margin is back nobody may take more."""
    assert auction_share(value=300, buffered=0, reserved=0, discount=E9, parameters=DERIVE) == 0


def test_a_small_account_is_sold_whole():
    """Below the cutoff a rest is not worth another auction."""
    parameters = msgspec.structs.replace(DERIVE, everything_below=301)
    assert auction_share(value=300, buffered=-1, reserved=0, discount=E9, parameters=parameters) == E9


def test_a_worthless_discount_does_not_divide_by_nothing():
    """When selling cannot restore anything all of it may be taken."""
    assert auction_share(value=-500, buffered=-140, reserved=0, discount=E9, parameters=DERIVE) == E9


@given(
    value=st.integers(1, 10**12),
    missing=st.integers(1, 10**12),
    elapsed_s=st.integers(0, 7_799),
)
def test_the_largest_share_restores_the_buffered_margin(value, missing, elapsed_s):
    """What is left of the margin plus the cash reaches zero, up to the rounding of the share."""
    buffered = -missing
    discount = auction_discount(elapsed_s, DERIVE)
    share = auction_share(value=value, buffered=buffered, reserved=0, discount=discount, parameters=DERIVE)
    price = auction_price(value=value, reserved=0, discount=discount, one=E9)
    left = buffered * (E9 - share) + price * share
    assert -(value + missing + E9) <= left <= E9


def test_reserved_cash_is_not_sold_again():
    """A bidder pays for what is still there."""
    assert auction_price(value=300, reserved=100, discount=E9 // 2, one=E9) == 100


@pytest.mark.parametrize(("elapsed_s", "payout"), [(0, -100), (300, -200), (600, -300), (9_999, -300)])
def test_insolvent_payout(elapsed_s, payout):
    """From the value down to the maintenance margin in ten minutes."""
    found = insolvent_payout(maintenance=-300, value=-100, elapsed_s=elapsed_s, parameters=DERIVE)
    assert found == payout


def test_an_insolvent_auction_with_margin_pays_nothing():
    """Nothing is to be restored; a positive value is nobody's debt."""
    assert insolvent_payout(maintenance=0, value=-100, elapsed_s=5, parameters=DERIVE) == 0
    assert insolvent_payout(maintenance=-300, value=100, elapsed_s=0, parameters=DERIVE) == 0


def test_withdrawals_stop_when_the_fund_may_not_do():
    """Equal is enough."""
    assert [withdrawals_are_blocked(insolvent_requirement=150, fund_cash=cash) for cash in (149, 150)] == [True, False]
