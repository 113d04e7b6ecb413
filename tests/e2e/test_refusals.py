"""Withdrawals on the embedded chain: what is refused (F5) or approved (F3) wrongly is proven by the watcher."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.bridge import batcher
from exchange.bridge.assembler import AssembledBatch, BatchAssembler
from exchange.domain.packing import CommandEvents
from exchange.domain.rounds import FundingRow, OracleRound
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.funded_accounts import WATCHER_INDEX
from settlement.watch.chain_calls import INSTRUMENT_LISTED
from tests.e2e.test_disputes import OPERATOR_BOND_E6, WINDOW_S, credit, reverted, watcher_of
from tests.fakes.settled_market import SettledMarket
from tests.unit.exchange.engine.world import CALL, E6, PERP

ACCOUNTS = (2, 3, 4)
FAR_TOO_MUCH_E6 = 10**9 * E6


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[SettledMarket]:
    """Three accounts: 2 is long a perpetual, 3 short of it, 4 short a call that 2 holds."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=WINDOW_S))
    for account in ACCOUNTS:
        market.fund(account)
    market.take_requests()
    market.trade(2, 3, 600_000, 50, PERP)
    market.trade(2, 4, 1_500, 5, CALL)
    market.settle()
    market.run(OracleRound(round=1, funding=(FundingRow(PERP, 28_800_000),)))
    market.prices()
    market.work(steps=12)
    yield market
    market.close()


def approve_always(monkeypatch: pytest.MonkeyPatch, amount_e6: int) -> None:
    """From here on the operator's batches approve this much, whatever the exchange says."""
    honest = BatchAssembler.take

    def dishonest(assembler: BatchAssembler, item: CommandEvents) -> Iterator[AssembledBatch]:
        for assembled in honest(assembler, item):
            inputs = replace(assembled.input, approvals_e6=[amount_e6] * len(assembled.input.approvals_e6))
            yield AssembledBatch(
                input=inputs, first_sequence=assembled.first_sequence, last_sequence=assembled.last_sequence
            )

    monkeypatch.setattr(BatchAssembler, "take", dishonest)
    monkeypatch.setattr(batcher, "check_disputes", lambda *_: None)


def withdraw(market: SettledMarket, account: int, amount_e6: int) -> int:
    """Queue a request, take it into a batch, post that; returns the request's number."""
    index = market.user(account).request_withdraw(account, amount_e6).index
    market.take_requests()
    market.side.store(market.build(), 0)
    market.work(steps=12)
    return index


def test_what_was_traded_is_listed_in_one_call(exchange: SettledMarket) -> None:
    """Nobody has to ask first: without its terms on chain no position could be judged."""
    head = exchange.chain.block("latest").number
    listed = exchange.chain.logs(exchange.deployment.settlement, [INSTRUMENT_LISTED], 0, head)
    assert sorted(int.from_bytes(log.topics[1], "big") for log in listed) == [CALL, PERP]
    assert len({log.tx_hash for log in listed}) == 1


def test_what_cannot_be_listed_holds_nothing_up(exchange: SettledMarket) -> None:
    """An asset without a row on chain is tried with the others, then alone, then left."""
    responder = exchange.side._responder
    responder._traded = {77: (1, b"\x01" * 20, 0), 78: (1, b"\x02" * 20, 0)}
    exchange.trade(2, 3, 600_000, 1, PERP)
    step = exchange.settle()
    exchange.work(steps=4)
    assert (step.status.state, responder._traded) == ("idle", {})
    assert exchange.contract.head() == exchange.ledger.seq


@pytest.mark.parametrize("account", ACCOUNTS)
def test_what_the_exchange_refuses_stands(exchange: SettledMarket, account: int) -> None:
    """Long and short, with funding due: approved as far as it goes, and the watcher is silent."""
    found: list[str] = []
    watcher = watcher_of(exchange, found)
    index = withdraw(exchange, account, FAR_TOO_MUCH_E6)
    approved_e6 = exchange.contract.view("request(uint64)", ["uint32", "uint8", "uint64", "uint40", "uint104"], index)[
        4
    ]
    assert 0 < approved_e6 >> 40 < FAR_TOO_MUCH_E6
    assert watcher.step() == exchange.contract.head()
    assert (found, reverted(exchange)) == ([], [])


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_solvent_account_is_not_refused(
    exchange: SettledMarket, monkeypatch: pytest.MonkeyPatch, account: int
) -> None:
    """F5 by itself: the batch falls, half of the bond is the watcher's."""
    found: list[str] = []
    watcher = watcher_of(exchange, found)
    watcher.step()
    approve_always(monkeypatch, 0)
    index = withdraw(exchange, account, 1_000 * E6)
    seq = exchange.contract.head()
    assert watcher.step() == seq - 1
    assert watcher.step() == seq - 1
    assert reverted(exchange) == [seq]
    assert credit(exchange, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2
    reason = f"request {index} of account {account} was refused {1_000 * E6} that were there"
    assert found == [f"batch {seq} is fraudulent ({reason}): sending the proof"]


@pytest.mark.parametrize("account", ACCOUNTS)
def test_more_than_the_account_has_is_not_paid(
    exchange: SettledMarket, monkeypatch: pytest.MonkeyPatch, account: int
) -> None:
    """F3 by itself: the others' money stays, half of the bond is the watcher's."""
    found: list[str] = []
    watcher = watcher_of(exchange, found)
    watcher.step()
    approve_always(monkeypatch, 150_000 * E6)
    index = withdraw(exchange, account, 200_000 * E6)
    seq = exchange.contract.head()
    assert watcher.step() == seq - 1
    watcher.step()
    assert reverted(exchange) == [seq]
    assert credit(exchange, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2
    reason = f"request {index} of account {account} was approved for {150_000 * E6} without cover"
    assert found == [f"batch {seq} is fraudulent ({reason}): sending the proof"]


def test_a_withdrawal_before_any_oracle_round_has_a_round_of_marks(tmp_path: Path) -> None:
    """Its time is that of the batch; the round of the first trade comes before it, the engine's first one behind it."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=WINDOW_S))
    for account in ACCOUNTS:
        market.fund(account)
    market.take_requests()
    market.trade(2, 3, 600_000, 50, PERP)
    market.settle()
    found: list[str] = []
    withdraw(market, 3, FAR_TOO_MUCH_E6)
    assert market.contract.view("oracleHead()", ["uint64"]) == 2
    market.run(OracleRound(round=1, funding=(FundingRow(PERP, 28_800_000),)))
    market.trade(2, 4, 600_000, 1, PERP)
    market.settle()
    market.work(steps=12)
    assert market.contract.view("oracleHead()", ["uint64"]) == 3
    assert watcher_of(market, found).step() == market.contract.head()
    assert (found, reverted(market)) == ([], [])
    market.close()


def test_a_watcher_that_starts_late_judges_the_same(exchange: SettledMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings, rounds and accounts come from the chain alone."""
    approve_always(monkeypatch, 0)
    withdraw(exchange, 3, 1_000 * E6)
    seq = exchange.contract.head()
    found: list[str] = []
    watcher = watcher_of(exchange, found)
    watcher.step()
    assert reverted(exchange) == [seq]
