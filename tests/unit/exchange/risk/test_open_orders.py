"""What open orders reserve: the larger side of a perpetual, every sell of options without its premium, by hand."""

from typing import Any

import pytest

from exchange.risk.open_orders import (
    OptionExposure,
    PerpetualExposure,
    open_orders_requirement,
    options_worst,
    perpetual_worst,
)
from exchange.risk.parameters import StandardParameters, Tier

OURS = StandardParameters()
TENTH = (Tier(upper_e6=0, initial_ppm=100_000, maintenance_ppm=50_000),)
ALL = (Tier(upper_e6=0, initial_ppm=1_000_000, maintenance_ppm=0),)
SIDES = [
    # position, buys, sells, the most that may be held on a side
    (0, 0, 0, 0),
    (0, 3, 2, 3),
    (0, 2, 3, 3),
    (5, 0, 0, 5),
    (5, 3, 9, 8),
    (5, 0, 11, 6),
    (-5, 0, 0, 5),
    (-5, 9, 3, 8),
    (-5, 11, 0, 6),
]


@pytest.mark.parametrize(("position", "buys", "sells", "reach"), SIDES)
def test_the_larger_side_of_a_perpetual_counts(position: int, buys: int, sells: int, reach: int) -> None:
    """A tenth of its worth at a mark of 7, rounded up; the position itself is worth what it is."""
    asked = {"position_e9": position, "buys_e9": buys, "sells_e9": sells, "mark_e9": 7}
    required = -(-reach * 7 // 10)
    assert open_orders_requirement(**asked, tiers=TENTH) == required
    assert perpetual_worst(PerpetualExposure(**asked, tiers=TENTH)) == position * 7 - required
    assert open_orders_requirement(**asked, tiers=ALL) == reach * 7


def test_losses_and_fees_come_on_top() -> None:
    """Both are taken off; without orders nothing is."""
    held: dict[str, Any] = {"position_e9": 10, "mark_e9": 7, "tiers": TENTH}
    assert perpetual_worst(PerpetualExposure(**held)) == 63
    assert perpetual_worst(PerpetualExposure(**held, loss_e18=5, fees_e18=11)) == 63 - 16
    assert perpetual_worst(PerpetualExposure(position_e9=0, mark_e9=7, tiers=ALL)) == 0


def call(position: int, **fields: int) -> OptionExposure:
    """A call at 1,000 with a mark of 3."""
    return OptionExposure(strike_e9=1_000, is_call=True, mark_e9=3, position_e9=position, **fields)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (call(0), 0),
        (call(2), 0),
        (call(-1), -153),  # 15 % of 1,000 and its mark
        (call(0, sells_e9=1), -153),
        (call(2, sells_e9=3), -153),
        (call(2, sells_e9=2), 0),
        (call(-1, sells_e9=1), -306),
        (call(-1, premium_e18=20, fees_e18=4), -177),
        (call(2, premium_e18=20), -20),
        (call(2, fees_e18=4), -4),
    ],
)
def test_all_sells_fill_and_no_buy_does(row: OptionExposure, expected: int) -> None:
    """Premiums and fees are paid all the same; what is sold brings nothing."""
    assert options_worst(1_000, 1_000, [row], OURS) == expected
