"""Zero, negative, NaN, infinite, frozen, wild, missing prices, silence, restarts: nothing happens on a bad price."""

from collections import Counter

import pytest

from exchange.engine import entry_checks, funding, liquidation, waiting
from exchange.feeds import index_feed
from tests.property.bad_prices import LEAST, Broken, run_seed


def test_nothing_happens_on_a_price_that_is_none() -> None:
    """Ten seeds of some minutes each; every fault, halt and restart was there."""
    counts: Counter[str] = Counter()
    for seed in range(10):
        counts += run_seed(seed)
    assert {name: count for name, count in LEAST.items() if counts[name] < count} == {}


def run_until_broken(seeds: int = 20) -> str:
    """What the first seed that breaks says; empty when none does."""
    for seed in range(seeds):
        try:
            run_seed(seed)
        except Broken as broken:
            return str(broken)
    return ""


@pytest.mark.parametrize(
    ("module", "name", "answer", "found"),
    [
        (liquidation, "is_fresh", True, "LiquidationStarted"),
        (entry_checks, "check_market", 0, "OrderAccepted"),
        (waiting, "is_restricted", False, "OrderTriggered"),
        (funding, "is_index_open", True, "funding accrued"),
    ],
)
def test_an_engine_that_takes_any_price_is_found(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, answer: object, found: str
) -> None:
    """Each of the four guards is missed when it is gone."""
    monkeypatch.setattr(module, name, lambda *_, **__: answer)
    assert found in run_until_broken()


def test_a_feed_that_believes_half_of_its_venues_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One outlier of two live venues would become the index after three ticks."""
    monkeypatch.setattr(index_feed, "has_majority", lambda *_: True)
    assert "while the truth is" in run_until_broken(60)
