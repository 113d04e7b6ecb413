"""Our parameters of Standard Margin, number by number as risk.md 7.5 and 9.4 print them."""

import pytest

from exchange.risk.parameters import LARGE_CAP_TIERS, MAJOR_TIERS, StandardParameters, Tier

MILLION_E6 = 10**12
LARGE = [
    # upper bound in millions of USDC, initial and maintenance in ppm
    (5, 40_000, 20_000),
    (25, 50_000, 25_000),
    (100, 100_000, 50_000),
    (0, 200_000, 100_000),
]
MAJOR = [(1, 100_000, 50_000), (10, 200_000, 100_000), (0, 333_334, 166_667)]
OURS = [
    ("maximum_spot_ppm", 150_000),
    ("minimum_spot_ppm", 120_000),
    ("call_maintenance_ppm", 80_000),
    ("put_maintenance_ppm", 80_000),
    ("put_maintenance_mark_ppm", 80_000),
    ("unpaired_initial_ppm", 1_200_000),
    ("unpaired_maintenance_ppm", 1_100_000),
    ("put_offset_ppm", 1_050_000),
    ("confidence_threshold_ppm", 550_000),
    ("confidence_factor_ppm", 1_000_000),
    ("depeg_threshold_ppm", 990_000),
    ("depeg_factor_ppm", 2_000_000),
]


@pytest.mark.parametrize(("name", "expected"), OURS, ids=[row[0] for row in OURS])
def test_the_fractions_are_the_printed_ones(name: str, expected: int) -> None:
    """Parts in a million."""
    assert getattr(StandardParameters(), name) == expected


@pytest.mark.parametrize(
    ("underlying", "rows"), [("BTC", LARGE), ("ETH", LARGE), ("SOL", MAJOR)], ids=["BTC", "ETH", "others"]
)
def test_the_brackets_are_the_printed_ones(underlying: str, rows: list[tuple[int, int, int]]) -> None:
    """25x, 20x, 10x, 5x for the two large ones; 10x, 5x and 3x for others. The last bracket has no bound."""
    expected = [
        Tier(upper_e6=upper * MILLION_E6, initial_ppm=initial, maintenance_ppm=maintenance)
        for upper, initial, maintenance in rows
    ]
    assert list(StandardParameters().tiers(underlying)) == expected


@pytest.mark.parametrize("tiers", [LARGE_CAP_TIERS, MAJOR_TIERS], ids=["large", "major"])
def test_maintenance_is_half_of_initial_in_every_bracket(tiers: tuple[Tier, ...]) -> None:
    """And who is larger never needs less of it."""
    assert [2 * row.maintenance_ppm for row in tiers] == [row.initial_ppm for row in tiers]
    assert [row.initial_ppm for row in tiers] == sorted(row.initial_ppm for row in tiers)
