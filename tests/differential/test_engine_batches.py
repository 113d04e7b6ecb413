"""Many commands in one call, over rows and twin: the packed events, outputs and states of one call for each."""

from itertools import islice

import pytest

from exchange.domain.event_pieces import join_events
from exchange.domain.packing import BadRecord, CommandEvents, pack_command, pack_events
from exchange.engine.apply import apply, apply_batch, apply_outputs
from exchange.engine.config import EngineConfig
from exchange.engine.queries import output_of
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.differential.engine_commands import FastStream

compiled_state = pytest.importorskip("exchange.engine.compiled_state")
CONFIG = EngineConfig(closed_orders_max=500, batch_accounts_max=6, open_orders_max=200)
CLASSES = [State, compiled_state.CompiledState]


def ticks(seed, sizes, count):
    """(commands, packed, time) of consecutive ticks of a seeded stream; the sizes repeat."""
    stream = FastStream(seed)
    rows = [*stream.opening(), *(stream.next() for _ in range(count))]
    source, turn = iter(rows), 0
    while tick := list(islice(source, sizes[turn % len(sizes)])):
        turn += 1
        commands = [command for command, _ in tick]
        yield commands, [pack_command(command) for command in commands], tick[-1][1]


def one_by_one(state, commands, packed, now_ns):
    """(outputs, packed events) of `apply` for each command, as the twin gives them."""
    outputs, history = [], []
    for command, row in zip(commands, packed, strict=True):
        events = apply(state, command, now_ns, row)
        history.append(CommandEvents(state.sequence, now_ns, events))
        outputs.append(output_of(state, events))
    return outputs, pack_events(history)


@pytest.mark.parametrize("state_class", CLASSES, ids=["twin", "rows"])
def test_records_of_a_half_are_refused(state_class):
    """Bytes beyond whole records, and records that claim more attachments than there are."""
    record, texts = pack_command(FastStream(1).place())
    for records, attachments in ((record[:-1], texts), (record, texts[:-8]), (record + record, texts)):
        with pytest.raises(BadRecord):
            apply_batch(state_class(OrderBook, CONFIG), records, attachments, 1)


@pytest.mark.parametrize("state_class", CLASSES, ids=["twin", "rows"])
@pytest.mark.parametrize("sizes", [(1,), (3, 64, 1), (1_000,)], ids=str)
def test_a_batch_gives_the_bytes_of_its_commands(state_class, sizes):
    """8,000 commands as packed bytes: the events of one call for each, to the byte, and the same state."""
    twin, state = State(OrderBook, CONFIG), state_class(OrderBook, CONFIG)
    for commands, packed, now_ns in ticks(5, sizes, 8_000):
        _, expected = one_by_one(twin, commands, packed, now_ns)
        records, texts = (b"".join(parts) for parts in zip(*packed, strict=True))
        assert apply_batch(state, records, texts, now_ns) == expected
    assert twin.trade_count > 500
    assert state_hash(state) == state_hash(twin)


@pytest.mark.parametrize("state_class", CLASSES, ids=["twin", "rows"])
@pytest.mark.parametrize("sizes", [(1,), (3, 64, 1), (1_000,)], ids=str)
def test_a_tick_gives_the_outputs_of_its_commands(state_class, sizes):
    """8,000 commands: each output shows its orders right after its own command, and the bytes are the same."""
    twin, state = State(OrderBook, CONFIG), state_class(OrderBook, CONFIG)
    for commands, packed, now_ns in ticks(6, sizes, 8_000):
        outputs, blob = one_by_one(twin, commands, packed, now_ns)
        found, pieces = apply_outputs(state, commands, packed, now_ns)
        assert found == outputs
        assert join_events(len(found), pieces) == blob
    assert state_hash(state) == state_hash(twin)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 65_535, 65_536])
def test_pieces_join_to_what_is_packed_at_once(count):
    """At every length of the head."""
    history = [CommandEvents(number, 0, []) for number in range(count)]
    pieces = [pack_events([one])[1:] for one in history]
    assert join_events(count, pieces) == pack_events(history)
