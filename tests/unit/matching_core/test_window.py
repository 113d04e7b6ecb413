"""A guard's window set from outside: bounds, and the counts going on from there in both books."""

from typing import Any

import pytest

from matching_core import OrderBook, ReferenceOrderBook
from matching_core.fills import COMMAND, EVENT, EXTENSION, FLAG_EXTENDED, CoreCode, CoreCommand, CoreEvent, CoreSide

WINDOW: dict[str, Any] = {
    "is_frozen": False,
    "start_ns": 5,
    "quantity_lots": 7,
    "delta_e9": -3,
    "vega_e9": 2,
    "fills": 1,
}
BOOKS = [OrderBook, ReferenceOrderBook]


@pytest.mark.parametrize("book_class", BOOKS)
@pytest.mark.parametrize(
    ("field", "value"),
    [("start_ns", -1), ("quantity_lots", (1 << 62) + 1), ("delta_e9", -(1 << 62) - 1), ("fills", -1)],
)
def test_counts_beyond_the_bounds_of_a_guard_are_refused(book_class: Any, field: str, value: int) -> None:
    """Sums stay within 2**62, time is not negative."""
    book = book_class()
    book.set_guard(1, interval_ns=10)
    with pytest.raises(ValueError, match=r"not in|beyond"):
        book.set_window(1, **{**WINDOW, field: value})
    assert book.guard(1) == (False, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("book_class", BOOKS)
def test_a_guard_that_was_never_set_has_no_window(book_class: Any) -> None:
    """Nothing is opened on the way."""
    with pytest.raises(KeyError):
        book_class().set_window(1, **WINDOW)


@pytest.mark.parametrize("book_class", BOOKS)
def test_a_window_goes_on_from_what_was_set(book_class: Any) -> None:
    """Seven lots were filled: the eighth of ten is not the limit, three more are."""
    book = book_class()
    book.list_instrument(1, price_min_ticks=1, price_max_ticks=100)
    book.set_guard(1, interval_ns=0, quantity_lots=10)
    book.set_window(1, **WINDOW)
    assert book.guard(1) == (False, 5, 7, -3, 2, 1)
    maker = COMMAND.pack(CoreCommand.NEW, CoreSide.SELL, FLAG_EXTENDED, 1, 50, 5, 1, 0) + EXTENSION.pack(0, 1, 0, 0, 0)
    book.submit(maker)
    events = [EVENT.unpack(book.submit(_taker(lots))[32:64]) for lots in (1, 4)]
    assert [row[6] for row in events] == [1, 2]
    assert book.guard(1)[:3] == (True, 5, 10)


@pytest.mark.parametrize("book_class", BOOKS)
def test_a_window_that_is_set_frozen_refuses_orders(book_class: Any) -> None:
    """Until it is reset."""
    book = book_class()
    book.list_instrument(1, price_min_ticks=1, price_max_ticks=100)
    book.set_guard(1, interval_ns=0, quantity_lots=10)
    book.set_window(1, **{**WINDOW, "is_frozen": True})
    maker = COMMAND.pack(CoreCommand.NEW, CoreSide.SELL, FLAG_EXTENDED, 1, 50, 5, 1, 0) + EXTENSION.pack(0, 1, 0, 0, 0)
    kind, _, code, *_ = EVENT.unpack_from(book.submit(maker))
    assert (kind, code) == (CoreEvent.REJECTED, CoreCode.GUARD_FROZEN)
    book.reset_guard(1)
    assert EVENT.unpack_from(book.submit(maker))[0] == CoreEvent.ACCEPTED


def _taker(lots: int) -> bytes:
    return COMMAND.pack(CoreCommand.NEW, CoreSide.BUY, 0, 1, 50, lots, 2, 0)
