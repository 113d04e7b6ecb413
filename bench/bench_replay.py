"""G11: commands/s of replay, group by group with its checksum; H5: CPU us per command of a tick, one crossing or many.

The stream is that of bench_hot_path: orders of 1,000 accounts near the mark, one in five crosses it, and as many
cancels. Replay applies packed groups of 1,024 commands to an empty state and compares the packed events' checksums; the
twin's state hash over the same commands must be the same. H5 gives what the sequencer needs (events, views of orders,
packed events) from commands and records at hand. `SIZE=small` takes few commands.
"""

import time

import google_crc32c
import pytest

from bench.bench_engine import START_NS, opening
from bench.bench_hot_path import CONFIG, Flow
from bench.harness import in_turns, record_goal, result_hash, sized
from exchange.domain.packing import CommandEvents, pack_command, pack_events
from exchange.engine.apply import apply, apply_batch, apply_outputs
from exchange.engine.queries import output_of
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.engine.states import COMPILED, new_state
from exchange.journal.group import Group
from exchange.sequencer.replay import apply_group
from matching_core import OrderBook

STEPS = sized(small=1, full=10)
PER_STEP = sized(small=512, full=10_240)
ROUNDS = sized(small=1, full=3)
GROUP = 1_024

pytestmark = pytest.mark.skipif(not COMPILED, reason="the engine is not compiled: make build")


def opened(state):
    """The state behind the opening."""
    for at, command in enumerate(opening()):
        apply(state, command, START_NS + at)
    return state


@pytest.fixture(scope="module")
def commands():
    """Orders and cancels in turns."""
    flow = Flow()
    for _ in range(STEPS):
        flow.places(PER_STEP, crosses=True)
        flow.cancels(PER_STEP)
    return flow.commands


@pytest.fixture(scope="module")
def ticks(commands):
    """[(commands, their packed forms)] of at most 1,024 each."""
    packed = [pack_command(command) for command in commands]
    return [(commands[at : at + GROUP], packed[at : at + GROUP]) for at in range(0, len(commands), GROUP)]


@pytest.fixture(scope="module")
def expected(commands):
    """State hash of the twin behind the commands."""
    twin = opened(State(OrderBook, CONFIG))
    for command in commands:
        apply(twin, command, START_NS + 10_000_000)
    return state_hash(twin)


def groups_of(ticks):
    """The ticks as journal groups with their checksums."""
    state = opened(new_state(OrderBook, CONFIG))
    for rows, packed in ticks:
        records, texts = (b"".join(parts) for parts in zip(*packed, strict=True))
        first = state.sequence + 1
        blob = apply_batch(state, records, texts, START_NS + 10_000_000)
        yield Group(
            first_sequence=first,
            command_count=len(rows),
            timestamp_ns=START_NS + 10_000_000,
            records=records,
            attachments=texts,
            output_crc=google_crc32c.value(blob),
        )


def test_replay_of_a_journal(benchmark, ticks, expected):
    """Median over the rounds of commands per CPU second, and the twin's state hash."""
    groups = list(groups_of(ticks))

    def replayed():
        state = opened(new_state(OrderBook, CONFIG))
        start = time.thread_time_ns()
        for group in groups:
            apply_group(state, group)
        spent = time.thread_time_ns() - start
        assert state_hash(state) == expected
        return spent / sum(group.command_count for group in groups)

    nanoseconds = in_turns({"replay": replayed}, rounds=ROUNDS, warmup=0)["replay"]
    record_goal(
        benchmark,
        "G11",
        value=round(10**9 / nanoseconds),
        unit="commands/s",
        target=1_000_000,
        result_hash=result_hash([expected]),
        commands=sum(group.command_count for group in groups),
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)


def by_tick(state, rows, packed, now_ns):
    """As the sequencer does it: one crossing for a tick."""
    apply_outputs(state, rows, packed, now_ns)


def by_command(state, rows, packed, now_ns):
    """One crossing for each command, and its events packed afterwards."""
    history = []
    for command, row in zip(rows, packed, strict=True):
        events = apply(state, command, now_ns, row)
        output_of(state, events)
        history.append(CommandEvents(state.sequence, now_ns, events))
    pack_events(history)


def test_a_command_of_a_tick(benchmark, ticks, expected):
    """CPU us per command with events, views and packed events, in one crossing; beside it one crossing for each."""

    def measured(way):
        state = opened(new_state(OrderBook, CONFIG))
        start = time.thread_time_ns()
        for rows, packed in ticks:
            way(state, rows, packed, START_NS + 10_000_000)
        spent = time.thread_time_ns() - start
        assert state_hash(state) == expected
        return spent / 1_000 / sum(len(rows) for rows, _ in ticks)

    works = {"tick": lambda: measured(by_tick), "command": lambda: measured(by_command)}
    figures = in_turns(works, rounds=ROUNDS, warmup=0)
    benchmark.extra_info.update(
        goal="H5",
        value=round(figures["tick"], 2),
        unit="us",
        by_command_us=round(figures["command"], 2),
        result_hash=result_hash([expected]),
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)
