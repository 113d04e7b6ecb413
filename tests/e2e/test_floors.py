"""A margin floor on the embedded chain: an operator that trades below it is slashed by the default watcher (F3)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from exchange.bridge import batcher
from exchange.bridge.assembler import AssembledBatch, BatchAssembler
from exchange.domain.packing import CommandEvents
from exchange.engine import entry_checks
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.funded_accounts import WATCHER_INDEX
from settlement.protocol.batch import order_fills_of
from settlement.watch import watcher as watching
from tests.e2e.test_disputes import OPERATOR_BOND_E6, WINDOW_S, credit, reverted, watcher_of
from tests.fakes.settled_market import SettledMarket
from tests.unit.exchange.engine.world import PERP

ACCOUNTS = (2, 3, 4)
PRICE = 600_000
LARGEST = 40_000
"""2.4M USDC of notional: what 100,000 USDC open at 4 %."""


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[SettledMarket]:
    """Three accounts with 100,000 USDC each; the perpetual is listed on chain and has its first round."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=WINDOW_S))
    for account in ACCOUNTS:
        market.fund(account)
    market.take_requests()
    market.trade(2, 3, PRICE, 50, PERP)
    market.settle()
    market.work(steps=12)
    yield market
    market.close()


def check_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator posts whatever it has."""
    monkeypatch.setattr(batcher, "check_disputes", lambda *_: None)


def settle_for(exchange: SettledMarket) -> int:
    """Post what was traded; returns the batch."""
    exchange.settle()
    exchange.work(steps=12)
    return exchange.contract.head()


def test_what_margin_allows_stands(exchange: SettledMarket) -> None:
    """As much as the exchange lets anybody open, and all of it closed again: the watcher is silent."""
    found: list[str] = []
    watcher = watcher_of(exchange, found)
    exchange.trade(2, 3, PRICE, LARGEST - 4_000, PERP)
    settle_for(exchange)
    exchange.trade(3, 2, PRICE, LARGEST - 4_000, PERP)
    seq = settle_for(exchange)
    assert watcher.step() == seq
    assert (found, reverted(exchange)) == ([], [])


@pytest.mark.parametrize("single_call_bytes", [90_000, 1_000], ids=["one call", "staged"])
def test_a_position_that_nothing_covers_is_slashed(
    exchange: SettledMarket, monkeypatch: pytest.MonkeyPatch, single_call_bytes: int
) -> None:
    """18M USDC on 100,000: the engine's margin check is off, the signatures are real."""
    monkeypatch.setattr(watching, "_SINGLE_CALL_BYTES", single_call_bytes)
    found: list[str] = []
    watcher = watcher_of(exchange, found)
    watcher.step()
    check_nothing(monkeypatch)
    monkeypatch.setattr(entry_checks, "is_affordable", lambda *_: True)
    exchange.trade(2, 3, PRICE, 300_000, PERP)
    seq = settle_for(exchange)
    assert watcher.step() == seq - 1
    watcher.step()
    assert reverted(exchange) == [seq]
    assert credit(exchange, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2
    reason = "account 2 is left below its margin floor: it took on more"
    assert found == [f"batch {seq} is fraudulent ({reason}): sending the proof"]


def at_one_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the operator's batches fill everything at a tick."""
    honest = BatchAssembler.take

    def dishonest(assembler: BatchAssembler, item: CommandEvents) -> Iterator[AssembledBatch]:
        for assembled in honest(assembler, item):
            batch = assembled.input
            fills = [replace(fill, notional_e6=fill.notional_e6 // PRICE) for fill in batch.fills]
            inputs = replace(batch, fills=fills, order_fills=order_fills_of(fills))
            yield msgspec.structs.replace(assembled, input=inputs)

    monkeypatch.setattr(BatchAssembler, "take", dishonest)


def test_a_large_position_closed_at_one_tick_is_slashed(
    exchange: SettledMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A friend gains 2.2M USDC, of which the account that gives them away has a twentieth."""
    found: list[str] = []
    watcher = watcher_of(exchange, found)
    exchange.trade(2, 3, PRICE, LARGEST - 4_000, PERP)
    settle_for(exchange)
    watcher.step()
    check_nothing(monkeypatch)
    at_one_tick(monkeypatch)
    exchange.trade(4, 2, PRICE, LARGEST - 4_000, PERP)
    seq = settle_for(exchange)
    assert watcher.step() == seq - 1
    watcher.step()
    assert reverted(exchange) == [seq]
    assert credit(exchange, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2
    assert found[0].startswith(f"batch {seq} is fraudulent (account 2 is left below its margin floor: it lost ")
