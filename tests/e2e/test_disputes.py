"""Disputes on the embedded chain: who asks an honest operator loses his bonds, who lies is slashed by the watcher."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.app.expected_deltas import JournalDeltas
from exchange.app.verify import ledger_of
from exchange.domain.commands import OrderFlag, Side
from exchange.domain.rounds import FundingRow, OracleRound, SettlementRow
from settlement.onchain.chain import Chain, TransactionInput
from settlement.onchain.contract import BATCH_POSTED, HEADER_TYPE, PostCall, encode_call, encode_post
from settlement.onchain.deploy import DeploymentSettings, fund_bonds
from settlement.onchain.funded_accounts import (
    DEPLOYER_INDEX,
    OPERATOR_INDEX,
    WATCHER_INDEX,
    account_address,
    account_key,
)
from settlement.onchain.posted import read_batch_calldata
from settlement.onchain.reverts import BATCH_REVERTED
from settlement.onchain.wallet import Wallet
from settlement.protocol.batch import BatchInput, Fill, build_batch, order_fills_of
from settlement.watch.chain_calls import PostedHeader
from settlement.watch.watcher import Watcher
from tests.fakes.settled_market import SEED, SettledMarket
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, SECOND_NS

ACCOUNTS = (2, 3, 4)
MAKER = 4
STRANGER = 8
WINDOW_S = 600
ANSWER_S = 60
CHALLENGE_BOND_E6 = 100_000_000
OPERATOR_BOND_E6 = 10_000_000_000
CHALLENGE = f"challenge(uint64,{HEADER_TYPE},uint32,uint64,uint64)"


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Three funded accounts, one with a session key, their deposits posted."""
    settings = DeploymentSettings(finality_window_s=WINDOW_S, answer_window_s=ANSWER_S)
    market = SettledMarket(tmp_path, settings)
    for account in ACCOUNTS:
        market.fund(account)
    market.key = market.register_key(2, (2,))
    market.take_requests()
    market.settle()
    yield market
    market.close()


def watcher_of(market: SettledMarket, found: list[str]) -> Watcher:
    """The default watcher: chain and journal, with money for its bonds."""
    key = account_key(SEED, WATCHER_INDEX)
    fund_bonds(market.chain, account_key(SEED, DEPLOYER_INDEX), market.deployment, account_address(key), 10)
    deployment = market.deployment
    return Watcher(
        market.chain,
        deployment.settlement,
        deployment.token,
        deployment.deploy_block,
        key,
        expected=market.deltas,
        say=found.append,
    )


def trade_a_lot(market: SettledMarket) -> None:
    """Orders of owners and of a key, under both domains, a slide, partial fills, quotes of both sides."""
    market.trade(2, 3, 600_000, 10, PERP, signer=market.key)
    market.trade(3, 4, 600_100, 5, PERP, domain=1)
    market.trade(4, 2, 1_500, 2, CALL)
    market.quote(MAKER, (CALL, 1_400, 5, 1_600, 5))
    market.run(market.signed(2, Side.BUY, 1_600, 3, CALL))
    market.run(market.signed(3, Side.SELL, 1_400, 2, CALL))
    resting = market.signed(3, Side.SELL, 600_500, 4, PERP)
    market.run(resting)
    slid = market.signed(2, Side.BUY, 600_700, 4, PERP, flags=OrderFlag.POST_ONLY | OrderFlag.SLIDE)
    market.run(slid)
    market.run(market.signed(4, Side.SELL, 600_000, 4, PERP))


def header_of(market: SettledMarket, seq: int) -> PostedHeader:
    """Header of a posted batch, from the chain alone."""
    posted, before = (read_batch_calldata(market.chain, market.deployment, number) for number in (seq, seq - 1))
    logs = market.chain.logs(
        market.deployment.settlement, [BATCH_POSTED, seq.to_bytes(32, "big")], 0, posted.block_number
    )
    block = market.chain.block(posted.block_number)
    collateral_e6 = market.contract.view("collateral()", ["uint96"], tag=posted.block_number)
    return PostedHeader(
        market.contract.batch_hash(seq - 1),
        before.new_root if before else market.contract.root(tag=market.deployment.deploy_block),
        posted.new_root,
        posted.orders_root,
        logs[-1].data[64:96],
        posted.h,
        block.timestamp_s,
        block.number,
        collateral_e6,
    )


def credit(market: SettledMarket, index: int) -> int:
    """What the contract owes to a key of the seed, in 1e-6 USDC."""
    address = account_address(account_key(SEED, index))
    return int(market.contract.view("credit(address)", ["uint256"], address))


def reverted(market: SettledMarket) -> list[int]:
    """First batch of each revert."""
    head = market.chain.block("latest")
    logs = market.chain.logs(market.deployment.settlement, [BATCH_REVERTED], 0, head.number)
    return [int.from_bytes(log.topics[1], "big") for log in logs]


def ask_about(market: SettledMarket, questions: list[tuple[int, int, int]]) -> None:
    """A stranger asks about (batch, account), relying on a CANCEL_ALL (0: none)."""
    wallet = Wallet(market.chain, account_key(SEED, STRANGER))
    minter = account_key(SEED, DEPLOYER_INDEX)
    fund_bonds(market.chain, minter, market.deployment, wallet.address, len(questions))
    spender = encode_call("approve(address,uint256)", market.deployment.settlement, 1 << 60)
    wallet.send(market.deployment.token, spender)
    for seq, account, cancel_request in questions:
        call = encode_call(CHALLENGE, seq, header_of(market, seq), account, cancel_request, 0)
        wallet.send(market.deployment.settlement, call)


def test_a_stranger_who_challenges_everything_loses_his_bonds(market: SettledMarket) -> None:
    """The settler answers every question by itself; nobody is slashed, batches become final, the watcher is silent."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    trade_a_lot(market)
    market.settle()
    canceled = market.user(2).cancel_all(2).index
    market.take_requests()
    market.trade(2, 3, 599_000, 7, PERP)
    market.settle()
    head = market.contract.head()
    assert watcher.step() == head
    for seq in range(1, head + 1):
        assert watcher.history.header_of(seq) == header_of(market, seq)
        assert watcher.history.header_of(seq).digest() == market.contract.batch_hash(seq)
    questions = [(1, 2, 0), *((2, account, 0) for account in ACCOUNTS), (head, 2, canceled), (head, 3, 0)]
    ask_about(market, questions)
    market.work(steps=2 * len(questions) + 4)
    assert credit(market, STRANGER) == 0
    assert credit(market, OPERATOR_INDEX) == len(questions) * CHALLENGE_BOND_E6
    market.chain.pass_time(WINDOW_S + 1)
    step = market.work(steps=4 * head)
    assert (step.status.finalized_seq, step.status.state) == (head, "idle")
    assert watcher.step() == head
    assert found == []
    assert reverted(market) == []
    assert market.contract.view("bond()", ["uint64"]) == OPERATOR_BOND_E6


def test_funding_and_payoffs_are_proven_with_the_rounds_on_chain(market: SettledMarket) -> None:
    """Nobody signs them: the operator publishes the values, the watcher derives the same roots from them."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    market.trade(2, 3, 600_000, 100, PERP)
    market.trade(4, 2, 1_500, 2, CALL)
    market.prices()
    market.run(OracleRound(round=1, funding=(FundingRow(PERP, 28_800_000),)))
    market.run(OracleRound(round=2), after_ns=9 * SECOND_NS)
    market.trade(2, 4, 600_000, 1, PERP)
    market.settle()
    assert watcher.step() == market.contract.head()
    assert market.ledger.account(2).positions[PERP] == (101, 540_000_000)
    assert market.ledger.account(3).positions[PERP] == (-100, 0)
    market.clock(EXPIRY_S - market.now_ns // SECOND_NS + 1)
    market.run(OracleRound(round=3, settlements=(SettlementRow("BTC", EXPIRY_S, 70_123 * 10**9),)))
    market.settle()
    assert all(CALL not in market.ledger.account(index).positions for index in ACCOUNTS)
    assert watcher.step() == market.contract.head()
    assert market.contract.root() == market.ledger.root
    assert market.ledger.accounts == ledger_of(market.state, match_to_s=market.ledger.last_match_to_s).accounts
    # marks of the first trades, funding, the payoff
    assert market.contract.view("lastRound()", ["uint64"]) == market.contract.view("oracleHead()", ["uint64"]) == 3
    assert (found, reverted(market)) == ([], [])


class OtherValues:
    """What the journal says, but for funding."""

    def __init__(self, journal: JournalDeltas) -> None:
        """The deltas are those of `journal`."""
        self._journal = journal
        self.of_batch = journal.of_batch
        self.forget = journal.forget

    def values_of_batch(self, seq: int) -> dict[int, int]:
        """Another index than any batch had."""
        return {PERP: -seq}


def test_values_that_the_journal_does_not_have_are_reported(market: SettledMarket) -> None:
    """A round is the operator's word, and no proof against it exists yet: the watcher says so, and goes on."""
    calm: list[str] = []
    found: list[str] = []
    honest, suspicious = watcher_of(market, calm), watcher_of(market, found)
    suspicious._expected = OtherValues(market.deltas)
    market.run(OracleRound(round=1, funding=(FundingRow(PERP, 0),)))
    market.trade(2, 3, 600_000, 100, PERP)
    market.settle()
    head = market.contract.head()
    assert honest.step() == suspicious.step() == head
    line = "begins with other values than expected: no proof of that exists on chain"
    assert (calm, found) == ([], [f"batch {seq} {line}" for seq in range(1, head + 1)])
    assert reverted(market) == []


def lie(market: SettledMarket, call: PostCall) -> None:
    """Post past our own checks."""
    operator = Wallet(market.chain, account_key(SEED, OPERATOR_INDEX))
    operator.send(market.deployment.settlement, encode_post(call))


def test_a_wrong_root_is_reverted_by_the_watcher(market: SettledMarket) -> None:
    """F1 by itself: the batch falls, half of the bond is the watcher's, the settler stops and says why in one line."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    market.trade(2, 3, 600_000, 10, PERP)
    market.run_cut()
    (batch,) = market.build()
    market.side.store([replace(batch, new_root=b"\x66" * 32)], 0)
    market.work()
    assert market.contract.head() == batch.seq
    assert watcher.step() == batch.seq - 1
    assert watcher.step() == batch.seq - 1
    assert reverted(market) == [batch.seq]
    assert credit(market, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2
    assert len(found) == 1
    assert found[0].startswith(f"batch {batch.seq} is fraudulent (root 0x6666")
    step = market.work()
    assert step.status.state == "halted"
    assert step.status.detail.startswith(f"batch {batch.seq} was reverted on chain (transaction 0x")
    assert "nobody may post now" in step.status.detail


class Decoys:
    """The chain of an operator that posts through a contract: a node shows the outer call, which says what it likes."""

    def __init__(self, chain: Chain, outer: Mapping[bytes, bytes]) -> None:
        """`outer` is the calldata by transaction."""
        self._chain, self._outer = chain, outer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def transaction(self, tx_hash: bytes) -> TransactionInput | None:
        """The transaction with the outer calldata."""
        found = self._chain.transaction(tx_hash)
        return replace(found, data=self._outer[tx_hash]) if found and tx_hash in self._outer else found


@pytest.mark.parametrize("outer", ["another batch", "nothing"])
def test_a_batch_behind_a_decoy_is_never_taken_for_checked(market: SettledMarket, outer: str) -> None:
    """Threat "data withheld": garbage is posted, the transaction shows the honest batch, or no batch at all."""
    found: list[str] = []
    market.trade(2, 3, 600_000, 10, PERP)
    market.run_cut()
    (batch,) = market.build()
    market.side.store([replace(batch, new_root=b"\x66" * 32)], 0)
    market.work()
    head = market.chain.block("latest").number
    log = market.chain.logs(market.deployment.settlement, [BATCH_POSTED, batch.seq.to_bytes(32, "big")], 0, head)[-1]
    posted = read_batch_calldata(market.chain, market.deployment, batch.seq)
    honest = encode_post(
        PostCall(seq=batch.seq, new_root=batch.new_root, orders_root=batch.orders_root, h=posted.h, data=posted.data)
    )
    market.chain = Decoys(market.chain, {log.tx_hash: honest if outer == "another batch" else b"\x01"})
    watcher = watcher_of(market, found)
    for _ in range(2):
        assert watcher.step() == batch.seq - 1
    assert len(found) == 1
    assert found[0].startswith(f"batch {batch.seq} cannot be checked")


def forged(market: SettledMarket) -> PostCall:
    """A batch with the right root in which account 2 sells to account 3 for next to nothing; nobody signed that."""
    market.catch_up()
    now_s = market.now_ns // 10**9
    fill = Fill(
        buyer=3,
        seller=2,
        instrument=PERP,
        quantity_lots=50,
        notional_e6=100,
        buyer_fee_e6=0,
        seller_fee_e6=0,
        buyer_ref=b"\x01" * 32,
        seller_ref=b"\x02" * 32,
    )
    ledger = market.ledger.copy()
    batch = build_batch(
        ledger,
        BatchInput(
            seq=ledger.seq + 1,
            match_from_s=now_s,
            match_to_s=now_s,
            fills=[fill],
            order_fills=order_fills_of([fill]),
            requests=[],
            approvals_e6=[],
            request_up_to=ledger.request_done,
            fee_e6=0,
        ),
    )
    return PostCall(seq=batch.seq, new_root=batch.new_root, orders_root=batch.orders_root, h=batch.h, data=batch.data)


def test_a_forged_fill_is_asked_about_and_slashed(market: SettledMarket) -> None:
    """F2 by itself: the watcher asks for signatures that do not exist, and slashes when the time is over."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    call = forged(market)
    lie(market, call)
    market.trade(2, 3, 600_000, 1, PERP)  # what the journal's batch of this number holds
    market.run_cut()
    market.build()
    assert watcher.step() == call.seq
    market.chain.pass_time(ANSWER_S + 2)
    watcher.step()
    watcher.step()
    watcher.step()
    assert reverted(market) == [call.seq]
    bonds_e6 = 2 * CHALLENGE_BOND_E6
    assert credit(market, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2 + bonds_e6
    assert any("asking for its signatures" in line for line in found)
    assert any("slashing the operator" in line for line in found)
