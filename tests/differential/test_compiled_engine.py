"""The engine over C rows and its twin in Python: the same events, answers and state hash under any commands."""

import pytest

from exchange.domain.views import GetAccount, GetBook, GetOpenOrders, GetTriggerOrders
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.property.engine_stream import Stream
from tests.unit.exchange.engine.world import CALL, PERP, PUT

compiled_state = pytest.importorskip("exchange.engine.compiled_state")
CONFIGS = [
    EngineConfig(closed_orders_max=500, batch_accounts_max=6),
    EngineConfig(closed_orders_max=40, batch_accounts_max=5, batch_legs_max=9, open_orders_max=30, positions_max=2),
]


@pytest.mark.parametrize("seed", [21, 22, 23, 24])
def test_compiled_state_gives_the_events_of_its_twin(seed: int) -> None:
    """5,000 commands of every kind give no difference in any event, answer or hash."""
    config = CONFIGS[seed % 2]
    twin, rows = State(OrderBook, config), compiled_state.CompiledState(OrderBook, config)
    stream = Stream(seed)
    todo = list(stream.opening())
    for number in range(5_000):
        command, now_ns = todo.pop(0) if todo else stream.next(twin)
        expected = apply(twin, command, now_ns)
        assert apply(rows, command, now_ns) == expected, f"command {number}: {command}"
        if number % 250 == 0:
            assert dump(rows) == dump(twin), f"command {number}: {command}"
            for account in range(2, 10):
                for question in (GetAccount, GetOpenOrders, GetTriggerOrders):
                    query = question(subaccount=account)
                    assert answer(rows, query) == answer(twin, query)
            for instrument in (PERP, CALL, PUT):
                assert answer(rows, GetBook(instrument=instrument)) == answer(twin, GetBook(instrument=instrument))
    assert state_hash(rows) == state_hash(twin)
