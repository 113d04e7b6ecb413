"""Events of a subaccount that are folded from the event log against those that the exchange shows at once."""

from collections import Counter

import pytest
from msgspec.structs import replace

from exchange.domain.account_events import ACCOUNT_EVENTS, AccountEvent, account_events_of, misses_view
from exchange.domain.packing import CommandEvents
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.queries import output_of
from exchange.engine.state import State
from exchange.historian.fold import Fold
from matching_core import OrderBook
from tests.differential.engine_commands import FastStream

CONFIG = EngineConfig(closed_orders_max=5_000, open_orders_max=60)
COMMANDS = 6_000


def told(seed):
    """(command's events, events by subaccount as the exchange shows them) of an opening and a stream."""
    state, stream = State(OrderBook, CONFIG), FastStream(seed)
    for number in range(-1, COMMANDS):
        for command, now_ns in stream.opening() if number < 0 else [stream.next()]:
            output = output_of(state, apply(state, command, now_ns))
            rows = [row for event in output.events if type(event) in ACCOUNT_EVENTS for row in shown(event, output)]
            yield CommandEvents(output.sequence, output.timestamp_ns, output.events), rows


def shown(event, output):
    """What the gateway's log keeps of one event."""
    return account_events_of(event, sequence=output.sequence, timestamp_ns=output.timestamp_ns, orders=output.orders)


def without_trail(row: AccountEvent) -> AccountEvent:
    """The event without the trigger of a trailing order that never fired: it follows prices, no event tells it."""
    view = row.view
    if view is None or view.trigger is None or not (view.trigger.offset_e9 or view.trigger.offset_ppm):
        return row
    return replace(row, view=replace(view, trigger_e9=0))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_folded_events_are_those_that_were_shown(seed):
    """Every event of every subaccount, quotes and waiting orders too, with its order as it was after the command."""
    fold, kinds, trails = Fold(), Counter(), 0
    for command, rows in told(seed):
        list(fold.take(command))
        found = list(fold.account_events(command))
        assert [without_trail(row) for _, row in found] == [without_trail(row) for _, row in rows]
        assert [account for account, _ in found] == [account for account, _ in rows]
        assert not any(misses_view(row) for _, row in found)
        kinds.update(type(row.event).__name__ for _, row in rows)
        trails += sum(mine != theirs for mine, theirs in zip(found, rows, strict=True))
        fold.settle()
    assert min(kinds[name] for name in ("Trade", "QuotePlaced", "OrderAmended", "TriggerSet", "CashMoved")) > 5
    assert trails < 10


@pytest.mark.parametrize("seed", [4])
def test_numbers_of_a_subaccount_have_no_gap(seed):
    """From 1 on, in the order of the events: a reader's next one follows from its last."""
    fold, newest = Fold(), Counter()
    for command, _ in told(seed):
        list(fold.take(command))
        for account, row in fold.account_events(command):
            assert row.account_seq == newest[account] + 1
            newest[account] += 1
    assert max(newest.values()) > 100
