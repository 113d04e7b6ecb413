"""What could be proven of a batch stops the settler before it is built; an honest batch passes."""

from dataclasses import replace

import pytest

from exchange.bridge.assembler import AssembledBatch, BadEvents
from exchange.bridge.self_check import check_disputes
from settlement.protocol.batch import BatchInput
from settlement.protocol.ledger import Effect, LedgerState
from settlement.protocol.linear_bounds import LARGE_CAP, BoundTerms, ListedTerms
from settlement.protocol.oracle import NO_ROUND, MarkRow, OracleVector
from settlement.protocol.state_tree import Account
from settlement.protocol.transition import ChainRequest, RequestKind

PERP, OPTION = 0x80000001, 1
UNDERLYING = 7
TERMS = {
    PERP: ListedTerms(
        bounds=BoundTerms(is_perpetual=True, lot_e18=10**15, factor_class=LARGE_CAP), underlying=UNDERLYING
    ),
    OPTION: ListedTerms(
        bounds=BoundTerms(is_perpetual=False, lot_e18=10**16, factor_class=LARGE_CAP), underlying=UNDERLYING
    ),
}
ROUND = OracleVector(
    round_number=1, rows={PERP: MarkRow(mark_e6=100, fund_index=0)}, index_e6={UNDERLYING: 50_000 * 10**6}
)
ENDED = replace(ROUND, rows={OPTION: MarkRow(payoff_e12=0)})


def ledger_with(account: Account) -> LedgerState:
    """One account, 2, and as much collateral as it has cash."""
    ledger = LedgerState()
    effect = Effect(accounts={2: account}, collateral_e6=account.cash_e6, request_done=0, last_match_to_s=0)
    ledger.commit(effect)
    return ledger


def batch(
    *, approved_e6: int | None = None, before: OracleVector = NO_ROUND, opening: OracleVector = NO_ROUND
) -> AssembledBatch:
    """A batch of one withdrawal of 100 units at most, ten seconds behind the one before."""
    asked = [] if approved_e6 is None else [ChainRequest(index=1, kind=RequestKind.WITHDRAW, account=2, amount_e6=100)]
    inputs = BatchInput(
        seq=1,
        match_from_s=19,
        match_to_s=19,
        fills=[],
        order_fills=[],
        requests=asked,
        approvals_e6=[] if approved_e6 is None else [approved_e6],
        request_up_to=len(asked),
        fee_e6=0,
        opening=opening,
    )
    return AssembledBatch(
        input=inputs, first_sequence=1, last_sequence=1, round_s=19, before=before, before_s=10, terms=TERMS
    )


@pytest.mark.parametrize(
    ("cash_e6", "approved_e6", "owed_e6"), [(1, 0, 1), (60, 59, 1), (1_000, 40, 60), (1_000, 0, 100)]
)
def test_a_refusal_of_what_is_there_stops(cash_e6: int, approved_e6: int, owed_e6: int) -> None:
    """Named with its request and by how much it is short."""
    with pytest.raises(BadEvents, match=rf"batch 1 would be slashed: request 1 of account 2 .* {owed_e6} more"):
        check_disputes(ledger_with(Account(b"\x02" * 20, cash_e6)), batch(approved_e6=approved_e6))


@pytest.mark.parametrize(("cash_e6", "approved_e6"), [(0, 0), (-5, 0), (60, 60), (1_000, 100)])
def test_an_honest_refusal_passes(cash_e6: int, approved_e6: int) -> None:
    """Nothing there, all that is there, all that was asked."""
    check_disputes(ledger_with(Account(b"\x02" * 20, cash_e6)), batch(approved_e6=approved_e6))


@pytest.mark.parametrize(
    ("account", "opening"),
    [
        (Account(b"\x02" * 20, 0), NO_ROUND),
        (Account(b"\x02" * 20, 9), NO_ROUND),
        (Account(b"\x02" * 20, 1_000, {PERP: (1, 0)}), replace(ROUND, rows={})),
        (Account(b"\x02" * 20, 1_000, {OPTION: (-10, 0)}), replace(ROUND, rows={OPTION: MarkRow(mark_e6=100)})),
    ],
)
def test_an_approval_without_cover_stops(account: Account, opening: OracleVector) -> None:
    """No cash, too little, a perpetual without a mark, options that owe more than there is."""
    with pytest.raises(BadEvents, match="request 1 of account 2 was approved without cover"):
        check_disputes(ledger_with(account), batch(approved_e6=10, opening=opening))


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (replace(ROUND, round_number=2, index_e6={}), "the price of underlying 7 is gone"),
        (replace(ROUND, round_number=2, index_e6={UNDERLYING: 60_000 * 10**6}), "the price of underlying 7 went from"),
        (replace(ROUND, round_number=2, rows={PERP: MarkRow(fund_index=10**12)}), f"instrument {PERP} went from"),
        (replace(ROUND, round_number=2, rows={OPTION: MarkRow(payoff_e12=5)}), f"instrument {OPTION} went from"),
    ],
)
def test_a_round_that_goes_too_far_stops(after: OracleVector, reason: str) -> None:
    """A price that is gone, one that jumps, funding that jumps, a payoff without settlement price."""
    with pytest.raises(BadEvents, match=f"batch 1 would be slashed: {reason}"):
        check_disputes(LedgerState(), batch(before=ROUND, opening=after))


def test_a_payoff_that_goes_while_somebody_holds_it_stops() -> None:
    """And may go when nobody does."""
    gone = replace(ENDED, round_number=2, rows={})
    with pytest.raises(BadEvents, match=f"instrument {OPTION} went from"):
        check_disputes(ledger_with(Account(b"\x02" * 20, 1, {OPTION: (3, 0)})), batch(before=ENDED, opening=gone))
    check_disputes(ledger_with(Account(b"\x02" * 20, 1, {PERP: (3, 0)})), batch(before=ENDED, opening=gone))


@pytest.mark.parametrize("before", [NO_ROUND, replace(ROUND, round_number=2)])
def test_the_first_round_and_the_same_round_are_free(before: OracleVector) -> None:
    """There is nothing to compare with."""
    check_disputes(
        LedgerState(), batch(before=before, opening=replace(ROUND, round_number=2, index_e6={UNDERLYING: 1}))
    )
