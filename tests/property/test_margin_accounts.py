"""Margin as it is shown and computed by clients decides as the engine does, near the limit above all."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from exchange.client import margin as client_margin
from exchange.engine import entry_checks, previews, queries
from exchange.wire import preview_shapes
from tests.property import margin_accounts
from tests.property.margin_accounts import Different, run, run_logged


def check_counts(counts: Counter[str], accounts: int, portfolio_share: float = 0.5) -> None:
    """A fifth and more are within 1 % of the limit, and every question was asked often."""
    assert counts["accounts"] == accounts
    assert counts["near"] >= accounts // 5
    asked = ("OK", "INSUFFICIENT_MARGIN", "quotes", "resting", "margins", "liquidated", "spared")
    assert min(counts[name] for name in asked) >= accounts // 10
    portfolios = ("portfolio near", "portfolio OK", "portfolio INSUFFICIENT_MARGIN")
    assert min(counts[name] for name in portfolios) >= accounts * portfolio_share / 5


def test_what_accounts_are_told_decides() -> None:
    """Three hundred accounts here, a hundred thousand in `make check`, as many as asked by command."""
    check_counts(run(7, 300), 300)


@pytest.mark.risk_search
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_what_a_hundred_thousand_accounts_are_told_decides(seed: int) -> None:
    """A quarter of them each, so that two processes share the work; one in fifty has Portfolio Margin."""
    check_counts(run(seed, 25_000, 0.02), 25_000, 0.02)


def test_a_run_goes_on_behind_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand accounts a line; what stands there is not drawn again, and the counts are those of one run."""
    monkeypatch.setattr(margin_accounts, "PER_LINE", 100)
    log = tmp_path / "log"
    *_, (done, first) = run_logged(7, 100, log)
    assert done == first["accounts"] == 100
    *_, (done, both) = run_logged(7, 200, log)
    assert done == 200
    assert both == run(7, 200)
    assert len(log.read_text().splitlines()) == 2
    assert [both] == [counts for _, counts in run_logged(7, 200, log)]


def off(answer: Any, by: int) -> Any:
    """A function whose integer is so much more."""
    return lambda *args, **given: answer(*args, **given) + by


@pytest.mark.parametrize(
    ("module", "name", "by", "found"),
    [
        (previews, "margin_after_e18", 10**15, "was shown"),
        (margin_accounts, "open_orders_requirement_e6", 1, "open orders"),
        (client_margin, "floor_div", 1, "the client finds"),
        (queries, "liquidation_ticks_after", 1, "liquidation at"),
        (preview_shapes, "_initial_left_e6", -(10**12), "was said of what was done"),
    ],
)
def test_another_number_is_found(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, by: int, found: str) -> None:
    """A tenth of a cent in the preview, which rounds at each fill; a unit in what orders reserve, or at the client."""
    monkeypatch.setattr(module, name, off(getattr(module, name), by))
    with pytest.raises(Different, match=found):
        run(7, 300)


def test_another_decision_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview that refuses nothing for margin."""
    monkeypatch.setattr(previews, "check_entry", lambda *_: entry_checks.ResultCode.OK)
    with pytest.raises(Different, match="decided"):
        run(7, 300)
