"""The history that is folded from events against the engine's own views and the events themselves."""

from collections import Counter

import pytest
from msgspec import structs

from exchange.domain.events import CashMoved, OrderAccepted, OrderClosed, Trade
from exchange.domain.packing import CommandEvents
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.queries import order_view
from exchange.engine.state import State
from exchange.historian.fold import Fold
from exchange.historian.rows import BEGINNING, Kind
from exchange.historian.store import HistoryReader, HistoryStore
from matching_core import OrderBook
from tests.differential.engine_commands import FastStream

CONFIG = EngineConfig(closed_orders_max=5_000, open_orders_max=60)
COMMANDS = 6_000


def told(seed):
    """(state behind the command, its events) of an opening and a stream."""
    state, stream = State(OrderBook, CONFIG), FastStream(seed)
    for command, now_ns in stream.opening():
        events = apply(state, command, now_ns)
        yield state, CommandEvents(state.sequence, state.timestamp_ns, events)
    for _ in range(COMMANDS):
        command, now_ns = stream.next()
        events = apply(state, command, now_ns)
        yield state, CommandEvents(state.sequence, state.timestamp_ns, events)


@pytest.mark.parametrize("seed", [1, 2])
def test_an_order_s_row_is_the_engine_s_view_of_it(seed):
    """Fills, amendments, triggers and ends of every order come out as the engine tells them."""
    fold, ended = Fold(), 0
    for state, command in told(seed):
        for _, kind, row in fold.take(command):
            if kind is Kind.ORDERS:
                ended += 1
                assert row.body == order_view(state, row.body.order)
        fold.settle()
    assert ended > 1_000


def test_each_side_of_each_trade_is_one_row_with_its_order_s_texts():
    """No fill is lost, doubled or given to another; every movement of cash is there too."""
    fold, wanted, found, texts = Fold(), Counter(), Counter(), {}
    for _, command in told(3):
        for event in command.events:
            if isinstance(event, OrderAccepted):
                texts[event.order] = event.label, event.client_order_id
            elif isinstance(event, Trade):
                for is_maker, side in ((True, event.maker), (False, event.taker)):
                    wanted[side.subaccount, event.trade, is_maker, *texts.get(side.order, ("", ""))] += 1
            elif isinstance(event, CashMoved):
                wanted[event.subaccount, event.request_index] += 1
        for subaccount, kind, row in fold.take(command):
            body = row.body
            if kind is Kind.TRADES:
                found[subaccount, body.trade.trade, body.is_maker, body.label, body.client_order_id] += 1
            elif kind is Kind.CASH and isinstance(body.event, CashMoved):
                found[subaccount, body.event.request_index] += 1
    assert found == wanted
    assert max(found.values()) == 1
    assert len(found) > 1_000


def test_a_fold_that_goes_on_from_what_was_saved_makes_the_same_rows():
    """At any cut: open orders and instruments are all that rows of later events need."""
    commands = [command for _, command in told(4)]
    whole = Fold()
    wanted = [row for command in commands for row in whole.take(command)]
    fold, found, orders, listed = Fold(), [], {}, []
    for number, command in enumerate(commands):
        found += fold.take(command)
        orders |= fold.changed
        for gone in fold.gone:
            orders.pop(gone, None)
        listed += fold.listed
        fold.settle()
        if number % 97 == 0:
            fold = Fold(orders.values(), listed)
    assert found == wanted


def test_what_is_stored_is_what_was_made(tmp_path):
    """Every row of a stream comes back from disk as it was, also an order whose fee cap is as wide as it may be."""
    fold, wanted = Fold(), {}
    with HistoryStore(tmp_path) as store:
        for _, command in told(6):
            events = tuple(widened(event) for event in command.events)
            kept = list(fold.take(structs.replace(command, events=events)))
            for subaccount, kind, row in kept:
                wanted.setdefault((subaccount, kind), []).append(row)
            store.append(command.sequence, kept, fold)
    reader = HistoryReader(tmp_path)
    for (subaccount, kind), rows in wanted.items():
        assert reader.page(subaccount, kind, BEGINNING, 100_000).rows == rows
    assert len(wanted) > 50


def widened(event):
    """The event with the widest fee cap that a signature can carry."""
    return structs.replace(event, max_fee_e18=2**256 - 1) if isinstance(event, OrderAccepted) else event


def test_places_grow_and_are_never_given_twice():
    """A cursor is a place: rows come in its order, whatever command they belong to."""
    fold = Fold()
    places = [row.place for _, command in told(5) for _, _, row in fold.take(command)]
    assert places == sorted(set(places))
    assert sum(1 for _, command in told(5) for event in command.events if isinstance(event, OrderClosed)) > 500
