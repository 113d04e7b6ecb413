"""The seeded index: reproducible, bounded, resumable."""

from random import Random

import pytest

from exchange.feeds.synthetic import START_PRICES_E9, SyntheticIndex, Walk


def path(seed, steps=50):
    """Prices of a seed."""
    index = SyntheticIndex.seeded(seed)
    return [index.advance(1.0) for _ in range(steps)]


def test_same_seed_same_path():
    """Two indices of one seed agree step by step, another seed differs."""
    assert path(7) == path(7)
    assert path(7) != path(8)


def test_prices_are_positive_cents_near_the_start():
    """A minute of steps stays within a few percent."""
    for prices in path(3, 60):
        for name, price_e9 in prices.items():
            assert price_e9 % 10_000_000 == 0
            assert abs(price_e9 / START_PRICES_E9[name] - 1) < 0.02


@pytest.mark.parametrize("elapsed_s", [0.0, -5.0])
def test_no_time_no_move(elapsed_s):
    """A clock that stands or steps back moves nothing."""
    assert SyntheticIndex.seeded(1).advance(elapsed_s) == START_PRICES_E9


def test_a_long_gap_counts_as_a_minute():
    """A machine that slept does not wake up to a crash."""
    assert SyntheticIndex.seeded(1).advance(86_400.0) == SyntheticIndex.seeded(1).advance(60.0)


def test_resume_goes_on_from_published_prices():
    """Unknown underlyings and zeros are ignored."""
    index = SyntheticIndex.seeded(1)
    index.resume({"BTC": 90_000 * 10**9, "ETH": 0, "DOGE": 1})
    assert index.prices_e9 == {"BTC": 90_000 * 10**9, "ETH": START_PRICES_E9["ETH"]}


def test_a_price_never_reaches_zero():
    """One cent is the floor."""
    index = SyntheticIndex(Random(1), {"X": Walk(start_e9=10_000_000, volatility=50.0)})
    assert min(index.advance(60.0)["X"] for _ in range(200)) >= 10_000_000
