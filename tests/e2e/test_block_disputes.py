"""Blocks on the embedded chain: every leg of either party is answered for; one that nobody signed is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.domain.blocks import BlockLeg, BlockTraded
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.funded_accounts import OPERATOR_INDEX
from settlement.protocol.orders import BadOrders, OrderKind
from tests.e2e.test_disputes import (
    ANSWER_S,
    CHALLENGE_BOND_E6,
    OPERATOR_BOND_E6,
    STRANGER,
    WINDOW_S,
    ask_about,
    credit,
    reverted,
    watcher_of,
)
from tests.e2e.test_forced_disputes import kinds_of
from tests.fakes.settled_market import SettledMarket
from tests.fakes.signed_blocks import signed_block
from tests.unit.exchange.engine.world import CALL, PERP, PUT

MAKER, TAKER, OTHER = 2, 3, 4
LEGS = (BlockLeg(CALL, 1_500, 10), BlockLeg(PERP, 600_000, -30), BlockLeg(PUT, 800, -10))


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Three funded accounts; account 2 has a session key, their deposits are posted."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=WINDOW_S, answer_window_s=ANSWER_S))
    for account in (MAKER, TAKER, OTHER):
        market.fund(account)
    market.key = market.register_key(MAKER, (MAKER,))
    market.take_requests()
    market.settle()
    yield market
    market.close()


def test_a_block_with_other_legs_than_were_signed_is_not_settled(market: SettledMarket) -> None:
    """A price, an amount or a party that no signature covers stops the settler before anything is posted."""
    good = signed_block(market, LEGS, maker=MAKER, taker=TAKER)
    events = market.run(replace(good, legs=(replace(LEGS[0], price_ticks=1_499), *LEGS[1:])))
    assert any(isinstance(event, BlockTraded) for event in events)
    market.run_cut()
    with pytest.raises(BadOrders, match="does not authorize RFQ"):
        market.build()


def test_both_parties_of_a_block_are_answered_for(market: SettledMarket) -> None:
    """Beside orders of the book in one batch, of an owner and of a key: nobody is slashed, all of it becomes final."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    market.trade(MAKER, TAKER, 600_000, 10, PERP)
    for maker, taker, keys in ((MAKER, TAKER, {MAKER: market.key}), (TAKER, MAKER, {MAKER: market.key})):
        events = market.run(signed_block(market, LEGS, maker=maker, taker=taker, keys=keys))
        assert any(isinstance(event, BlockTraded) for event in events)
    events = market.run(signed_block(market, LEGS[1:], maker=OTHER, taker=TAKER))
    assert any(isinstance(event, BlockTraded) for event in events)
    market.run_cut()
    (batch,) = market.build()
    assert kinds_of(batch) == {
        MAKER: {OrderKind.ORDER, OrderKind.RFQ}, TAKER: {OrderKind.ORDER, OrderKind.RFQ}, OTHER: {OrderKind.RFQ},
    }  # fmt: skip
    market.side.store([batch], 0)
    market.work()
    assert watcher.step() == market.contract.head() == batch.seq
    questions = [(batch.seq, account, 0) for account in (MAKER, TAKER, OTHER)]
    ask_about(market, questions)
    market.work(steps=12)
    assert credit(market, OPERATOR_INDEX) == len(questions) * CHALLENGE_BOND_E6
    assert credit(market, STRANGER) == 0
    market.chain.pass_time(WINDOW_S + 1)
    step = market.work(steps=12)
    assert (step.status.finalized_seq, step.status.state) == (batch.seq, "idle")
    assert (found, reverted(market)) == ([], [])
    assert market.contract.view("bond()", ["uint64"]) == OPERATOR_BOND_E6
