"""Records and attachments with changed bytes: what the hot path takes is what the twin makes of them, to the byte.

The twin unpacks every command; the rows read the bytes themselves and must leave to the handlers whatever
`pack_command` would not have written.
"""

from random import Random

import pytest
from msgspec.structs import replace

from exchange.domain.commands import Clock, CommandKind
from exchange.domain.packing import RECORD_BYTES, BadRecord, pack_command, unpack_commands
from exchange.engine.apply import apply, apply_batch
from exchange.engine.config import EngineConfig
from exchange.engine.invariants import check_invariants
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.differential.engine_commands import FastStream

compiled_state = pytest.importorskip("exchange.engine.compiled_state")
hot_path = pytest.importorskip("exchange.engine._hot_path")
CONFIG = EngineConfig(closed_orders_max=300, batch_accounts_max=12, open_orders_max=60)
SIZE_AT = 60
"""Where a record names the bytes of its attachments."""
BYTES = (0, 1, 2, 3, 4, 7, 8, 31, 32, 33, 64, 65, 66, 127, 128, 165, 166, 167, 200, 254, 255)


def changed(random, record, texts):
    """A few bytes of a packed command changed, cut out or put in; the size is mostly what it is then."""
    head, rest = bytearray(record), bytearray(texts)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        part = head if not rest or random.random() < 0.5 else rest
        at = random.randrange(SIZE_AT if part is head else len(part))
        how = random.random()
        if part is head or how < 0.7:
            part[at] = random.choice(BYTES) if random.random() < 0.7 else part[at] ^ 1 << random.randrange(8)
        elif how < 0.85:
            del part[at : at + random.choice((1, 8, 16))]
        else:
            part[at:at] = bytes(random.choice((1, 8, 16)))
    size = len(rest) if random.random() < 0.97 else random.choice((0, 8, len(rest) + 1, 2**32 - 1))
    head[SIZE_AT:] = size.to_bytes(4, "little")
    return bytes(head), bytes(rest)


def result(state, record, texts, now_ns):
    """Packed events, or that the bytes are no command."""
    try:
        return apply_batch(state, record, texts, now_ns)
    except BadRecord:
        return BadRecord


def opened(seed):
    """(twin, rows, stream) behind the opening."""
    stream = FastStream(seed)
    states = State(OrderBook, CONFIG), compiled_state.CompiledState(OrderBook, CONFIG)
    for command, now_ns in stream.opening():
        for state in states:
            apply(state, command, now_ns)
    for state in states:
        apply(state, Clock(), state.timestamp_ns)  # behind prices nothing is hot before accounts were looked at
    return *states, stream


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changed_bytes_mean_the_same_to_rows_and_twin(seed) -> None:
    """4,000 commands, half of them with changed bytes: the same packed events or refusal, and the same state."""
    random = Random(seed)
    twin, rows, stream = opened(seed)
    taken = {True: 0, False: 0}
    for number in range(4_000):
        command, now_ns = stream.next()
        record, texts = pack_command(command)
        if random.random() < 0.5:
            record, texts = changed(random, record, texts)
        expected = result(twin, record, texts, now_ns)
        taken[expected is BadRecord] += 1
        assert result(rows, record, texts, now_ns) == expected, f"{number}: {record.hex()} {texts.hex()}"
        if number % 500 == 0:
            check_invariants(rows)
            assert state_hash(rows) == state_hash(twin), f"{number}: {record.hex()} {texts.hex()}"
    assert min(taken.values()) > 200
    assert state_hash(rows) == state_hash(twin)


def test_the_hot_path_keeps_only_canonical_orders() -> None:
    """Whatever order it accepts is packed as it came, so that a restart reads the same terms."""
    random = Random(4)
    _, rows, stream = opened(4)
    seen = {hot_path.OUTCOME_COLD: 0, hot_path.OUTCOME_DONE: 0}
    for _ in range(4_000):
        command, now_ns = stream.next()
        record, texts = changed(random, *pack_command(command))
        _, _, outcome = hot_path.run(rows.store, record, texts, now_ns)
        hot_path.drop_events(rows.store)
        hot_path.notes(rows.store)
        seen[outcome] = seen.get(outcome, 0) + 1
        order = rows.store.find_order(rows.sequence << 8)
        if outcome == hot_path.OUTCOME_DONE and record[0] == CommandKind.PLACE and order:
            (kept,) = unpack_commands(record, texts)
            assert pack_command(kept) == (record, texts)
    assert min(seen.values()) > 200


@pytest.mark.parametrize("size", range(0, 3 * RECORD_BYTES, 7))
def test_a_cut_of_attachments_is_never_read_beyond(size) -> None:
    """Every length of attachments that a record names, with fewer bytes there: cold, and nothing changed."""
    _, rows, stream = opened(5)
    record, texts = pack_command(replace(stream.place(), client_order_id="c-1", label="label"))
    before = state_hash(rows)
    assert hot_path.run(rows.store, record, texts[:size], rows.timestamp_ns)[2] == hot_path.OUTCOME_COLD
    assert state_hash(rows) == before
