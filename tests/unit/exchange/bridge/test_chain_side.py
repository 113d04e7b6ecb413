"""The settler's blocking half on a contract: what is held back, the fee of now, and a freeze to its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.app.settle_ends import Look, SettleCode, UntilFrozen
from settlement.escape import calls
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.funded_accounts import OPERATOR_INDEX, account_key
from settlement.onchain.wallet import Wallet
from tests.fakes.settled_market import SEED, SettledMarket
from tests.unit.exchange.engine.world import PERP

WINDOW_S = 600


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Two funded accounts, their deposits posted."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=WINDOW_S))
    for account in (2, 3):
        market.fund(account)
    market.take_requests()
    market.settle()
    yield market
    market.close()


def store_a_batch(market: SettledMarket) -> int:
    """Trade, close and store, post nothing; the batch's number."""
    market.trade(2, 3, 600_000, 10, PERP)
    market.run_cut()
    (batch,) = market.build()
    market.side.store([batch], 0)
    return batch.seq


def test_a_batch_is_held_until_it_is_released(market: SettledMarket) -> None:
    """It waits with its cells, whatever else is done; then it goes."""
    seq = store_a_batch(market)
    for _ in range(3):
        step = market.side.step(0, seq - 1)
    assert (market.contract.head(), step.status.waiting_batches) == (seq - 1, 1)
    assert (step.last_seq, step.waiting_cells > 0, step.is_drained) == (seq, True, False)
    for _ in range(3):
        step = market.side.step(0, seq)
    assert (market.contract.head(), step.status.waiting_batches, step.waiting_cells) == (seq, 0, 0)


def test_what_stood_on_chain_before_does_not_grow(market: SettledMarket) -> None:
    """A turn for a timer counts what came on chain since its process began, also what the first look finds mined."""
    seq = store_a_batch(market)
    step = market.side.step(0, seq)
    assert (step.posted_before, step.status.head_seq) == (0, seq)
    market.restart_side()
    assert market.side.step(0).posted_before == seq


def test_finality_does_not_wait_for_a_release(market: SettledMarket) -> None:
    """What is posted becomes final while the next batch is held."""
    seq = store_a_batch(market)
    market.chain.pass_time(WINDOW_S + 1)
    for _ in range(6):
        step = market.side.step(0, seq - 1)
    assert (step.status.finalized_seq, market.contract.head()) == (seq - 1, seq - 1)


def test_the_fee_is_asked_once_a_second(market: SettledMarket) -> None:
    """Base fee and tip of the next block."""
    fees = market.chain.fees()
    market.chain.pass_time(5)
    seen = [market.side.step(0).fee_wei for _ in range(3)]
    assert seen[1:] == [None, None]
    assert 0 < seen[0] <= fees.base_fee_wei + fees.priority_fee_wei


def test_a_frozen_contract_is_left_when_all_that_was_posted_is_final(market: SettledMarket) -> None:
    """Until then the job goes on: finality and answers are still owed. The batch that was not posted never is."""
    seq = store_a_batch(market)
    operator = Wallet(market.chain, account_key(SEED, OPERATOR_INDEX))
    operator.send(market.deployment.settlement, calls.FREEZE)
    market.chain.pass_time(6)  # the contract is asked every few seconds
    ends = UntilFrozen()
    step = market.side.step(0)
    assert (step.is_frozen, step.is_drained, ends(Look(step=step))) == (True, False, None)
    market.chain.pass_time(WINDOW_S + 1)
    found = []
    for _ in range(12):
        step = market.side.step(0)
        found.append(ends(Look(step=step)))
    assert found[-1] is not None
    assert found[-1].code == SettleCode.NEEDS_PERSON
    assert f"batch {seq - 1} is final and the last for ever" in found[-1].line
    assert market.contract.finalized() == seq - 1 == market.contract.head()
