"""The compiled book answers 100,000 random commands with the same bytes as the reference, and holds the same state."""

import os

import pytest

import matching_core
from matching_core import ReferenceOrderBook
from tests.differential.command_streams import INSTRUMENTS, CommandStream

COMMANDS_PER_SEED = 25_000


@pytest.fixture
def compiled_book_class():
    """Give the compiled book; without it the comparison is skipped, and fails when STRICT=1."""
    if not matching_core.COMPILED:
        reason = "matching_core._order_book is not built: make build"
        if os.environ.get("STRICT") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return matching_core.OrderBook


def build_book(book_class, **options):
    """Make a book with the stream's instruments and five cells that hold a position."""
    book = book_class(**options)
    for instrument, (low, high) in INSTRUMENTS.items():
        book.list_instrument(instrument, price_min_ticks=low, price_max_ticks=high)
    for cell, position in enumerate((40, -40, 500, -500, 0), start=1):
        book.set_cell(cell, position)
    return book


def assert_same_state(reference, compiled, step):
    """Compare everything both books show, and the soundness of each."""
    for instrument in INSTRUMENTS:
        assert reference.depth(instrument, 1000) == compiled.depth(instrument, 1000), step
        assert reference.orders(instrument) == compiled.orders(instrument), step
        assert reference.best(instrument) == compiled.best(instrument), step
    assert reference.state_hash() == compiled.state_hash(), step
    reference.check_invariants()
    compiled.check_invariants()


@pytest.mark.parametrize(("seed", "capacity"), [(1, 1_048_576), (2, 1_048_576), (3, 60), (4, 5)])
def test_twins_answer_random_commands_alike(compiled_book_class, seed, capacity):
    """Same events for each command; same depth, lines, hash and sound structure every 97 commands."""
    reference = build_book(ReferenceOrderBook, order_capacity=capacity)
    stream = CommandStream(seed, is_resting=reference.order)
    compiled = build_book(compiled_book_class, order_capacity=capacity)
    for step in range(COMMANDS_PER_SEED):
        command = stream.draw()
        expected = reference.submit(command)
        assert expected == compiled.submit(command), (seed, step, command.hex())
        stream.observe(expected)
        if step % 97 == 0:
            assert_same_state(reference, compiled, (seed, step))
        if step % 100 == 0:
            for cell, position in enumerate((40, -40, 500, -500, 0), start=1):
                assert reference.cell(cell) == compiled.cell(cell)
                reference.set_cell(cell, position)
                compiled.set_cell(cell, position)
    assert_same_state(reference, compiled, (seed, "end"))
