"""Price-time priority order books: a compiled one, and the plain one that is its oracle."""

from matching_core.invariants import InvariantViolated
from matching_core.order_book import ReferenceOrderBook

try:
    from matching_core._order_book import OrderBook

    COMPILED = True
except ImportError:
    OrderBook = ReferenceOrderBook  # type: ignore[misc,assignment]
    COMPILED = False

__all__ = ["COMPILED", "InvariantViolated", "OrderBook", "ReferenceOrderBook"]
