"""Settlement and engine under any commands: at every batch boundary the ledger's leaves are the engine's accounts."""

from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from exchange.app.verify import ledger_of
from exchange.bridge.assembler import BatchAssembler
from exchange.domain.commands import ChainRequest, ChainRequestKind, Clock, Command
from exchange.domain.events import BatchClosed
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.liquidations import Deleveraged, FundPaid, LiquidationEvent, LiquidationStarted
from exchange.domain.packing import CommandEvents
from exchange.domain.rounds import AccountTakenOver, FundingPaid, PositionExpired
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.state import State
from exchange.engine.states import new_state
from matching_core import OrderBook
from settlement.protocol.batch import BatchInput
from settlement.protocol.encoding import BatchData, Header
from settlement.protocol.ledger import LedgerState
from settlement.protocol.netting import legs_of, net
from settlement.protocol.transition import apply_batch
from tests.differential.engine_commands import FastStream

CONFIG = EngineConfig(batch_accounts_max=12, settlement_window_ns=1_000_000_000)


def as_the_chain_sends(state: State, command: Command) -> Command:
    """The contract's queue names accounts that exist: a deposit instead."""
    if not isinstance(command, ChainRequest) or command.kind is ChainRequestKind.DEPOSIT:
        return command
    if command.account in state.accounts:
        return command
    return replace(command, kind=ChainRequestKind.DEPOSIT)


def more(stream: FastStream, number: int) -> Iterator[Command]:
    """Rounds, prices and time beyond what the stream draws; orders that ended do so before the next round."""
    if number % 25 == 0:
        yield stream.prices()
    if number % 50 == 0:
        yield Clock()
        yield from stream.rarities.oracle_round()
    if number % 500 == 0:
        yield from stream.rarities.closing(2 + number // 500 % stream.accounts)
    if number % 1_000 == 0:
        yield from stream.rarities.later()


def settle(ledger: LedgerState, batch: BatchInput) -> None:
    """Net, apply and commit a batch; its orders tree is left out, because the stream's orders share their digests."""
    named = [request.account for request in batch.requests]
    legs = [leg for fill in batch.fills for leg in legs_of(fill)]
    deltas = net([*legs, *batch.extra_legs]).touching([*named, *batch.touched])
    header = Header(
        request_up_to=batch.request_up_to,
        match_from_s=batch.match_from_s,
        match_to_s=batch.match_to_s,
        fee_e6=batch.fee_e6,
        oracle_round=batch.opening.round_number,
    )
    approvals = tuple(batch.approvals_e6)
    ledger.commit(apply_batch(ledger, header, BatchData(deltas, approvals), batch.requests, batch.opening))
    ledger.check(batch.opening.ending)


@pytest.mark.parametrize("seed", [3, 5])
def test_the_ledger_charges_and_pays_what_the_engine_does(seed: int) -> None:
    """Funding and payoffs are never posted; derived from the rounds they give every account's cash to the unit."""
    state, stream = new_state(OrderBook, CONFIG), FastStream(seed)
    assembler, ledger = BatchAssembler(), LedgerState()
    opening = list(stream.opening())
    compared = charges = payoffs = closings = taken = 0
    liquidated = Counter[str]()
    for number in range(16_000):
        if not stream.upcoming:
            stream.upcoming.extend(more(stream, number))
        command, now_ns = opening[number] if number < len(opening) else stream.next()
        command = as_the_chain_sends(state, command)
        events = apply(state, command, now_ns)
        charges += sum(isinstance(event, FundingPaid) for event in events)
        payoffs += sum(isinstance(event, PositionExpired) for event in events)
        closings += sum(isinstance(event, AccountTakenOver) for event in events)
        taken += sum(len(event.taken) for event in events if isinstance(event, AccountTakenOver))
        liquidated.update(type(event).__name__ for event in events if isinstance(event, LiquidationEvent))
        for batch in assembler.take(CommandEvents(state.sequence, now_ns, events)):
            settle(ledger, batch.input)
        ends = [event for event in events if isinstance(event, BatchClosed)]
        if ends and not state.batch.has_content:
            expected = ledger_of(state, match_to_s=ends[-1].match_to_s)
            assert ledger.accounts == expected.accounts, f"command {number}: {command}"
            assert ledger.seq == expected.seq
            compared += 1
    assert compared > 20
    assert charges > 100
    assert payoffs > 3
    assert closings > 10
    assert taken > 10
    assert state.accounts[FUND_ACCOUNT].positions
    assert all(liquidated[kind.__name__] for kind in (LiquidationStarted, FundPaid, Deleveraged)), liquidated
