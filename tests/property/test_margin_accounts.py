"""Margin as it is shown and computed by clients decides as the engine does, near the limit above all."""

from typing import Any

import pytest

from exchange.client import margin as client_margin
from exchange.engine import entry_checks, previews
from tests.property import margin_accounts
from tests.property.margin_accounts import Different, run


def test_what_accounts_are_told_decides() -> None:
    """A thousand accounts here; the command of the module draws as many as asked. A fifth and more are within 1 %."""
    counts = run(7, 1_000)
    assert counts["accounts"] == 1_000
    assert counts["near"] >= 200
    assert counts["portfolio near"] >= 100
    assert min(counts["portfolio OK"], counts["portfolio INSUFFICIENT_MARGIN"]) >= 100
    assert min(counts["OK"], counts["INSUFFICIENT_MARGIN"], counts["quotes"], counts["resting"]) >= 200


def off(answer: Any, by: int) -> Any:
    """A function whose integer is so much more."""
    return lambda *args, **given: answer(*args, **given) + by


@pytest.mark.parametrize(
    ("module", "name", "by", "found"),
    [
        (previews, "margin_after_e18", 10**15, "was shown"),
        (margin_accounts, "open_orders_requirement_e6", 1, "open orders"),
        (client_margin, "floor_div", 1, "the client finds"),
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
