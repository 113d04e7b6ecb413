"""An idle exchange on the embedded chain: only where its settler is gone can a stranger freeze it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from settlement.escape.leaving import Leaving
from settlement.onchain.contract import PostCall, SettlementReader
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.funded_accounts import WATCHER_INDEX, account_key
from settlement.onchain.keep_alive import QUIET_PARTS
from settlement.onchain.posted import read_batch_calldata
from settlement.protocol.encoding import Header
from settlement.protocol.orders import orders_root
from settlement.protocol.signature import address_of
from tests.e2e.test_disputes import OPERATOR_BOND_E6, credit, lie, reverted, watcher_of
from tests.fakes.running_settler import RunningSettler
from tests.fakes.settled_market import SEED, SettledMarket
from tests.fakes.signed_market import key_of
from tests.unit.exchange.engine.world import PERP

FINALITY_S, FORCE_S, ESCAPE_S, GAP_S = 60, 200, 400, 80
"""Small windows, as a demonstration may have them."""
QUIET_S = ESCAPE_S // QUIET_PARTS
STEP_S = 20
STRANGER = 8
EMPTY = bytes(3)


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Two accounts with a position in a perpetual; the settler has not been started yet."""
    settings = DeploymentSettings(
        finality_window_s=FINALITY_S, force_delay_s=FORCE_S, escape_delay_s=ESCAPE_S, freeze_gap_s=GAP_S
    )
    market = SettledMarket(tmp_path, settings)
    for account in (2, 3):
        market.fund(account)
    market.take_requests()
    market.trade(2, 3, 600_000, 50, PERP)
    yield market
    market.close()


@pytest.fixture
def settler(market: SettledMarket, tmp_path: Path) -> RunningSettler:
    """A settler that has posted what was traded."""
    settler = RunningSettler(market, tmp_path, batch_interval_s=5.0)
    pass_time(market, settler, 4 * STEP_S)
    assert market.contract.head() == 2
    return settler


def pass_time(market: SettledMarket, settler: RunningSettler, seconds: int) -> None:
    """Let the settler step once in twenty seconds."""
    for _ in range(seconds // STEP_S):
        settler.step()
        market.chain.pass_time(STEP_S)


def stranger_of(market: SettledMarket) -> Leaving:
    """Somebody who calls `freeze` whenever the contract lets him."""
    return Leaving(market.chain, market.deployment.settlement, account_key(SEED, STRANGER), say=lambda _: None)


def is_frozen(market: SettledMarket) -> bool:
    """Whether posting has ended for ever."""
    return bool(market.contract.view("halted()", ["uint8"]) == 2)


def test_an_idle_exchange_cannot_be_frozen_while_its_settler_runs(
    market: SettledMarket, settler: RunningSettler
) -> None:
    """Two escape delays without a trade: one batch per quarter of it, and a stranger who tries at each turn."""
    stranger, first = stranger_of(market), market.contract.head()
    for _ in range(2 * ESCAPE_S // STEP_S):
        pass_time(market, settler, STEP_S)
        assert "not overdue" in stranger.step().reason
    posted = market.contract.head() - first
    assert 2 * ESCAPE_S // (QUIET_S + 3 * STEP_S) <= posted <= 2 * ESCAPE_S // QUIET_S
    assert not is_frozen(market)


def test_empty_batches_are_batches(market: SettledMarket, settler: RunningSettler) -> None:
    """Three bytes, no leaf, the root as it was but for funding; final like others, and nobody objects."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    pass_time(market, settler, 3 * QUIET_S)
    head = market.contract.head()
    assert head > 3
    for seq in range(3, head + 1):
        batch = read_batch_calldata(market.chain, market.deployment, seq)
        assert (batch.data, batch.orders_root) == (EMPTY, orders_root([]))
        assert batch.header.match_from_s == batch.header.match_to_s
        assert batch.header.fee_e6 == 0
    assert watcher.step() == head
    assert (found, reverted(market)) == ([], [])
    assert market.contract.finalized() >= head - 1
    assert market.ledger.root == market.contract.root()
    market.ledger.check()


def test_an_exchange_that_trades_posts_nothing_more(market: SettledMarket, settler: RunningSettler) -> None:
    """With a trade in each turn every batch has one; a batch takes two turns, and the last is on its way."""
    first, turns = market.contract.head(), 2 * QUIET_S // STEP_S
    for _ in range(turns):
        market.prices()
        market.trade(2, 3, 600_000, 1, PERP)
        market.catch_up()
        pass_time(market, settler, STEP_S)
    head = market.contract.head()
    assert head >= first + turns // 2 - 1
    posted = [read_batch_calldata(market.chain, market.deployment, seq) for seq in range(first + 1, head + 1)]
    assert all(batch.data != EMPTY for batch in posted)


def test_without_its_settler_it_is_frozen_in_two_calls(market: SettledMarket, settler: RunningSettler) -> None:
    """The same stranger, and an operator who is gone; behind empty batches everybody is paid as behind others."""
    pass_time(market, settler, 2 * QUIET_S)
    stranger = stranger_of(market)
    market.chain.pass_time(ESCAPE_S + STEP_S)
    wait = stranger.step()
    assert "second call" in wait.reason
    while wait is not None:
        market.chain.pass_time(wait.until_s - market.chain.now_s)
        wait = stranger.step()
    assert is_frozen(market)
    venue_e6 = sum(market.ledger.account(account).cash_e6 for account in (0, 1))
    token = SettlementReader(market.chain, market.deployment.token)
    paid_e6 = [token.view("balanceOf(address)", ["uint256"], address_of(key_of(account))) for account in (2, 3)]
    assert sum(paid_e6) == market.ledger.collateral_e6 - venue_e6
    assert min(paid_e6) > 0


def test_a_settler_that_comes_back_takes_the_notice_away(market: SettledMarket, settler: RunningSettler) -> None:
    """Between the two calls one turn of it is enough, though there is nothing to settle."""
    stranger = stranger_of(market)
    market.chain.pass_time(ESCAPE_S + STEP_S)
    stranger.step()
    pass_time(market, settler, 3 * STEP_S)
    market.chain.pass_time(GAP_S)
    assert "not overdue" in stranger.step().reason
    assert not is_frozen(market)


def test_an_empty_batch_with_another_root_is_reverted(market: SettledMarket, settler: RunningSettler) -> None:
    """Nothing listed, nothing moved, and somebody else's root: F1 as for any other batch."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    pass_time(market, settler, STEP_S)
    last = market.contract.head()
    before = read_batch_calldata(market.chain, market.deployment, last).header
    now_s = market.chain.now_s
    header = Header(
        request_up_to=before.request_up_to,
        oracle_round=before.oracle_round,
        match_from_s=now_s,
        match_to_s=now_s,
        fee_e6=0,
    )
    lie(
        market,
        PostCall(seq=last + 1, new_root=b"\x66" * 32, orders_root=orders_root([]), h=header.pack(), data=EMPTY),
    )
    watcher.step()
    watcher.step()
    assert reverted(market) == [last + 1]
    assert credit(market, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2
    assert len(found) == 1
