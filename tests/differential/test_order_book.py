"""The compiled book answers 100,000 random commands with the same bytes as the reference, and holds the same state."""

import os
from collections import Counter

import pytest

import matching_core
from matching_core import ReferenceOrderBook
from matching_core.fills import EVENT, CoreCode, CoreEvent
from tests.differential.command_streams import CELLS, GUARDS, INSTRUMENTS, KINDS, CommandStream, open_book

COMMANDS_PER_SEED = 25_000
BATCH = 50


@pytest.fixture
def compiled_book_class():
    """Give the compiled book; without it the comparison is skipped, and fails when STRICT=1."""
    if not matching_core.COMPILED:
        reason = "matching_core._order_book is not built: make build"
        if os.environ.get("STRICT") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return matching_core.OrderBook


def assert_same_state(reference, compiled, step):
    """Compare everything both books show, and the soundness of each."""
    for instrument in INSTRUMENTS:
        assert reference.depth(instrument, 1000) == compiled.depth(instrument, 1000), step
        orders = reference.orders(instrument)
        assert orders == compiled.orders(instrument), step
        assert [reference.extension(row[0]) for row in orders] == [compiled.extension(row[0]) for row in orders], step
        assert reference.best(instrument) == compiled.best(instrument), step
        assert reference.phase(instrument) == compiled.phase(instrument), step
        middle = sum(INSTRUMENTS[instrument]) // 2
        assert reference.indicative(instrument, middle) == compiled.indicative(instrument, middle), step
        for side in (0, 1):
            wanted = (instrument, side, middle + (5 if side == 0 else -5), 10_000)
            assert reference.fillable(*wanted) == compiled.fillable(*wanted), step
    for guard in GUARDS:
        assert reference.guard(guard) == compiled.guard(guard), step
        assert reference.guard_orders(guard) == compiled.guard_orders(guard), step
    assert [reference.cell(cell) for cell in CELLS] == [compiled.cell(cell) for cell in CELLS], step
    assert reference.state_hash() == compiled.state_hash(), step
    assert reference.snapshot() == compiled.snapshot(), step
    reference.check_invariants()
    compiled.check_invariants()


@pytest.mark.parametrize(("seed", "capacity"), [(1, 1_048_576), (2, 1_048_576), (3, 60), (4, 5)])
def test_twins_answer_random_commands_alike(compiled_book_class, seed, capacity):
    """Same events for each command; same views, hash, snapshot and sound structure every 97 commands."""
    stream = CommandStream(seed)
    reference = open_book(ReferenceOrderBook, order_capacity=capacity, cell_capacity=7, guard_capacity=4)
    compiled = open_book(compiled_book_class, order_capacity=capacity, cell_capacity=7, guard_capacity=4)
    step = 0
    while step < COMMANDS_PER_SEED:
        for command in stream.batch(BATCH):
            now_ns = stream.now_ns()
            expected = reference.submit(command, now_ns)
            assert expected == compiled.submit(command, now_ns), (seed, step, command.hex())
            stream.observe(expected)
            step += 1
            if step % 97 == 0:
                assert_same_state(reference, compiled, (seed, step))
        for method, arguments, keywords in stream.settings():
            for book in (reference, compiled):
                getattr(book, method)(*arguments, **keywords)
    assert_same_state(reference, compiled, (seed, "end"))


def test_no_kind_is_rare():
    """Each kind of command is at least 0.5 % of the stream."""
    stream = CommandStream(5)
    stream.batch(100_000)
    assert {kind for kind in KINDS if stream.counts[kind] < 500} == set()


def test_the_stream_reaches_every_event_and_code():
    """A stream that never met a rule would prove nothing about it."""
    stream, book = CommandStream(6), open_book(ReferenceOrderBook, order_capacity=60, cell_capacity=7)
    kinds, codes = Counter(), Counter()
    for _ in range(300):
        for command in stream.batch(100):
            events = book.submit(command, stream.now_ns())
            stream.observe(events)
            kinds.update(row[0] for row in EVENT.iter_unpack(events))
            codes.update(row[2] for row in EVENT.iter_unpack(events))
        for method, arguments, keywords in stream.settings():
            getattr(book, method)(*arguments, **keywords)
    assert set(kinds) == {value for name, value in vars(CoreEvent).items() if name.isupper()}
    every_code = {value for name, value in vars(CoreCode).items() if name.isupper()}
    assert every_code - set(codes) == {CoreCode.MISSING_RECORDS}
