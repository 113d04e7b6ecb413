"""Which venues a setting names: seeded ones, a recorded one among them, live ones; nonsense is one line."""

import sys
from pathlib import Path

import pytest

from exchange.app.config import ConfigError, Settings
from exchange.app.price_sources import index_feed

NOW = 1_790_000_000 * 10**9
BOOK = '5.5: {"channel":"v3_orderbook","id":"BTC-USD","contents":{"bids":[["999","1"]],"asks":[["1001","1"]]}}'


def clock_ns() -> int:
    """It stands still."""
    return NOW


@pytest.mark.parametrize("prices", ["", "seed", "recorded", "LIVE"])
def test_an_unknown_source_is_refused_with_the_settings(prices: str) -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError, match="give seeded, recorded:FILE or live"):
        Settings(prices=prices).check()


@pytest.mark.parametrize("name", ["absent.txt", "empty.txt"])
def test_a_capture_that_cannot_be_played_is_named(tmp_path: Path, name: str) -> None:
    """Absent, or without a book."""
    (tmp_path / "empty.txt").write_text("nothing\n")
    with pytest.raises(ConfigError, match=name):
        index_feed(f"recorded:{tmp_path / name}", 1, clock_ns)


def test_live_prices_without_ccxt_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is optional."""
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(ConfigError, match="pip install"):
        index_feed("live", 1, clock_ns)


def test_live_venues_are_returned_to_be_polled() -> None:
    """Before the first answer there is no price."""
    pytest.importorskip("ccxt")
    feed, live = index_feed("live", 1, clock_ns)
    assert len(live) >= 5
    assert all(row.is_halted for row in feed.rows(NOW))


def test_seeded_venues_need_nobody() -> None:
    """Prices at once, the same for a seed."""
    (one, live), (other, _) = (index_feed(Settings(prices="seeded").check().prices, 3, clock_ns) for _ in range(2))
    assert live == []
    assert one.rows(NOW) == other.rows(NOW)
    assert all(not row.is_halted for row in one.rows(NOW))


def test_seeded_venues_stand_around_a_recorded_one(tmp_path: Path) -> None:
    """They begin where the capture does, and all six agree."""
    path = tmp_path / "capture.txt"
    path.write_text(BOOK)
    feed, _ = index_feed(Settings(prices=f"recorded:{path}").check().prices, 3, clock_ns)
    row = feed.rows(NOW)[0]
    assert (row.underlying, row.is_halted) == ("BTC", False)
    assert 998 * 10**9 < row.index_e9 < 1_002 * 10**9
    assert row.confidence_ppm > 850_000
