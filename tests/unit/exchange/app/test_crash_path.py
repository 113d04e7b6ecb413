"""Paths of crashes: what is refused, what stands between points, and that every point says where it is from."""

import pytest

from exchange.app.crash_path import load_path, path_names, path_of
from exchange.app.failures import Failure


def rows(**changes):
    """A path of a minute: 100 USD to 70 USD, depth to a half."""
    values = {
        "title": "a minute",
        "start": "2025-10-10T20:40:00Z",
        "step_s": 10,
        "noise_ppm": 0,
        "price": [price(0, 100), price(60, 70)],
        "depth": [depth(0, 1_000_000), depth(40, 500_000)],
    }
    return values | changes


def price(at_s, usd, **changes):
    """A published point."""
    values = {"at_s": at_s, "usd": usd, "price_is": "published", "time_is": "interpolated", "source": "a page"}
    return values | changes


def depth(at_s, part_ppm):
    """A point of ours."""
    return {"at_s": at_s, "part_ppm": part_ppm, "depth_is": "interpolated", "source": "ours"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"price": [price(0, 100, price_is="guessed")]}, "published or interpolated"),
        ({"price": [price(0, 100, source="")]}, "names its source"),
        ({"price": [price(5, 100)]}, "begin at 0"),
        ({"price": [price(0, 100), price(0, 90)]}, "rise"),
        ({"depth": [depth(0, 10), depth(9, 10), depth(8, 10)]}, "rise"),
    ],
)
def test_points_that_are_no_path_are_refused(changes, words):
    """One line that says what a path needs."""
    with pytest.raises(Failure, match=words):
        path_of(rows(**changes))


def test_an_unknown_path_names_the_known_ones():
    """The user reads what he may choose."""
    with pytest.raises(Failure, match="2020-03-12, 2025-10-10"):
        load_path("2022-11-08")


def test_values_between_points_lie_on_a_line():
    """Rounded down, and the last depth stays."""
    found = [(row.at_s, row.index_e9 // 10**9, row.depth_ppm) for row in path_of(rows()).moments(1)]
    assert found[0] == (0, 100, 1_000_000)
    assert found[2] == (20, 90, 750_000)
    assert found[5] == (50, 75, 500_000)
    assert found[6] == (60, 70, 500_000)


def test_noise_comes_from_the_seed():
    """The same seed gives the same path, another another; it stays near the line."""
    path = path_of(rows(step_s=1, noise_ppm=1_000))
    first, again, other = (list(path.moments(seed)) for seed in (1, 1, 2))
    assert first == again != other
    line = list(path_of(rows(step_s=1)).moments(1))
    assert all(abs(row.index_e9 - true.index_e9) < true.index_e9 // 20 for row, true in zip(first, line, strict=True))


@pytest.mark.parametrize(("name", "low_usd"), [("2020-03-12", 3_900), ("2025-10-10", 102_000)])
def test_the_low_of_our_paths_is_a_published_one(name, low_usd):
    """Nothing of ours goes below what somebody printed; every step is short enough for a price not to be stale."""
    path = load_path(name)
    lowest = min(path.prices, key=lambda row: row.usd)
    assert (lowest.usd, lowest.price_is) == (low_usd, "published")
    assert path.step_s <= 10
    assert all("." in row.source for row in path.prices if row.price_is == "published")


def test_both_days_come_with_the_project():
    """By name, ascending."""
    assert path_names() == ["2020-03-12", "2025-10-10"]
