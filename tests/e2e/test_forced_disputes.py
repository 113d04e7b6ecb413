"""Liquidation on the embedded chain: an honest venue answers for it by itself, a dishonest one is slashed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.domain.commands import Side
from exchange.domain.liquidations import Deleveraged, FundPaid, LiquidationEnded
from settlement.onchain.contract import HEADER_TYPE, encode_call
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.errors import CallReverted
from settlement.onchain.funded_accounts import OPERATOR_INDEX, account_key
from settlement.onchain.outbox import BuiltBatch
from settlement.onchain.wallet import Wallet
from settlement.protocol.batch import BatchInput, Fill, build_batch, order_fills_of
from settlement.protocol.evidence import ForcedAccount, ForcedLeaf
from settlement.protocol.forced import NotAllowed, check_forced_leaves
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.orders import OrderKind, engine_ref, sorted_order_fills
from settlement.protocol.state_tree import leaf_preimage
from settlement.watch import chain_calls
from tests.e2e.test_disputes import (
    ANSWER_S,
    CHALLENGE_BOND_E6,
    OPERATOR_BOND_E6,
    STRANGER,
    WINDOW_S,
    ask_about,
    credit,
    header_of,
    reverted,
    watcher_of,
)
from tests.fakes.settled_market import SEED, SettledMarket
from tests.unit.exchange.engine.world import CALL, E6, PERP, SECOND_NS

BORROWER, WINNER, BIDDER = 2, 3, 4
FALLEN, CRASHED = 58_100, 55_000
FUND = 0


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Account 2 is long one unit at 60,000 with 3,000 USDC against account 3, and account 4 has money."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=WINDOW_S, answer_window_s=ANSWER_S))
    market.fund(BORROWER, 3_000 * E6)
    market.fund(WINNER)
    market.fund(BIDDER)
    market.take_requests()
    market.trade(BORROWER, WINNER, 600_000, 1_000, PERP)
    market.trade(WINNER, BIDDER, 1_500, 2, CALL)
    market.settle()
    yield market
    market.close()


def fall(market: SettledMarket, price: int) -> list[object]:
    """New prices and the Clock that looks at the accounts."""
    market.prices(price)
    return list(market.clock())


def kinds_of(batch: BuiltBatch) -> dict[int, set[OrderKind]]:
    """Kinds of leaves by account."""
    kinds: dict[int, set[OrderKind]] = {}
    for leaf in batch.evidence:
        kinds.setdefault(leaf.fill.account, set()).add(leaf.fill.kind)
    return kinds


def test_a_liquidation_is_answered_for(market: SettledMarket) -> None:
    """The borrower, who bought from him, who gave way are asked about: nobody is slashed."""
    found: list[str] = []
    watcher = watcher_of(market, found)
    market.run(market.signed(BIDDER, Side.BUY, 581_000, 200, PERP))
    fall(market, FALLEN)
    market.trade(WINNER, BIDDER, 1_500, 1, CALL)
    crashed = fall(market, CRASHED)
    assert {FundPaid, Deleveraged, LiquidationEnded} <= {type(event) for event in crashed}
    market.run_cut()
    built = market.build()
    on_book, paid = (
        next(batch for batch in built if kind in kinds_of(batch).get(BORROWER, ()))
        for kind in (OrderKind.LIQUIDATION, OrderKind.FUND)
    )
    assert kinds_of(on_book)[BIDDER] >= {OrderKind.ORDER}
    assert kinds_of(paid) == {
        BORROWER: {OrderKind.LIQUIDATION, OrderKind.FUND},
        WINNER: {OrderKind.ADL},
    }
    market.side.store(built, 0)
    market.work(steps=4 * len(built))
    head = market.contract.head()
    assert watcher.step() == head == built[-1].seq
    assert market.contract.root() == market.ledger.root
    questions = [
        *((on_book.seq, account, 0) for account in (BORROWER, BIDDER)),
        *((paid.seq, account, 0) for account in (WINNER, BORROWER)),
    ]
    with pytest.raises(CallReverted):
        ask_about(market, [(paid.seq, FUND, 0)])  # its change is the header's fee, which F1 judges
    ask_about(market, questions)
    market.work(steps=4 * len(questions))
    assert credit(market, OPERATOR_INDEX) == len(questions) * CHALLENGE_BOND_E6
    assert credit(market, STRANGER) == 0
    market.chain.pass_time(WINDOW_S + 1)
    step = market.work(steps=4 * head)
    assert (step.status.finalized_seq, step.status.state) == (head, "idle")
    assert (found, reverted(market)) == ([], [])
    assert market.contract.view("bond()", ["uint64"]) == OPERATOR_BOND_E6


def forged_fill(held: int, lie: str, borrower: int) -> Fill:
    """The bidder takes a tenth of what the borrower holds, or gives him as much; a bad price is 6 % below the mark."""
    lots = held // 10 if lie == "grown position" else -held // 10
    own = (borrower, OrderKind.LIQUIDATION, engine_ref(OrderKind.LIQUIDATION, 1))
    other = (BIDDER, OrderKind.ORDER, b"\x02" * 32)
    buyer, seller = (own, other) if lots > 0 else (other, own)
    return Fill(
        buyer=buyer[0],
        seller=seller[0],
        instrument=PERP,
        quantity_lots=abs(lots),
        notional_e6=abs(lots) * 58_100 * 1_000 * (94 if lie == "bad price" else 100) // 100,
        buyer_fee_e6=0,
        seller_fee_e6=0,
        buyer_ref=buyer[2],
        seller_ref=seller[2],
        buyer_kind=buyer[1],
        seller_kind=seller[1],
    )


def forged_liquidation(market: SettledMarket, lie: str, borrower: int) -> BuiltBatch:
    """A batch with the right root in which the bidder takes lots from an account that signed nothing."""
    market.catch_up()
    now_s, ledger = market.now_ns // SECOND_NS, market.ledger
    fill = forged_fill(ledger.account(borrower).positions[PERP][0], lie, borrower)
    fills = order_fills_of([fill])
    number = market.contract.view("lastRound()", ["uint64"]) + 1
    opening = OracleVector(
        round_number=number, rows={PERP: MarkRow(mark_e6=58_100_000), CALL: MarkRow(mark_e6=15_000_000)}
    )
    with pytest.raises(NotAllowed):
        check_forced_leaves(ledger.accounts, fills, opening, ())
    kept = ForcedAccount(leaf_preimage(ledger.account(borrower)), b"".join(ledger.tree.multiproof([borrower])))
    batch = build_batch(
        ledger.copy(),
        BatchInput(
            seq=ledger.seq + 1,
            match_from_s=now_s,
            match_to_s=now_s,
            fills=[fill],
            order_fills=fills,
            requests=[],
            approvals_e6=[],
            request_up_to=ledger.request_done,
            fee_e6=0,
            opening=opening,
        ),
    )
    return BuiltBatch.of(
        batch,
        {},
        journal_range=(market.state.sequence, market.state.sequence),
        vector=opening.encode(),
        evidence=[ForcedLeaf(row) for row in sorted_order_fills(fills)],
        forced={borrower: kept},
    )


def slash(market: SettledMarket, seq: int, account: int) -> None:
    """The stranger ends his question."""
    header = header_of(market, seq)
    call = encode_call(
        f"slashUnanswered(bytes32,{HEADER_TYPE},{HEADER_TYPE})",
        chain_calls.challenge_id(header, account),
        header_of(market, seq - 1),
        header,
    )
    Wallet(market.chain, account_key(SEED, STRANGER)).send(market.deployment.settlement, call)


@pytest.mark.parametrize("lie", ["bad price", "grown position", "solvent account"])
def test_a_dishonest_liquidation_is_slashed(market: SettledMarket, lie: str) -> None:
    """No proof is taken for it: when the time is over, the stranger who asked has half of the bond."""
    borrower = WINNER if lie == "solvent account" else BORROWER
    batch = forged_liquidation(market, lie, borrower)
    market.side.store([batch], 0)
    market.work(steps=8)
    assert market.contract.head() == batch.seq
    ask_about(market, [(batch.seq, borrower, 0)])
    step = market.work(steps=4)
    assert step.status.state == "blocked"
    assert "cannot be answered" in step.status.detail
    market.chain.pass_time(ANSWER_S + 2)
    slash(market, batch.seq, borrower)
    assert reverted(market) == [batch.seq]
    assert credit(market, STRANGER) == OPERATOR_BOND_E6 // 2 + CHALLENGE_BOND_E6
