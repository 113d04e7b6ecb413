"""Fees in printed numbers."""

import pytest

from exchange.engine.fees import fee_e6, signed_cap_e6
from tests.unit.exchange.engine.world import instruments

PERPETUAL, CALL, _ = instruments()


@pytest.mark.parametrize(
    ("instrument", "ticks", "lots", "is_taker", "expected"),
    [
        (PERPETUAL, 600_000, 100, True, 1_800_000),  # 0.1 BTC: 6,000 x 0.03 %
        (PERPETUAL, 600_000, 100, False, 600_000),
        (PERPETUAL, 1, 1, True, 18_000),  # of the index, not of the price
        (CALL, 1_500, 100, True, 18_000_000),  # one unit: 60,000 x 0.03 % = 18 < 12.5 % of 1,500
        (CALL, 100, 100, True, 12_500_000),  # 12.5 % of 100
        (CALL, 100, 100, False, 6_000_000),  # makers have no cap
    ],
)
def test_fee(instrument: object, ticks: int, lots: int, is_taker: bool, expected: int) -> None:
    """Index x size x rate; a taker of an option pays at most an eighth of its value."""
    got = fee_e6(
        instrument,  # type: ignore[arg-type]
        index_e9=60_000 * 10**9,
        price_ticks=ticks,
        quantity_lots=lots,
        is_taker=is_taker,
        option_cap_ppm=125_000,
    )
    assert got == expected


def test_fractions_round_up_and_the_signed_cap_down() -> None:
    """One lot at an odd index costs a whole millionth more; the signature's cap never allows a fraction more."""
    odd = fee_e6(PERPETUAL, index_e9=1, price_ticks=1, quantity_lots=1, is_taker=True, option_cap_ppm=0)
    assert odd == 1
    assert signed_cap_e6(PERPETUAL, max_fee_e18=18 * 10**18 + 1, quantity_lots=1) == 18_000
