"""Whatever prices do, liquidation keeps the books: both states alike, sums zero, the ledger the engine's accounts."""

import json
from collections import Counter
from pathlib import Path

import pytest

from exchange.engine import auction_bids, liquidation
from tests.property import liquidation_run
from tests.property.liquidation_run import LEAST, Log, Market, main, rare_kinds, run_seed

ARGUMENTS = ["--steps-of", "300", "--seed", "3"]


def test_books_are_kept_while_everybody_is_liquidated(capsys: pytest.CaptureFixture[str]) -> None:
    """Checked after each of 6,000 steps, and the stream is rich enough to mean something; counts are printed."""
    rows = [run_seed(seed, 3_000) for seed in (5, 6)]
    counts = Counter[str]()
    for row in rows:
        assert row["contradiction"] == ""
        counts.update(row["counts"])
    with capsys.disabled():
        print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))  # noqa: T201 - asked for
    assert rare_kinds(counts, 6_000) == []
    for name in ("liquidations ended", "liquidation orders", "payments of the fund", "orders canceled for margin"):
        assert counts[name] >= 5, name
    assert counts["shares sold to bidders"] >= 5
    for name in ("insolvencies", "call auctions", "funding payments", "ledgers compared", "impossible or old rounds"):
        assert counts[name] >= 5, name


def test_a_liquidation_on_a_stale_price_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes every price for fresh is caught by the run's own clock; one market in eight has the case."""
    monkeypatch.setattr(liquidation, "is_fresh", lambda *_: True)
    monkeypatch.setattr(auction_bids, "is_fresh", lambda *_: True)
    assert any("stale price" in run_seed(seed, 1_000)["contradiction"] for seed in range(1, 25))


def test_money_from_nowhere_is_found() -> None:
    """One unit too much on any account ends the run."""
    market = Market(1)
    for _ in range(100):
        market.step()
    account = market.state.accounts[7]
    account.ledger_cash_e6 += 1
    with pytest.raises(AssertionError, match="cash"):
        market.step()


def test_a_finished_seed_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second run does the seed that the log lacks and reports over both."""
    log = tmp_path / "log"
    main([*ARGUMENTS, "--steps", "300", "--log", str(log)])
    main([*ARGUMENTS, "--steps", "600", "--log", str(log)])
    text = capsys.readouterr().out
    assert "2 seeds of 300; 1 are done" in text
    assert "2 seeds, 600 steps" in text
    assert [json.loads(line)["seed"] for line in log.read_text().splitlines()] == [3, 4]


def test_seeds_of_another_engine_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log written before the sources changed is kept and ignored."""
    log = Log(tmp_path / "log", steps_of=300)
    log.add(run_seed(3, 300))
    assert 3 in Log(tmp_path / "log", steps_of=300).rows
    monkeypatch.setattr(liquidation_run, "fingerprint", lambda: "another")
    assert Log(tmp_path / "log", steps_of=300).rows == {}


def test_a_rare_kind_is_named() -> None:
    """In proportion to a million steps."""
    counts = Counter(LEAST)
    assert rare_kinds(counts, 1_000_000) == []
    counts["auctions"] -= 1
    assert rare_kinds(counts, 1_000_000) == ["auctions"]
