"""The waterfall: the hardest step whose condition holds, the size of one step, which orders go first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.waterfall import (
    Level,
    OpenOrderRisk,
    Standing,
    cancel_order,
    level_of,
    restoring_target,
    step_amount,
)

E9 = 10**9

LEVELS = [
    # equity  initial  maintenance  options  unfilled  level
    (100, 10, 50, False, 0, Level.HEALTHY),
    (100, 0, 0, False, 0, Level.HEALTHY),
    (100, -1, 0, False, 0, Level.CANCEL_ORDERS),
    (100, -60, -1, False, 0, Level.BOOK),
    (100, -60, -50, False, 0, Level.BOOK),
    (100, -60, -51, False, 0, Level.AUCTION),
    (100, -60, -1, True, 0, Level.AUCTION),
    (100, -60, -1, False, 29, Level.BOOK),
    (100, -60, -1, False, 30, Level.AUCTION),
    (0, -60, -1, False, 0, Level.AUCTION),
    (-1, -60, -1, True, 99, Level.INSOLVENT),
    (-1, 5, 5, False, 0, Level.HEALTHY),
]


@pytest.mark.parametrize(("equity", "initial", "maintenance", "options", "unfilled", "level"), LEVELS)
def test_level(equity, initial, maintenance, options, unfilled, level):
    """Two thirds of a requirement of 150 are 100: at them the book, below the auction."""
    standing = Standing(
        equity=equity, initial=initial, maintenance=maintenance, has_options=options, unfilled_s=unfilled
    )
    assert level_of(standing) is level


def test_steps_have_the_numbers_of_the_specification():
    """L0 to L3, and a healthy account below them; whoever says nothing has no options and waited for nothing."""
    assert [int(level) for level in Level] == [-1, 0, 1, 2, 3]
    plain = Standing(equity=100, initial=-60, maintenance=-1)
    assert (level_of(plain), plain.unfilled_s) == (Level.BOOK, 0)


@given(equity=st.integers(-(10**12), 10**12), initial=st.integers(-(10**12), 0), gap=st.integers(0, 10**12))
def test_less_maintenance_is_never_milder(equity, initial, gap):
    """The steps come in one order."""
    levels = [
        level_of(Standing(equity=equity, initial=initial, maintenance=maintenance)) for maintenance in (0, -1, -1 - gap)
    ]
    assert levels == sorted(levels)


@pytest.mark.parametrize(("maintenance", "expected"), [(-100, 145), (-1, 32), (20, 7), (50, 0)])
def test_restoring_target(maintenance, expected):
    """15 % of the requirement beyond what is missing: 200 + 100 -> 45; rounded up; nothing when more is there."""
    assert restoring_target(equity=200, maintenance=maintenance, buffer=15 * E9 // 100, one=E9) == expected


STEPS = [
    # wanted  position  notional  step            threshold 100, a fifth, lots of 10
    (70, 100, 100, 70),
    (170, 100, 100, 100),
    (70, 100, 101, 20),
    (10, 100, 101, 10),
    (70, 110, 101, 30),
    (70, 10, 1_000, 10),
    (0, 100, 101, 0),
]


@pytest.mark.parametrize(("wanted", "position", "notional", "step"), STEPS)
def test_step_amount(wanted, position, notional, step):
    """Large positions close by a fifth, in lots rounded up, never more than there is."""
    found = step_amount(
        wanted=wanted, position=position, notional=notional, threshold=100, share=E9 // 5, one=E9, lot=10
    )
    assert found == step


def order(number, lots, distance, *, is_buy=False):
    """An offer, unless said otherwise."""
    return OpenOrderRisk(order_id=number, is_buy=is_buy, lots=lots, distance=distance)


CANCELED = [
    # position  orders                                                                          canceled
    (8, [], ()),
    (8, [order(1, 5, 1), order(2, 3, 2), order(3, 3, 3)], (3,)),
    (8, [order(1, 5, 1), order(2, 3, 2), order(3, 3, 3), order(4, 1, 9, is_buy=True)], (4, 3)),
    (-8, [order(1, 5, 1), order(2, 3, 2, is_buy=True)], (1,)),
    (0, [order(2, 3, 2, is_buy=True), order(1, 5, 1)], (1, 2)),
    (4, [order(1, 5, 1), order(2, 6, 2), order(3, 4, 3)], (2, 1)),
]


@pytest.mark.parametrize(("position", "orders", "canceled"), CANCELED)
def test_orders_that_go(position, orders, canceled):
    """Paradex's example keeps 5 and 3 against a position of 8 and cancels the 3 that are most passive."""
    assert cancel_order(orders, position_lots=position) == canceled
