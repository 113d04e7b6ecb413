"""Batches with blocks at any price on the scale: nothing honest in them can be proven wrong (F1 to F5)."""

import random
from collections import Counter

import pytest

from exchange.bridge.assembler import BatchAssembler
from exchange.bridge.self_check import check_disputes
from exchange.domain.blocks import BlockTraded
from exchange.domain.packing import CommandEvents
from exchange.engine.apply import apply
from exchange.engine.states import new_state
from matching_core import OrderBook
from settlement.protocol.ledger import LedgerState
from settlement.protocol.orders import OrderKind
from tests.differential.block_commands import BlockCommands
from tests.differential.test_honest_batches import PortfolioStream, withdrawals
from tests.differential.test_ledger_of_rounds import CONFIG, as_the_chain_sends, more, settle


@pytest.mark.parametrize(
    "seed", [200, *(pytest.param(seed, marks=pytest.mark.dispute_search) for seed in range(201, 209))]
)
def test_blocks_leave_nothing_to_prove(seed: int) -> None:
    """Half of the prices are far from the mark, so that much money goes from one party to the other."""
    stream = PortfolioStream(seed)
    blocks, counts = BlockCommands(seed, stream, far=0.5), Counter[str]()
    state, assembler, ledger = new_state(OrderBook, CONFIG), BatchAssembler(), LedgerState()
    opening, rng = list(stream.opening()), random.Random(seed)
    for number in range(14_000):
        if not stream.upcoming and number >= len(opening):
            stream.upcoming.extend(more(stream, number))
            stream.upcoming.extend(withdrawals(state, rng) if number % 20 == 0 else ())
            stream.upcoming.extend(stream.choices() if number % 300 == 0 else ())
        if number >= len(opening) and blocks.pick.random() < 0.4:
            stream.sequence += 1
            command, now_ns = blocks.draw(), stream.now_ns
        else:
            command, now_ns = opening[number] if number < len(opening) else stream.next()
        events = apply(state, as_the_chain_sends(state, command), now_ns)
        counts["blocks"] += sum(isinstance(event, BlockTraded) for event in events)
        for assembled in assembler.take(CommandEvents(state.sequence, now_ns, events)):
            check_disputes(ledger, assembled)
            settle(ledger, assembled.input)
            counts["legs"] += sum(fill.kind is OrderKind.RFQ for fill in assembled.input.order_fills)
            counts["batches"] += 1
    assert counts["blocks"] > 200, counts
    assert counts["legs"] > 400, counts
    assert counts["batches"] > 200, counts
