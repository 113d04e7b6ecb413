"""The engine over the compiled book and over the reference: the same events, book views and state hash."""

import pytest

from exchange.domain.views import GetBook
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from matching_core import COMPILED, OrderBook, ReferenceOrderBook
from tests.property.engine_stream import Stream
from tests.unit.exchange.engine.world import CALL, PERP, PUT

CONFIG = EngineConfig(closed_orders_max=500, batch_accounts_max=6)

pytestmark = pytest.mark.skipif(not COMPILED, reason="the compiled book is not built")


@pytest.mark.parametrize("seed", [11, 12])
def test_engine_over_both_books_is_the_same_engine(seed: int) -> None:
    """10,000 commands give no difference in any event, and none in depth and hash on the way."""
    reference, compiled = State(ReferenceOrderBook, CONFIG), State(OrderBook, CONFIG)
    stream = Stream(seed)
    todo = list(stream.opening())
    for number in range(10_000):
        command, now_ns = todo.pop(0) if todo else stream.next(reference)
        assert apply(compiled, command, now_ns) == apply(reference, command, now_ns), f"command {number}: {command}"
        if number % 1_000 == 0:
            assert state_hash(compiled) == state_hash(reference)
            for instrument in (PERP, CALL, PUT):
                question = GetBook(instrument=instrument)
                assert answer(compiled, question) == answer(reference, question)
    assert state_hash(compiled) == state_hash(reference)


def test_snapshot_moves_between_books() -> None:
    """A snapshot of an engine over the reference loads over the compiled book and goes on with the same events."""
    reference, stream = State(ReferenceOrderBook, CONFIG), Stream(13)
    for command, now_ns in stream.opening():
        apply(reference, command, now_ns)
    for _ in range(1_000):
        apply(reference, *stream.next(reference))
    assert reference.open_orders
    compiled = load(dump(reference), OrderBook, CONFIG)
    for _ in range(1_000):
        command, now_ns = stream.next(reference)
        assert apply(compiled, command, now_ns) == apply(reference, command, now_ns)
    assert state_hash(compiled) == state_hash(reference)
