"""Whatever is asked of it, the engine keeps its books; and a snapshot taken anywhere goes on as if nothing happened."""

from collections import Counter

import pytest

from exchange.domain.commands import Command
from exchange.domain.events import CommandRefused, OrderClosed, OrderRefused
from exchange.domain.packing import CommandEvents, pack_command, pack_events, unpack_commands, unpack_events
from exchange.domain.result_codes import CloseReason
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.invariants import check_invariants
from exchange.engine.snapshot import dump, load
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from matching_core import ReferenceOrderBook
from tests.property.engine_stream import Stream

CONFIG = EngineConfig(closed_orders_max=500, batch_accounts_max=5, batch_legs_max=9, open_orders_max=60)


def run(seed: int, count: int, *, check_every: int = 50, restore_every: int = 0) -> tuple[State, list[CommandEvents]]:
    """Apply a stream; optionally replace the state by its own snapshot again and again."""
    state, stream = State(ReferenceOrderBook, CONFIG), Stream(seed)
    history: list[CommandEvents] = []
    todo = list(stream.opening())
    for number in range(count):
        command, now_ns = todo.pop(0) if todo else stream.next(state)
        history.append(_step(state, command, now_ns))
        if number % check_every == 0:
            check_invariants(state)
        if restore_every and number % restore_every == 0:
            before = state_hash(state)
            state = load(dump(state), ReferenceOrderBook, CONFIG)
            assert state_hash(state) == before
    check_invariants(state)
    return state, history


def _step(state: State, command: Command, now_ns: int) -> CommandEvents:
    return CommandEvents(state.sequence + 1, now_ns, apply(state, command, now_ns))


@pytest.mark.parametrize("seed", [1, 3])
def test_books_are_kept_under_any_commands(seed: int) -> None:
    """Invariants hold over 12,000 random commands, and the stream is rich enough to mean something."""
    state, history = run(seed, 12_000)
    counts = Counter(type(event).__name__ for one in history for event in one.events)
    codes = {event.code for one in history for event in one.events if isinstance(event, OrderRefused | CommandRefused)}
    assert counts["Trade"] > 500
    assert counts["BatchClosed"] > 50
    assert counts["SessionClosed"] > 20
    assert counts["OrderTriggered"] > 100
    assert counts["TriggerFailed"] > 20
    assert counts["OrderRevised"] > 50
    ends = {event.reason for one in history for event in one.events if isinstance(event, OrderClosed)}
    assert ends >= {CloseReason.LINKED_ORDER, CloseReason.PARENT_CLOSED, CloseReason.POSITION_CLOSED}
    assert len(codes) >= 22, sorted(code.name for code in codes)
    assert state.trade_count == counts["Trade"]


def test_snapshots_anywhere_change_nothing() -> None:
    """A run interrupted by a restore every 97 commands gives the events and the hash of one that is not."""
    plain, plain_history = run(3, 3_000, check_every=500)
    restored, restored_history = run(3, 3_000, check_every=500, restore_every=97)
    assert plain_history == restored_history
    assert state_hash(plain) == state_hash(restored)


def test_account_sequences_have_no_gap() -> None:
    """Every subaccount's events are numbered 1, 2, 3, ... in order of appearance."""
    _, history = run(4, 2_000, check_every=500)
    last: Counter[int] = Counter()
    for one in history:
        for event in one.events:
            for side in (event, getattr(event, "maker", None), getattr(event, "taker", None)):
                if hasattr(side, "account_seq"):
                    last[side.subaccount] += 1
                    assert side.account_seq == last[side.subaccount]


def test_commands_and_events_survive_their_bytes() -> None:
    """Replaying unpacked commands gives the same events, and packed events unpack to themselves."""
    stream, state, twin = Stream(5), State(ReferenceOrderBook, CONFIG), State(ReferenceOrderBook, CONFIG)
    todo = list(stream.opening())
    for _ in range(2_000):
        command, now_ns = todo.pop(0) if todo else stream.next(state)
        events = _step(state, command, now_ns)
        (copy,) = unpack_commands(*pack_command(command))
        assert _step(twin, copy, now_ns) == events
        assert unpack_events(pack_events([events])) == [events]
    assert state_hash(state) == state_hash(twin)
