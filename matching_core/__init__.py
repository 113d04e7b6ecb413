"""Price-time priority order books: a compiled one, and the plain one that is its oracle."""

from importlib.util import find_spec

from matching_core.invariants import InvariantViolated
from matching_core.order_book import ReferenceOrderBook

# Absent is a choice, broken is not: an extension that is there and does not load must stop the import.
COMPILED = find_spec("matching_core._order_book") is not None
if COMPILED:
    from matching_core._order_book import OrderBook
else:
    OrderBook = ReferenceOrderBook  # type: ignore[misc,assignment]

__all__ = ["COMPILED", "InvariantViolated", "OrderBook", "ReferenceOrderBook"]
