"""The whole of settlement on anvil: who lies is slashed by the default watcher, who is honest never; all can leave.

A dishonest operator here is a settler whose own checks are off; the watcher is the one that runs beside an exchange.
One line of FRAUDS is one lie: what was there before, what the operator does, and how often the watcher must look.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from exchange.app import exit_drill
from exchange.app.drill_market import START_S as DRILL_START_S
from exchange.app.drill_market import DrillMarket
from exchange.domain.rounds import FundingRow, OracleRound
from exchange.engine import entry_checks
from settlement.onchain.contract import PostCall, encode_call, encode_post
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.errors import CallReverted
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, WATCHER_INDEX, account_key
from settlement.onchain.outbox import BuiltBatch, Outbox
from settlement.onchain.rounds import missing_round, round_call
from settlement.onchain.rpc import RpcChain
from settlement.onchain.wallet import Wallet
from tests.e2e.test_disputes import (
    ANSWER_S,
    CHALLENGE_BOND_E6,
    OPERATOR_BOND_E6,
    WINDOW_S,
    credit,
    forged,
    lie,
    reverted,
    watcher_of,
)
from tests.e2e.test_floors import at_one_tick, check_nothing
from tests.e2e.test_oracle_bounds import later_round, lie_in_rounds, overcharged
from tests.e2e.test_refusals import approve_always, withdraw
from tests.fakes.anvil_chain import AnvilChain, anvil_chain
from tests.fakes.settled_market import SEED, SettledMarket
from tests.unit.exchange.engine.world import CALL, E6, PERP, START_S

pytestmark = pytest.mark.needs_node

ACCOUNTS = (2, 3, 4)
DAY_S = 86_400
BATCHES_A_DAY = 2
LEAVING = 20
SUCCESSOR = 9


class Fraud(NamedTuple):
    """`prepare` makes an honest market, `lie` posts one dishonest batch and returns its number."""

    name: str
    prepare: Callable[[SettledMarket], None]
    lie: Callable[[SettledMarket, pytest.MonkeyPatch], int]
    is_asked: bool = False
    """Whether the watcher must put down bonds and wait for an answer."""


def funded(market: SettledMarket) -> None:
    """Three accounts with money."""
    for account in ACCOUNTS:
        market.fund(account)
    market.take_requests()
    market.settle()


def traded(market: SettledMarket) -> None:
    """Positions in a perpetual and a call, and two rounds on chain."""
    funded(market)
    market.trade(2, 3, 600_000, 50, PERP)
    market.trade(4, 2, 1_500, 5, CALL)
    market.run(OracleRound(round=1, funding=(FundingRow(PERP, 28_800_000),)))
    market.trade(2, 3, 600_000, 1, PERP)
    market.settle()
    market.prices()
    market.work(steps=12)


def post_a_wrong_root(market: SettledMarket, _: pytest.MonkeyPatch) -> int:
    """The batch of the journal with another state."""
    market.trade(2, 3, 600_000, 10, PERP)
    market.run_cut()
    (batch,) = market.build()
    market.side.store([replace(batch, new_root=b"\x66" * 32)], 0)
    market.work()
    return batch.seq


def post_a_forged_fill(market: SettledMarket, _: pytest.MonkeyPatch) -> int:
    """A trade that nobody signed, with the right root, in the place of the journal's batch."""
    call = forged(market)
    lie(market, call)
    market.trade(2, 3, 600_000, 1, PERP)
    market.run_cut()
    market.build()
    return call.seq


def approve_too_much(market: SettledMarket, monkeypatch: pytest.MonkeyPatch) -> int:
    """More than the account is worth leaves with it."""
    approve_always(monkeypatch, 150_000 * E6)
    withdraw(market, 3, 200_000 * E6)
    return market.contract.head()


def leveraged(market: SettledMarket) -> None:
    """A position as large as margin allows."""
    traded(market)
    market.trade(2, 3, 600_000, 36_000, PERP)
    market.settle()
    market.work(steps=12)


def trade_below_the_floor(market: SettledMarket, monkeypatch: pytest.MonkeyPatch) -> int:
    """18M USDC on 100,000, signed by both sides."""
    check_nothing(monkeypatch)
    monkeypatch.setattr(entry_checks, "is_affordable", lambda *_: True)
    market.trade(3, 4, 600_000, 300_000, PERP)
    market.settle()
    market.work(steps=12)
    return market.contract.head()


def close_at_one_tick(market: SettledMarket, monkeypatch: pytest.MonkeyPatch) -> int:
    """A friend gets a large position for nearly nothing."""
    check_nothing(monkeypatch)
    at_one_tick(monkeypatch)
    market.trade(4, 2, 600_000, 36_000, PERP)
    market.settle()
    market.work(steps=12)
    return market.contract.head()


def publish_a_jump(market: SettledMarket, monkeypatch: pytest.MonkeyPatch) -> int:
    """A thousand times the funding in a round."""
    seq = market.contract.head() + 1
    lie_in_rounds(monkeypatch, overcharged)
    later_round(market)
    market.settle()
    market.work(steps=12)
    return seq


def refuse_a_withdrawal(market: SettledMarket, monkeypatch: pytest.MonkeyPatch) -> int:
    """Money that is there is not paid."""
    approve_always(monkeypatch, 0)
    withdraw(market, 3, 1_000 * E6)
    return market.contract.head()


FRAUDS = (
    Fraud("F1 wrong root", funded, post_a_wrong_root),
    Fraud("F2 forged fill", funded, post_a_forged_fill, is_asked=True),
    Fraud("F3 first cause: a trade below the floor", traded, trade_below_the_floor),
    Fraud("F3 second cause: closed at one tick", leveraged, close_at_one_tick),
    Fraud("F3 third cause: an approval without cover", traded, approve_too_much),
    Fraud("F4 a round that jumps", traded, publish_a_jump),
    Fraud("F5 refused withdrawal", traded, refuse_a_withdrawal),
)


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Contracts on anvil with listed instruments; nobody has money yet."""
    with anvil_chain(SEED, START_S) as chain:
        settings = DeploymentSettings(finality_window_s=WINDOW_S, answer_window_s=ANSWER_S)
        made = SettledMarket(tmp_path, settings, chain)
        yield made
        made.close()


@pytest.mark.parametrize("fraud", FRAUDS, ids=lambda one: one.name)
def test_a_dishonest_operator_is_caught_and_slashed(
    market: SettledMarket, monkeypatch: pytest.MonkeyPatch, fraud: Fraud
) -> None:
    """The batch is void, half of the operator's bond is the watcher's, the bonds that it put down are back."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    fraud.prepare(market)
    honest = watcher.step()
    assert (honest, found) == (market.contract.head(), [])
    seq = fraud.lie(market, monkeypatch)
    watcher.step()
    if fraud.is_asked:
        market.chain.pass_time(ANSWER_S + 2)
    for _ in range(3):
        watcher.step()
    assert reverted(market) == [seq]
    bonds_e6 = 2 * CHALLENGE_BOND_E6 if fraud.is_asked else 0
    assert credit(market, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2 + bonds_e6
    assert market.contract.view("bond()", ["uint64"]) == 0
    assert found[0].startswith(f"batch {seq} ")


def test_an_honest_week_raises_no_dispute(market: SettledMarket) -> None:
    """Trades, funding, prices and withdrawals of seven days: nothing is said, nothing falls, all becomes final."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    traded(market)
    for number in range(2, 2 + 7 * BATCHES_A_DAY):
        market.later(DAY_S // BATCHES_A_DAY)
        market.trade(2 + number % 3, 2 + (number + 1) % 3, 600_000 + number, 1 + number % 4, PERP)
        market.run(OracleRound(round=number, funding=(FundingRow(PERP, 1_000 * number),)))
        market.trade(3, 4, 600_000, 1, PERP)
        market.settle()
        if number % 5 == 0:
            withdraw(market, 2 + number % 3, 10 * E6)
        assert watcher.step() == market.contract.head()
    market.chain.pass_time(WINDOW_S + 1)
    step = market.work(steps=4 * market.contract.head())
    assert step.status.finalized_seq == market.contract.head() > 7 * BATCHES_A_DAY
    assert market.contract.root() == market.ledger.root
    assert (found, reverted(market)) == ([], [])
    assert market.contract.view("bond()", ["uint64"]) == OPERATOR_BOND_E6


STALL_BLOCKS = 30


@pytest.fixture
def long_windows(tmp_path: Path) -> Iterator[SettledMarket]:
    """A market whose batches become final after 48 h and as many blocks, with a posted batch."""
    with anvil_chain(SEED, START_S) as chain:
        settings = DeploymentSettings(finality_window_s=2 * DAY_S, finality_blocks=STALL_BLOCKS)
        made = SettledMarket(tmp_path, settings, chain)
        funded(made)
        yield made
        made.close()


def test_a_stalled_sequencer_does_not_eat_the_window(long_windows: SettledMarket) -> None:
    """48 h without a block: nothing is final when blocks come again, not before there were enough to dispute in."""
    market = long_windows
    head = market.contract.head()
    market.chain.pass_time(2 * DAY_S + 1)
    step = market.work(steps=2)
    assert step.status.state == "blocked"
    assert step.status.detail.startswith("finalize of batch 1 would revert")
    assert (market.contract.head(), market.contract.finalized()) == (head, 0)
    for _ in range(STALL_BLOCKS):
        market.chain.pass_time(1)
    assert market.work(steps=4 * head + 4).status.finalized_seq == head


def test_a_stolen_key_takes_nothing(market: SettledMarket) -> None:
    """The thief posts; the guardian pauses; the watcher reverts and is paid; a successor posts what was traded."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    # Later the timelock would have to announce it longer before than an exit takes.
    successor = bonded_successor(market)
    funded(market)
    lie(market, forged(market))
    seq = market.contract.head()
    guardian = Wallet(market.chain, account_key(SEED, DEPLOYER_INDEX))
    guardian.send(market.deployment.settlement, encode_call("pausePosting(uint40)", DAY_S))
    market.trade(2, 3, 600_000, 10, PERP)
    market.run_cut()
    (batch,) = market.build()
    watcher.step()
    market.chain.pass_time(ANSWER_S + 2)
    for _ in range(3):
        watcher.step()
    assert reverted(market) == [seq]
    assert market.contract.operator() == successor.address
    with pytest.raises(CallReverted):
        lie(market, forged(market))
    call = post_call(batch)
    with pytest.raises(CallReverted):
        successor.send(market.deployment.settlement, encode_post(call))
    market.chain.pass_time(DAY_S)
    if batch.vector:
        successor.send(market.deployment.settlement, round_of(market, batch))
    successor.send(market.deployment.settlement, encode_post(call))
    assert market.contract.root() == market.ledger.root
    assert market.contract.view("collateral()", ["uint96"]) == len(ACCOUNTS) * 100_000 * E6


def bonded_successor(market: SettledMarket) -> Wallet:
    """Registered by the timelock, with a bond of its own."""
    key = account_key(SEED, SUCCESSOR)
    successor, timelock = Wallet(market.chain, key), Wallet(market.chain, account_key(SEED, DEPLOYER_INDEX))
    settlement, token = market.deployment.settlement, market.deployment.token
    timelock.send(settlement, encode_call("registerSuccessor(address)", successor.address))
    timelock.send(token, encode_call("mint(address,uint256)", successor.address, OPERATOR_BOND_E6))
    successor.send(token, encode_call("approve(address,uint256)", settlement, OPERATOR_BOND_E6))
    successor.send(settlement, encode_call("depositBond(uint64)", OPERATOR_BOND_E6))
    return successor


def post_call(batch: BuiltBatch) -> PostCall:
    """What `post` takes of a batch."""
    return PostCall(seq=batch.seq, new_root=batch.new_root, orders_root=batch.orders_root, h=batch.h, data=batch.data)


def round_of(market: SettledMarket, batch: BuiltBatch) -> bytes:
    """The call that publishes the round which a batch begins with."""
    outbox = Outbox(":memory:")
    outbox.add(batch, market.chain.now_s * 1_000)
    row = outbox.batch(batch.seq)
    assert row is not None
    missing = missing_round(market.contract, row)
    assert missing is not None
    return round_call(missing, b"")


@pytest.fixture
def node() -> Iterator[AnvilChain]:
    """A chain for the drill's market, with the drill's seed."""
    with anvil_chain(SEED, DRILL_START_S) as chain:
        yield chain


def test_twenty_accounts_leave_after_the_operator_has_disappeared(node: AnvilChain, tmp_path: Path) -> None:
    """Open positions with gains and losses; a process with RPC URL and address pays everybody what the books owe."""
    operator = tmp_path / "operator"
    exchange = DrillMarket(node, operator, SEED, LEAVING)  # type: ignore[arg-type]
    exchange.withdraw(3, exit_drill._WITHDRAWN_E6)
    exchange.trade_at_random(2)
    exchange.deposit(4, exit_drill._STRANDED_E6)
    owed_e6 = exchange.owed_e6()
    assert exchange.open_positions() > LEAVING
    exchange.close()
    for file in operator.iterdir():
        file.unlink()
    contract = exchange.deployment.settlement
    said: list[str] = []
    exit_drill._run_escape(node, contract, SEED, tmp_path / "empty", said.append, None)  # type: ignore[arg-type]
    rpc = RpcChain(node.url)
    exit_drill._check_double_exit(rpc, contract, said.append)
    left = exit_drill._result(rpc, contract)
    exit_drill._check(left, owed_e6, said.append)
    assert len(left.paid_e6) == LEAVING
    assert any("to the unit for every account" in line for line in said)
