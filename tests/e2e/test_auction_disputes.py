"""Auctions on the embedded chain: the leaves of a bid are answered for like any other, on either side."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.domain.auction_bids import BidInAuction
from exchange.domain.liquidations import AuctionTaken, FundPaid, LiquidationEnded, LiquidationStage
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.funded_accounts import OPERATOR_INDEX
from settlement.protocol.orders import OrderKind
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
from tests.e2e.test_forced_disputes import BIDDER, BORROWER, WINNER, fall, kinds_of
from tests.fakes.settled_market import SettledMarket
from tests.unit.exchange.engine.world import CALL, E6, PERP

LOW, CRASHED = 57_700, 56_980
"""Account 2 has 0.7 % of its perpetual left, less than two thirds of what it must; owes some forty dollars."""


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Account 2 is long one unit at 60,000 and short a hundredth of a call, with 3,000 USDC; fees filled the fund."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=WINDOW_S, answer_window_s=ANSWER_S))
    market.fund(BORROWER, 3_000 * E6)
    market.fund(WINNER)
    market.fund(BIDDER)
    market.take_requests()
    market.trade(WINNER, BIDDER, 600_000, 20_000, PERP)
    market.trade(BIDDER, WINNER, 600_000, 20_000, PERP)
    market.trade(BORROWER, WINNER, 600_000, 1_000, PERP)
    market.trade(WINNER, BORROWER, 1_500, 1, CALL)
    market.settle()
    yield market
    market.close()


@pytest.mark.parametrize(("price", "stage"), [(LOW, LiquidationStage.AUCTION), (CRASHED, LiquidationStage.INSOLVENT)])
def test_a_bid_is_answered_for(market: SettledMarket, price: int, stage: LiquidationStage) -> None:
    """The bidder and the account that was sold are asked about: nobody is slashed, and all of it becomes final."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    fall(market, price)
    (row,) = market.state.liquidations.values()
    lines = market.signed_lines(BIDDER, (CALL, 0, 0, 1, 1), (PERP, 600_000, 1_000, 0, 0))
    bid = BidInAuction(auction=row.auction, share_ppm=10**6, price_limit_e6=10**12, call=lines)
    events = market.run(bid)
    (taken,) = [event for event in events if isinstance(event, AuctionTaken)]
    assert taken.stage is stage
    assert any(isinstance(event, FundPaid) for event in events) == (stage is LiquidationStage.INSOLVENT)
    assert any(isinstance(event, LiquidationEnded) for event in events)
    market.trade(WINNER, BIDDER, 1_500, 1, CALL)
    market.run_cut()
    built = market.build()
    sold = next(batch for batch in built if OrderKind.LIQUIDATION in kinds_of(batch).get(BORROWER, ()))
    own = {OrderKind.LIQUIDATION} | ({OrderKind.FUND} if stage is LiquidationStage.INSOLVENT else set())
    assert kinds_of(sold)[BORROWER] == own
    assert kinds_of(sold)[BIDDER] >= {OrderKind.QUOTE}
    market.side.store(built, 0)
    market.work(steps=4 * len(built))
    head = market.contract.head()
    assert watcher.step() == head == built[-1].seq
    assert market.contract.root() == market.ledger.root
    questions = [(sold.seq, account, 0) for account in (BORROWER, BIDDER)]
    ask_about(market, questions)
    market.work(steps=4 * len(questions))
    assert credit(market, OPERATOR_INDEX) == len(questions) * CHALLENGE_BOND_E6
    assert credit(market, STRANGER) == 0
    market.chain.pass_time(WINDOW_S + 1)
    step = market.work(steps=4 * head)
    assert (step.status.finalized_seq, step.status.state) == (head, "idle")
    assert (found, reverted(market)) == ([], [])
    assert market.contract.view("bond()", ["uint64"]) == OPERATOR_BOND_E6
