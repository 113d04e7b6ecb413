"""The reference notices when its own structure is broken."""

import pytest

from matching_core import InvariantViolated, ReferenceOrderBook
from matching_core.fills import COMMAND, CoreCommand


def break_total(book):
    """Let a level's total drift."""
    book._instruments[1].sides[0][5].total_lots += 1


def break_open(book):
    """Let the side's sum drift."""
    book._instruments[1].open_lots[0] += 1


def break_index(book):
    """Lose an order from the index."""
    book._orders.popitem()


def break_slots(book):
    """Leak a slot."""
    book._slots.take()


def break_price(book):
    """Put an order beside its level."""
    next(iter(book._orders.values())).price_ticks = 6


@pytest.mark.parametrize("harm", [break_total, break_open, break_index, break_slots, break_price])
def test_broken_structure_is_noticed(harm):
    """check_invariants raises after the harm and not before."""
    book = ReferenceOrderBook()
    book.list_instrument(1, price_min_ticks=1, price_max_ticks=9)
    book.submit(COMMAND.pack(CoreCommand.NEW, 0, 0, 1, 5, 3, 0, 0) * 2)
    book.check_invariants()
    harm(book)
    with pytest.raises(InvariantViolated):
        book.check_invariants()
