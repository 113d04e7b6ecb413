"""A whole side of a market under water at once (dYdX, 2025-10-10): everybody is closed, in order; nothing goes below.

There the order of operations in which an isolated market was closed left its pool negative, the venue halted for
hours, and the first price behind the halt was an old one.
"""

from typing import Any

import pytest

from exchange.bridge.assembler import BatchAssembler
from exchange.bridge.self_check import check_disputes
from exchange.domain.commands import ChainRequestKind, Place, Side
from exchange.domain.events import Event
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.limits import MAX_LIQUIDATION_STEPS_PER_COMMAND
from exchange.domain.liquidations import Deleveraged, FundPaid, LiquidationEnded, LiquidationStarted
from exchange.domain.packing import CommandEvents
from exchange.engine.config import EngineConfig
from exchange.engine.invariants import check_invariants
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from exchange.engine.valuation import value_account
from matching_core import OrderBook
from settlement.protocol.batch import build_batch
from settlement.protocol.forced import check_forced_leaves
from settlement.protocol.ledger import LedgerState
from settlement.protocol.transition import RequestKind
from tests.unit.exchange.engine.liquidating import of
from tests.unit.exchange.engine.world import BUY, E6, PERP, SELL, World, owner

LONGS = range(10, 150)
SHORTS = range(2, 6)
CRASH = 55_000
"""Each long owes about 2,018 USDC."""
FUND = 100_000 * E6


class Settled(World):
    """Every batch goes through settlement's rules for what nobody signed, and its ledger."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.checks = False
        self.assembler, self.ledger = BatchAssembler(), LedgerState()

    def order(
        self, account: int, side: Side, price_ticks: int, lots: int, instrument: int = PERP, **fields: Any
    ) -> Place:
        """As `World.order`, with a digest for its leaf."""
        digest = self.now_ns.to_bytes(32, "big")
        return super().order(account, side, price_ticks, lots, instrument, digest=digest, **fields)

    def run(self, command: Any, *, after_ns: int = 1_000_000) -> list[Event]:
        """As `World.run`; raises where a batch could not be posted."""
        events = super().run(command, after_ns=after_ns)
        for batch in self.assembler.take(CommandEvents(self.state.sequence, self.now_ns, events)):
            deposits = {row.account for row in batch.input.requests if row.kind is RequestKind.DEPOSIT}
            check_forced_leaves(self.ledger.accounts, batch.input.order_fills, batch.input.opening, deposits)
            check_disputes(self.ledger, batch)
            build_batch(self.ledger, batch.input)
            self.ledger.check(batch.input.opening.ending)
        return events


def crowded() -> Settled:
    """140 accounts are long one unit each with 3,000 USDC, against four rich ones; the fund has 100,000."""
    world = Settled(config=EngineConfig(short_move_ppm=900_000, long_move_ppm=900_000))
    world.open(accounts=0)
    amounts = {FUND_ACCOUNT: FUND, **dict.fromkeys(SHORTS, 10**7 * E6), **dict.fromkeys(LONGS, 3_000 * E6)}
    for account, amount_e6 in amounts.items():
        world.run_cut()
        world.request(ChainRequestKind.DEPOSIT, account, amount_e6=amount_e6, owner=owner(account))
    world.run_cut()
    for place, account in enumerate(LONGS):
        world.place(SHORTS[place % len(SHORTS)], SELL, 600_000, 1_000)
        world.place(account, BUY, 600_000, 1_000)
    world.run_cut()
    check_invariants(world.state)
    return world


def close_all(world: World, seconds: int = 10) -> list[Event]:
    """Clocks until nothing is left over, second by second, at the same prices."""
    events: list[Event] = []
    for _ in range(seconds):
        world.prices(CRASH)
        while world.state.work_pending():
            events += world.clock()
            check_invariants(world.state)
        events += world.clock(1)
    return events


def test_a_whole_side_is_closed_and_nothing_goes_below_zero() -> None:
    """Bounded steps per command; the fund pays inside its caps, winners the rest, nobody is left in between."""
    world = crowded()
    world.prices(CRASH)
    first = world.clock()
    assert len(of(first, LiquidationStarted)) <= 2 * MAX_LIQUIDATION_STEPS_PER_COMMAND
    assert {event.subaccount for event in of(first, LiquidationStarted)} < set(LONGS)
    events = first + close_all(world)
    assert {event.subaccount for event in of(events, LiquidationStarted)} == set(LONGS)
    assert {event.subaccount for event in of(events, LiquidationEnded)} == set(LONGS)
    assert world.state.liquidations == {}
    paid = of(events, FundPaid)
    assert all(event.fund_cash_e6 >= 0 for event in paid)
    held_e6 = world.state.fund_day.start_e6
    assert FUND <= held_e6 <= FUND * 11 // 10
    assert 0 < sum(event.amount_e6 for event in paid) <= held_e6 * 4 // 10
    assert sum(abs(event.bankrupt_lots) for event in of(events, Deleveraged)) == 1_000 * len(LONGS)
    for account in (*LONGS, *SHORTS):
        assert value_account(world.state, world.state.accounts[account]).equity_e6 >= 0
    assert world.state.holders(PERP) == []


@pytest.mark.parametrize("seconds", [11, 70])
def test_a_restart_in_the_middle_changes_nothing_and_waits_for_prices(seconds: int) -> None:
    """The same state before and behind it; nobody is touched until prices are fresh, then both go on alike."""
    world = crowded()
    world.prices(CRASH)
    world.clock()
    again = Settled(config=world.state.config)
    again.state = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert state_hash(again.state) == state_hash(world.state)
    again.now_ns, again.round, again.requests = world.now_ns, world.round, world.requests
    again.assembler, again.ledger = BatchAssembler.load(world.assembler.dump()), world.ledger.copy()
    for one in (world, again):
        assert of(one.clock(seconds), LiquidationStarted | LiquidationEnded | FundPaid | Deleveraged) == []
    ends = []
    for one in (world, again):
        for _ in range(3):
            one.prices(CRASH)
        ends.append(close_all(one))
    assert ends[0] == ends[1]
    assert of(ends[0], LiquidationEnded)
    assert state_hash(again.state) == state_hash(world.state)
    assert world.state.liquidations == {}
