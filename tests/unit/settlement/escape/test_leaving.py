"""The escape from a contract of the real exchange, by chain data alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.domain.rounds import FundingRow, OracleRound
from settlement.escape import calls
from settlement.escape.leaving import EscapeFailed, Leaving, Wait
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.errors import CallReverted
from settlement.onchain.funded_accounts import OPERATOR_INDEX, account_key
from settlement.onchain.wallet import Wallet
from settlement.protocol.oracle import decode_vector
from settlement.protocol.positions import equity_e6, settle_positions
from settlement.protocol.signature import address_of
from settlement.watch.watcher import Watcher
from tests.fakes.settled_market import SEED, SettledMarket
from tests.fakes.signed_market import key_of
from tests.unit.exchange.engine.world import CALL, PERP, PUT

WINDOW_S, FORCE_S, ESCAPE_S, GAP_S, CLAIM_S = 600, 1_000, 3_000, 400, 5_000
STRANGER = 8
ACCOUNTS = (2, 3, 4)
DEPOSIT_E6 = 100_000 * 10**6


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Three accounts with positions in a perpetual and two options, funding paid by some, all posted."""
    settings = DeploymentSettings(
        finality_window_s=WINDOW_S,
        force_delay_s=FORCE_S,
        escape_delay_s=ESCAPE_S,
        freeze_gap_s=GAP_S,
        claim_period_s=CLAIM_S,
    )
    market = SettledMarket(tmp_path, settings)
    for account in ACCOUNTS:
        market.fund(account, DEPOSIT_E6)
    market.take_requests()
    market.settle()
    market.run(OracleRound(round=1, funding=(FundingRow(PERP, 100_000),)))
    market.trade(2, 3, 600_000, 300, PERP)
    market.trade(3, 4, 1_500, 7, CALL)
    market.trade(4, 2, 800, 5, PUT)
    market.settle()
    market.clock(1)
    market.run(OracleRound(round=2))
    market.prices(index=61_000, call=1_900, put=500)
    market.trade(3, 4, 610_000, 1, PERP)
    market.prices(index=62_000)
    market.settle()
    yield market
    market.close()


def leaving_of(market: SettledMarket, said: list[str], account: int | None = None) -> Leaving:
    """A stranger with nothing but the chain and the address."""
    key = account_key(SEED, STRANGER)
    return Leaving(market.chain, market.deployment.settlement, key, account=account, say=said.append)


def leave(market: SettledMarket, leaving: Leaving) -> list[Wait]:
    """Step until all is done, with time passing where it must; what was waited for."""
    waits: list[Wait] = []
    while (wait := leaving.step()) is not None:
        waits.append(wait)
        assert wait.until_s > market.chain.now_s
        market.chain.pass_time(wait.until_s - market.chain.now_s)
    return waits


def owed_e6(market: SettledMarket) -> dict[int, int]:
    """Equity by the settler's ledger at the last published round."""
    rows = [row for row in market.side._outbox.batches(limit=10) if row.vector]
    vector = decode_vector(1, rows[0].vector)
    worth = {}
    for account in ACCOUNTS:
        row = market.ledger.account(account)
        kept, gained_e6 = settle_positions(row.positions, vector)
        worth[account] = equity_e6(row.cash_e6 + gained_e6, kept, vector)
    return worth


def balance_e6(market: SettledMarket, account: int) -> int:
    """Tokens of an account's owner."""
    token = SettlementReader(market.chain, market.deployment.token)
    return int(token.view("balanceOf(address)", ["uint256"], address_of(key_of(account))))


def test_an_operator_that_posts_is_left_alone(market: SettledMarket) -> None:
    """Before the escape delay nothing is sent, and the next possible time is named."""
    said: list[str] = []
    wait = leaving_of(market, said).step()
    assert wait is not None
    assert wait.until_s == market.contract.view("lastPost()", ["uint40"]) + ESCAPE_S
    assert "not overdue" in wait.reason
    assert said == []


def test_everybody_leaves_with_what_the_books_owe(market: SettledMarket) -> None:
    """Two calls of freeze, windows, marks, claims, payments; a deposit that nobody took goes back; no second exit."""
    owed = owed_e6(market)
    market.fund(5, 500 * 10**6)
    said: list[str] = []
    waits = leave(market, leaving_of(market, said))
    assert ["overdue" in wait.reason for wait in waits] == [True, False, False]
    assert {account: balance_e6(market, account) for account in ACCOUNTS} == owed
    assert balance_e6(market, 5) == 500 * 10**6
    assert owed[2] != DEPOSIT_E6
    assert leaving_of(market, said).step() is None
    assert {account: balance_e6(market, account) for account in ACCOUNTS} == owed
    for calldata, error in (
        (calls.pay(2), "NothingThere()"),
        (calls.claim(2, bytes(36), bytes(640)), "AlreadyClaimed()"),
    ):
        with pytest.raises(CallReverted) as refusal:
            market.chain.call(market.deployment.settlement, calldata)
        assert calls.is_refusal(refusal.value.data, error)


@pytest.mark.dispute_search
def test_the_marks_are_those_that_the_head_began_with(market: SettledMarket) -> None:
    """Marks, funding and the mark of every listed instrument stand in the round of the final head's header."""
    row = next(row for row in market.side._outbox.batches(limit=10) if row.vector)
    rows = decode_vector(1, row.vector).rows
    assert rows[PERP].fund_index > 0
    assert (rows[PERP].mark_e6, rows[CALL].mark_e6, rows[PUT].mark_e6) == (61_000_000, 19_000_000, 5_000_000)


@pytest.mark.dispute_search
def test_one_account_leaves_alone(market: SettledMarket) -> None:
    """Whoever serves one account leaves the others' claims to others."""
    owed = owed_e6(market)
    said: list[str] = []
    leave(market, leaving_of(market, said, account=3))
    assert [balance_e6(market, account) for account in ACCOUNTS] == [0, owed[3], 0]
    leave(market, leaving_of(market, said))
    assert {account: balance_e6(market, account) for account in ACCOUNTS} == owed


@pytest.mark.dispute_search
def test_a_node_that_hides_a_batch_is_found_out(market: SettledMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts that do not lead to the contract's root are claimed by nobody."""
    leaving = leaving_of(market, [])
    for _ in range(2):
        wait = leaving.step()
        assert wait is not None
        market.chain.pass_time(wait.until_s - market.chain.now_s)
    assert leaving._freeze() is None
    market.chain.pass_time(WINDOW_S)
    assert leaving._finalize() is None
    leaving._reading.step()
    tree = leaving._reading.history.tree
    monkeypatch.setitem(tree.accounts, 2, tree.account(2)._replace(cash_e6=1))
    tree.change({2: tree.account(2)})
    with pytest.raises(EscapeFailed, match="does the node serve every block"):
        leaving.step()


def test_settler_and_watcher_of_a_frozen_contract_say_so(market: SettledMarket) -> None:
    """A batch behind the freeze waits for ever, with the reason; those before it still become final."""
    operator = Wallet(market.chain, account_key(SEED, OPERATOR_INDEX))
    operator.send(market.deployment.settlement, calls.FREEZE)
    market.trade(2, 3, 610_000, 1, PERP)
    status = market.settle().status
    assert status.state == "halted"
    assert "frozen" in status.detail
    head = market.contract.head()
    market.chain.pass_time(WINDOW_S + 1)
    market.work(12)
    assert market.contract.finalized() == head
    found: list[str] = []
    deployment = market.deployment
    watcher = Watcher(
        market.chain,
        deployment.settlement,
        deployment.token,
        deployment.deploy_block,
        account_key(SEED, STRANGER),
        say=found.append,
    )
    watcher.step()
    assert found == [watcher.freeze]
    assert "frozen" in watcher.freeze
