"""The engine over C rows and its twin in Python: the same events, answers and state hash under any commands."""

import pytest

from exchange.domain.commands import Clock, CommandKind
from exchange.domain.packing import RECORD_BYTES, pack_command
from exchange.domain.views import GetAccount, GetBook, GetOpenOrders, GetTriggerOrders
from exchange.engine import liquidation
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.invariants import check_invariants
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.differential import quoting
from tests.differential.engine_commands import FastStream
from tests.property.engine_stream import Stream
from tests.unit.exchange.engine.world import CALL, PERP, PUT

compiled_state = pytest.importorskip("exchange.engine.compiled_state")
hot_path = pytest.importorskip("exchange.engine._hot_path")
CONFIGS = [
    EngineConfig(closed_orders_max=500, batch_accounts_max=6),
    EngineConfig(
        closed_orders_max=40,
        batch_accounts_max=5,
        batch_legs_max=9,
        open_orders_max=30,
        positions_max=2,
        short_move_ppm=6_000,
        long_move_ppm=8_000,
        auction_length_ns=5_000_000_000,
    ),
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


def test_a_fast_stream_of_orders_gives_no_difference() -> None:
    """40,000 commands, mostly hot; `compiled_engine_run` is the same over as many as asked."""
    compare = pytest.importorskip("tests.differential.compiled_engine_run").compare
    _, counts = compare(7, 40_000, every=5_000, draws_limits=False)
    assert counts["Trade"] > 2_000
    assert counts["OrderAmended"] > 100
    assert counts["OrderRevised"] > 20
    assert counts["BatchClosed"] > 10
    assert counts["OrderTriggered"] > 5
    assert counts["MmpTriggered"] > 25
    assert counts["QuotePlaced"] > 500
    assert counts["QuoteKept"] > 50
    assert counts["QuoteRefused"] > 50
    assert counts["MmpReset"] > 50
    assert counts["AuctionEnded"] > 10
    assert counts["OracleRoundSet"] > 5
    assert counts["FundingPaid"] > 100
    assert counts["LiquidationStarted"] > 10
    assert counts["Deleveraged"] > 10
    assert counts["refused IN_LIQUIDATION"] > 100
    assert counts["SessionKeyLimited"] > 3
    assert counts["refused KEY_NOTIONAL_EXCEEDED"] > 50
    assert counts["DeadManSet"] > 5
    assert counts["refused MARKET_REDUCE_ONLY"] > 100
    assert counts["portfolio hot"] > 1_000
    assert counts["portfolio refused INSUFFICIENT_MARGIN"] > 100
    assert counts["portfolio Trade"] > 100


def test_limits_of_markets_give_no_difference() -> None:
    """20,000 commands under caps, position limits and growing margin, near what is open and far from it."""
    compare = pytest.importorskip("tests.differential.compiled_engine_run").compare
    _, counts = compare(8, 20_000, every=2_000)
    assert counts["MarketLimitsSet"] > 30
    assert counts["refused OPEN_INTEREST_CAP"] > 100
    assert counts["refused POSITION_LIMIT"] > 100
    assert counts["refused TOO_MANY_OPEN_ORDERS"] > 5
    assert counts["QuoteRefused POSITION_LIMIT"] > 10
    assert counts["grown hot"] > 1_000


def test_a_look_that_takes_many_commands_gives_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """12,000 commands of which each may change one account behind new prices: until the last one nothing fills."""
    monkeypatch.setattr(liquidation, "MAX_LIQUIDATION_STEPS_PER_COMMAND", 1)
    compare = pytest.importorskip("tests.differential.compiled_engine_run").compare
    _, counts = compare(21, 12_000, every=2_000)
    assert counts["refused CAPACITY"] > 20
    assert counts["Trade"] > 500
    assert counts["hot"] > 5_000


def test_one_crossing_for_many_commands_gives_the_bytes_of_one_for_each() -> None:
    """Packed events of 3,000 orders and cancels do not depend on how many records one call takes."""
    blobs, hashes = [], []
    for size in (1, 64, 1_000):
        state, stream = compiled_state.CompiledState(OrderBook, CONFIGS[0]), FastStream(9)
        for command, now_ns in stream.opening():
            apply(state, command, now_ns)
        apply(state, Clock(), state.timestamp_ns)
        packed = [pack_command(stream.next()[0]) for _ in range(3_000)]
        packed = [row for row in packed if row[0][0] in (CommandKind.PLACE, CommandKind.CANCEL)]
        for at in range(0, len(packed), size):
            records, texts = (b"".join(parts) for parts in zip(*packed[at : at + size], strict=True))
            first, offset, outcome = 0, 0, hot_path.OUTCOME_COLD
            while first * RECORD_BYTES < len(records):
                now_ns = state.timestamp_ns
                first, offset, outcome = hot_path.run(state.store, records, texts, now_ns, first, offset)
                if outcome != hot_path.OUTCOME_DONE:
                    first, offset = (
                        first + 1,
                        offset + int.from_bytes(records[first * 64 + 60 : first * 64 + 64], "little"),
                    )
        blobs.append(hot_path.take_events(state.store))
        hashes.append(state_hash(state))
    assert len(blobs[0]) > 64 * 1_000
    assert blobs[0] == blobs[1] == blobs[2]
    assert hashes[0] == hashes[1] == hashes[2]


def test_a_snapshot_moves_between_rows_and_twin() -> None:
    """A dump of the compiled state loads as either, and both go on alike."""
    rows, stream = compiled_state.CompiledState(OrderBook, CONFIGS[0]), Stream(31)
    for command, now_ns in stream.opening():
        apply(rows, command, now_ns)
    for _ in range(1_500):
        apply(rows, *stream.next(rows))
    twin = load(dump(rows), OrderBook, CONFIGS[0])
    again = load(dump(rows), OrderBook, CONFIGS[0], compiled_state.CompiledState)
    check_invariants(again)
    for _ in range(1_500):
        command, now_ns = stream.next(twin)
        expected = apply(twin, command, now_ns)
        assert apply(rows, command, now_ns) == expected
        assert apply(again, command, now_ns) == expected
    assert state_hash(again) == state_hash(twin) == state_hash(rows)


@pytest.mark.parametrize("seed", [5, 6])
def test_a_snapshot_of_quotes_icebergs_and_calls_goes_on_alike(seed: int) -> None:
    """Of 6,000 fast commands, the last 4,500 over states that were dumped and loaded every 500."""
    compare = pytest.importorskip("tests.differential.compiled_engine_run")
    twin, stream = State(compare.small_book, compare.CONFIG), FastStream(seed)
    commands = [*stream.opening(), *(stream.next() for _ in range(6_000))]
    for command, now_ns in commands[:1_500]:
        apply(twin, command, now_ns)
    for at in range(1_500, len(commands), 500):
        rows = load(dump(twin), compare.small_book, compare.CONFIG, compiled_state.CompiledState)
        again = load(dump(rows), compare.small_book, compare.CONFIG)
        check_invariants(rows)
        for number, (command, now_ns) in enumerate(commands[at : at + 500], at):
            expected = apply(twin, command, now_ns)
            assert apply(again, command, now_ns) == expected, f"command {number}: {command}"
            found = rows.hot(command, now_ns, None)
            found = apply(rows, command, now_ns) if found is None else found
            assert found == expected, f"command {number}: {command}"
        assert dump(rows) == dump(twin) == dump(again)


@pytest.mark.parametrize("lines", [1, 2, 64])
def test_a_mass_quote_that_passes_runs_compiled(lines: int) -> None:
    """New, replaced, kept, smaller and pulled sides are hot and give the twin's events; a bad side is the handlers'."""
    states = State(OrderBook), compiled_state.CompiledState(OrderBook)
    for state in states:
        quoting.open_options(state, lines)
    for step, (away, lots) in enumerate([(0, 10), (1, 10), (1, 10), (1, 7), (1, 0), (2, 3)]):
        call = quoting.options_call(lines, step, away=away, lots=lots)
        expected = apply(states[0], call, quoting.NOW_NS + step)
        assert states[1].hot(call, quoting.NOW_NS + step, None) == expected
    bad = quoting.options_call(lines, 9, away=-5_000, lots=1)
    assert states[1].hot(bad, quoting.NOW_NS + 9, None) is None
    assert apply(states[1], bad, quoting.NOW_NS + 9) == apply(states[0], bad, quoting.NOW_NS + 9)
    assert state_hash(states[1]) == state_hash(states[0])
    check_invariants(states[1])
