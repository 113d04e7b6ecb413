"""Honest batches under any commands: no refusal and no round of theirs can be proven wrong (F4, F5)."""

import random
from collections.abc import Mapping, Sequence

import pytest

from exchange.bridge.assembler import BatchAssembler
from exchange.bridge.self_check import check_disputes
from exchange.domain.commands import BatchCut, ChainRequest, ChainRequestKind, Command
from exchange.domain.ids import FIRST_USER_ACCOUNT
from exchange.domain.packing import CommandEvents
from exchange.engine.accounts import withdrawable_e6
from exchange.engine.apply import apply
from exchange.engine.state import State
from exchange.engine.states import new_state
from matching_core import OrderBook
from settlement.protocol.batch import BatchInput
from settlement.protocol.ledger import LedgerState
from settlement.protocol.linear_bounds import ListedTerms
from settlement.protocol.refusal import WrongRefusal, wrong_refusals
from settlement.protocol.transition import RequestKind
from tests.differential.engine_commands import FastStream
from tests.differential.test_ledger_of_rounds import CONFIG, as_the_chain_sends, more, settle

COMMANDS = 16_000


def found(
    ledger: LedgerState, batch: BatchInput, approved_e6: Sequence[int], terms: Mapping[int, ListedTerms]
) -> list[WrongRefusal]:
    """Proofs that would hold if the batch had approved these amounts."""
    return list(
        wrong_refusals(ledger.accounts, batch.requests, approved_e6, ledger.collateral_e6, batch.opening, terms)
    )


def withdrawals(state: State, rng: random.Random) -> list[Command]:
    """Requests of a few accounts in a batch of their own: about what is there, far more, and money in between."""
    commands: list[Command] = [BatchCut()]
    kinds = ChainRequestKind.WITHDRAW, ChainRequestKind.WITHDRAW, ChainRequestKind.DEPOSIT
    accounts = sorted(index for index in state.accounts if index >= FIRST_USER_ACCOUNT)
    for place, account in enumerate(rng.choices(accounts, k=4) if accounts else (), 1):
        free_e6 = withdrawable_e6(state, state.accounts[account])
        amount_e6 = rng.choice((free_e6 // 3, free_e6 + rng.randrange(-2, 3), 10**9, 10**16))
        index = state.request_index + place
        kind = rng.choice(kinds)
        amount_e6 = min(max(amount_e6, 1), 10**12 if kind is ChainRequestKind.DEPOSIT else 10**16)
        commands.append(ChainRequest(index=index, kind=kind, account=account, amount_e6=amount_e6))
    return [*commands, BatchCut()]


@pytest.mark.parametrize("seed", [5, 6])
def test_nothing_honest_can_be_proven_wrong(seed: int) -> None:
    """Positions, funding, expiries, several requests a batch; the same batches with nothing approved are caught."""
    # The chain's floor knows no Portfolio Margin, which is not offered for that reason.
    state, stream = new_state(OrderBook, CONFIG), FastStream(seed, draws_portfolios=False, draws_limits=True)
    assembler, ledger, rounds, ended = BatchAssembler(), LedgerState(), set[int](), set[int]()
    opening, rng = list(stream.opening()), random.Random(seed)
    refused = with_positions = caught = 0
    for number in range(COMMANDS):
        if not stream.upcoming:
            stream.upcoming.extend(more(stream, number))
            if number % 20 == 0:
                stream.upcoming.extend(withdrawals(state, rng))
        command, now_ns = opening[number] if number < len(opening) else stream.next()
        events = apply(state, as_the_chain_sends(state, command), now_ns)
        for assembled in assembler.take(CommandEvents(state.sequence, now_ns, events)):
            batch = assembled.input
            check_disputes(ledger, assembled)
            rounds.add(batch.opening.round_number)
            ended |= batch.opening.ending
            assert ended.isdisjoint(batch.opening.rows.keys() - batch.opening.ending)
            asked = [row for row in batch.requests if row.kind is RequestKind.WITHDRAW]
            partly = [row for row, paid in zip(asked, batch.approvals_e6, strict=True) if paid < row.amount_e6]
            refused += len(partly)
            with_positions += sum(bool(ledger.account(row.account).positions) for row in partly)
            caught += len(found(ledger, batch, [0] * len(batch.approvals_e6), assembled.terms))
            settle(ledger, batch)
    assert refused > 100
    assert with_positions > 50
    assert caught > 100
    assert len(rounds) > 100
