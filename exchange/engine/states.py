"""Which state an engine runs on: C rows where they are compiled and the book is the compiled one, else the twin."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from exchange.engine.config import EngineConfig
from exchange.engine.state import State
from matching_core import COMPILED as BOOK_COMPILED
from matching_core import OrderBook

# Absent is a choice, broken is not: an extension that is there and does not load must stop the import.
COMPILED = BOOK_COMPILED and find_spec("exchange.engine._state") is not None
if COMPILED:
    from exchange.engine.compiled_state import CompiledState

__all__ = ["COMPILED", "new_state", "state_class"]


def state_class(book_factory: Callable[[], Any]) -> type[State]:
    """The class of states over the books that `book_factory` gives."""
    return CompiledState if COMPILED and book_factory is OrderBook else State


def new_state(book_factory: Callable[[], Any] = OrderBook, config: EngineConfig | None = None) -> State:
    """An empty state over a book."""
    return state_class(book_factory)(book_factory, config)
