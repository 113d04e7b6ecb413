"""Honest batches under any commands: no account, no refusal and no round of theirs can be proven wrong (F3 to F5)."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from exchange.bridge.assembler import BadEvents, BatchAssembler
from exchange.bridge.self_check import check_disputes
from exchange.domain.commands import BatchCut, ChainRequest, ChainRequestKind, Command
from exchange.domain.ids import FIRST_USER_ACCOUNT
from exchange.domain.packing import CommandEvents
from exchange.domain.portfolio import MarginKind, SetMarginKind
from exchange.domain.result_codes import ResultCode
from exchange.engine import amendments, auctions, mass_quotes, orders, portfolio_margin
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
BETWEEN_PRICES_AND_CLOCK = 10, 34, 35
"""Seeds in which two batches end between a jump and its Clock, with fills of accounts not looked at (D-057)."""
PORTFOLIOS_BETWEEN = 108, 126, 139
"""The same with Portfolio Margin."""


def sought(*seeds: int) -> list[object]:
    """Seeds that `make disputes` alone runs."""
    return [pytest.param(seed, marks=pytest.mark.dispute_search) for seed in seeds]


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


@pytest.mark.parametrize("seed", [*BETWEEN_PRICES_AND_CLOCK[:2], *sought(BETWEEN_PRICES_AND_CLOCK[2], 5, 6, 7, 8)])
def test_nothing_honest_can_be_proven_wrong(seed: int) -> None:
    """Positions, funding, expiries, several requests a batch; the same batches with nothing approved are caught."""
    state, stream = new_state(OrderBook, CONFIG), FastStream(seed, draws_limits=True)
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


class PortfolioStream(FastStream):
    """Accounts have the money that Portfolio Margin asks for, many choose it, and scenarios are seldom old."""

    def __init__(self, seed: int) -> None:
        """Everything is a function of `seed`."""
        self.wealth = random.Random(seed + 4 * 10**9)
        super().__init__(seed)

    def request(self, kind: ChainRequestKind, account: int, **fields: object) -> ChainRequest:
        """With the least equity or little more, so that many come near their limits."""
        if kind is ChainRequestKind.DEPOSIT:
            fields["amount_e6"] = self.wealth.choice((10, 10, 11, 12)) * 10**9
        return super().request(kind, account, **fields)

    def choices(self) -> list[Command]:
        """New scenarios, and eight accounts that want Portfolio Margin."""
        accounts = self.wealth.sample(range(2, 2 + self.accounts), 8)
        wanted = [SetMarginKind(subaccount=account, kind=MarginKind.PORTFOLIO) for account in accounts]
        return [self.portfolios.scenarios(self.now_ns, self.index), *wanted]


def drive(stream: PortfolioStream, commands: int) -> Counter[str]:
    """Settle everything that so many commands fill; raises BadEvents for a batch that anyone could prove wrong."""
    state, assembler, ledger = new_state(OrderBook, CONFIG), BatchAssembler(), LedgerState()
    opening, rng, counts = list(stream.opening()), random.Random(stream.accounts), Counter[str]()
    for number in range(commands):
        if not stream.upcoming and number >= len(opening):
            stream.upcoming.extend(more(stream, number))
            stream.upcoming.extend(withdrawals(state, rng) if number % 20 == 0 else ())
            stream.upcoming.extend(stream.choices() if number % 300 == 0 else ())
        command, now_ns = opening[number] if number < len(opening) else stream.next()
        events = apply(state, as_the_chain_sends(state, command), now_ns)
        for assembled in assembler.take(CommandEvents(state.sequence, now_ns, events)):
            check_disputes(ledger, assembled)
            settle(ledger, assembled.input)
            sides = [side for fill in assembled.input.fills for side in (fill.buyer, fill.seller)]
            counts["fills"] += sum(side in state.scenarios.accounts for side in sides)
            counts["batches"] += 1
        counts["portfolios"] = max(counts["portfolios"], len(state.scenarios.accounts))
    return counts


@pytest.mark.parametrize("seed", [100, PORTFOLIOS_BETWEEN[0], *sought(*PORTFOLIOS_BETWEEN[1:], 101, 102, 103)])
def test_no_batch_of_accounts_with_portfolio_margin_can_be_proven_wrong(seed: int) -> None:
    """Twenty of them trade options and perpetuals, through crashes, liquidations and withdrawals."""
    counts = drive(PortfolioStream(seed), COMMANDS)
    assert counts["batches"] > 500
    assert counts["portfolios"] > 15
    assert counts["fills"] > 50


def test_without_the_floor_such_a_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios alone lend on long options, and what was lent is opened with: the settler would stop."""
    monkeypatch.setattr(portfolio_margin, "floor_margin_e18", lambda *_: 10**40)
    monkeypatch.setattr("tests.differential.test_honest_batches.new_state", State)
    with pytest.raises(BadEvents, match="opened risk below its floor"):
        drive(PortfolioStream(100), COMMANDS)


@pytest.mark.parametrize("seed", [BETWEEN_PRICES_AND_CLOCK[0], PORTFOLIOS_BETWEEN[0]])
def test_without_a_look_between_prices_and_clock_such_a_batch_is_found(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Clock alone looks, and what rests fills before it: the settler would stop under both kinds of margin."""
    monkeypatch.setattr("exchange.engine.apply._FILLING", frozenset())
    monkeypatch.setattr("exchange.engine.apply.drop_risk", lambda *_: True)
    for module in (amendments, auctions, mass_quotes, orders):
        monkeypatch.setattr(module, "check_look", lambda _: ResultCode.OK)
    run = {
        BETWEEN_PRICES_AND_CLOCK[0]: test_nothing_honest_can_be_proven_wrong,
        PORTFOLIOS_BETWEEN[0]: test_no_batch_of_accounts_with_portfolio_margin_can_be_proven_wrong,
    }[seed]
    with pytest.raises(BadEvents, match="opened risk below its floor"):
        run(seed)
