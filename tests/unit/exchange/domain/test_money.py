"""Divisions round the way their names say, for both signs."""

import pytest

from exchange.domain.money import ceil_div, floor_div, ppm_ceil, ppm_floor, truncate_div


@pytest.mark.parametrize(
    ("numerator", "floor", "ceiling", "truncated"),
    [(7, 3, 4, 3), (-7, -4, -3, -3), (6, 3, 3, 3), (-6, -3, -3, -3), (0, 0, 0, 0)],
)
def test_division_by_two(numerator: int, floor: int, ceiling: int, truncated: int) -> None:
    """Down, up, toward zero."""
    assert (floor_div(numerator, 2), ceil_div(numerator, 2), truncate_div(numerator, 2)) == (floor, ceiling, truncated)


@pytest.mark.parametrize(("amount", "up", "down"), [(1, 1, 0), (-1, 0, -1), (2_000_000, 600, 600)])
def test_parts_per_million(amount: int, up: int, down: int) -> None:
    """300 ppm: a fee up, a credit down."""
    assert (ppm_ceil(amount, 300), ppm_floor(amount, 300)) == (up, down)
