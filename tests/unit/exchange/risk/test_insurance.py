"""The fund and deleveraging: caps, exact sums, who never pays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.insurance import (
    Candidate,
    FundLimits,
    FundState,
    Share,
    deleverage,
    deleveraging_rank,
    fee_split,
    fund_pays,
)

E9 = 10**9
LIMITS = FundLimits(one=E9, per_event=E9 // 5, per_day=2 * E9 // 5)


def candidate(account, lots, profit=100, equity=100, **more):
    """A position on the other side."""
    return Candidate(account=account, lots=lots, profit=profit, equity=equity, **more)


PAID = [
    # deficit  cash   day's first cash  taken   paid
    (0, 1_000, 1_000, 0, 0),
    (100, 1_000, 1_000, 0, 100),
    (500, 1_000, 1_000, 0, 200),
    (500, 1_000, 1_000, 300, 100),
    (500, 1_000, 1_000, 400, 0),
    (500, 1_000, 1_000, 500, 0),
    (500, 0, 1_000, 0, 0),
    (500, 9, 1_000, 0, 1),
]


@pytest.mark.parametrize(("deficit", "cash", "first", "taken", "paid"), PAID)
def test_the_fund_pays_within_its_caps(deficit, cash, first, taken, paid):
    """20 % per event, 40 % per day, rounded down; what was paid too much before is not taken back."""
    state = FundState(cash=cash, day_start_cash=first, taken_today=taken)
    assert fund_pays(deficit, state, LIMITS) == paid


@given(fee=st.integers(0, 10**18), share=st.integers(E9 // 2, E9))
def test_at_least_half_of_a_fee_goes_to_the_fund(fee, share):
    """And the parts are the fee to the unit."""
    fund, rest = fee_split(fee, fund_share=share, one=E9)
    assert fund + rest == fee
    assert 2 * fund >= fee


DEALT = [
    # lots  candidates                                                        shares
    (0, [candidate(1, 10)], []),
    (10, [], []),
    (10, [candidate(1, 30), candidate(2, 10)], [(1, 8), (2, 2)]),
    (10, [candidate(1, 10), candidate(2, 10, profit=300)], [(1, 2), (2, 8)]),
    (10, [candidate(1, 10), candidate(2, 10, equity=25)], [(1, 2), (2, 8)]),
    (50, [candidate(1, 10), candidate(2, 20)], [(1, 10), (2, 20)]),
    (12, [candidate(1, 100), candidate(2, 5, profit=10_000)], [(1, 7), (2, 5)]),
    (10, [candidate(1, 10, profit=0), candidate(2, 10, profit=-5), candidate(3, 20)], [(3, 10)]),
    (10, [candidate(1, 10, equity=0), candidate(2, 10, equity=-5), candidate(3, 20)], [(3, 10)]),
    (1, [candidate(1, 10), candidate(2, 10)], [(1, 1)]),
    (1, [candidate(1, 10), candidate(2, 11)], [(2, 1)]),
    (10, [candidate(1, 10, is_hedge=True), candidate(2, 5)], [(2, 5)]),
]


@pytest.mark.parametrize(("lots", "candidates", "shares"), DEALT)
def test_deleveraging_is_in_proportion(lots, candidates, shares):
    """Position x profit / equity; no queue, no losers, no hedges, nobody beyond his position."""
    assert deleverage(lots, candidates) == tuple(Share(account=account, lots=count) for account, count in shares)


def test_hedges_give_when_nobody_else_is_left():
    """The caller drops the test; the same rule shares then."""
    assert deleverage(10, [candidate(1, 10, is_hedge=True)], spare_hedges=False) == (Share(account=1, lots=10),)


@given(
    lots=st.integers(0, 10**9),
    rows=st.lists(st.tuples(st.integers(0, 10**8), st.integers(-5, 10**9), st.integers(-5, 10**9)), max_size=12),
)
def test_what_is_shared_is_what_was_asked_or_all_there_is(lots, rows):
    """The sum is exact, each share within its position, whoever has no profit untouched."""
    candidates = [candidate(at, *row) for at, row in enumerate(rows)]
    shares = {share.account: share.lots for share in deleverage(lots, candidates)}
    able = {row.account: row.lots for row in candidates if row.profit > 0 and row.equity > 0}
    assert sum(shares.values()) == min(lots, sum(able.values()))
    assert all(0 < count <= able[account] for account, count in shares.items())


@given(rows=st.lists(st.integers(1, 10**6), min_size=2, max_size=8), lots=st.integers(1, 10**5))
def test_the_order_of_the_candidates_does_not_matter(rows, lots):
    """The same accounts give the same lots."""
    candidates = [candidate(at, 10**6, profit=profit) for at, profit in enumerate(rows)]
    assert deleverage(lots, candidates) == deleverage(lots, candidates[::-1])


def test_rank_is_a_decile_of_the_weight():
    """The lightest of ten has 1, the heaviest 10; losers have the lowest."""
    everyone = [candidate(at, 10, profit=10 * at) for at in range(10)]
    assert [deleveraging_rank(row, everyone) for row in everyone] == list(range(1, 11))
    assert deleveraging_rank(candidate(1, 5, profit=-1), [candidate(1, 5, profit=-1)]) == 1


def test_a_winner_alone_is_the_first_to_be_reduced():
    """However small his profit; of equals each may be; who makes no profit is last, whatever the others do."""
    assert deleveraging_rank(candidate(1, 5, profit=1), [candidate(1, 5, profit=1)], buckets=5) == 5
    equals = [candidate(at, 10) for at in range(4)]
    assert [deleveraging_rank(row, equals, buckets=5) for row in equals] == [5, 5, 5, 5]
    assert deleveraging_rank(candidate(9, 10, profit=0), [*equals, candidate(9, 10, profit=0)], buckets=5) == 1
