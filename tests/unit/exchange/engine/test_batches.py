"""What goes into a settlement batch, and when the engine closes one by itself."""

import pytest

from exchange.domain.commands import BatchCut, ChainRequestKind
from exchange.domain.events import BatchClosed, CommandRefused, Event, Trade
from exchange.domain.result_codes import ResultCode
from exchange.engine.config import EngineConfig
from settlement.protocol.caps import MAX_LEAVES
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SECOND_NS, SELL, START_S, World


def closed(events: list[Event]) -> list[BatchClosed]:
    """The batches that `events` close."""
    return [event for event in events if isinstance(event, BatchClosed)]


def test_nothing_to_cut() -> None:
    """An empty batch stays open and keeps its number."""
    world = World().open()
    assert world.run_cut() == [CommandRefused(code=ResultCode.NOTHING_TO_CUT, detail=2)]


def test_an_empty_batch_is_closed_where_that_is_wanted() -> None:
    """Of the second of the cut, with nothing in it; the next one begins behind it."""
    world = World().open()
    world.clock(7)
    (batch,) = world.run(BatchCut(allows_empty=True))
    assert isinstance(batch, BatchClosed)
    assert (batch.batch, batch.fill_count, batch.fee_e6, batch.request_up_to) == (2, 0, 0, 3)
    assert batch.match_from_s == batch.match_to_s == world.state.timestamp_ns // SECOND_NS
    assert batch.last_sequence == world.state.sequence
    assert world.run_cut() == [CommandRefused(code=ResultCode.NOTHING_TO_CUT, detail=3)]


def test_what_is_in_a_batch_is_not_made_younger() -> None:
    """A cut that would take an empty batch closes a full one as any cut does."""
    world = World().open()
    world.place(2, BUY, 600_000, 100)
    world.place(3, SELL, 600_000, 100)
    world.clock(7)
    (batch,) = closed(world.run(BatchCut(allows_empty=True)))
    assert (batch.fill_count, batch.match_from_s, batch.match_to_s) == (1, START_S, START_S)


def test_cut_sums_fees_fills_and_times() -> None:
    """Fees of both sides (0.6 + 1.8 per 0.1 BTC at 100 and 300 ppm), the seconds of the first and last fill."""
    world = World().open()
    world.place(2, BUY, 600_000, 200)
    world.place(3, SELL, 600_000, 100)
    world.clock(5)
    world.place(3, SELL, 600_000, 100)
    (batch,) = closed(world.run_cut())
    assert (batch.batch, batch.fill_count, batch.fee_e6, batch.request_up_to) == (2, 2, 2 * 2_400_000, 3)
    assert (batch.match_from_s, batch.match_to_s) == (START_S, START_S + 5)
    assert batch.first_sequence <= batch.last_sequence == world.state.sequence
    assert world.state.batch.first_sequence == world.state.sequence + 1


def test_accounts_cap_closes_before_the_fill() -> None:
    """With room for two accounts the third's fill opens a new batch, inside one command."""
    world = World(config=EngineConfig(batch_accounts_max=2)).open(accounts=2)
    world.run_cut()
    world.deposit(4, 100_000 * E6)
    world.run_cut()
    world.place(2, SELL, 600_000, 5)
    world.place(3, SELL, 600_010, 5)
    events = world.place(4, BUY, 600_010, 10)
    kinds = [type(event) for event in events if isinstance(event, Trade | BatchClosed)]
    assert kinds == [Trade, BatchClosed, Trade]
    (batch,) = closed(events)
    assert (batch.fill_count, batch.last_sequence) == (1, world.state.sequence)
    assert (world.state.batch.first_sequence, world.state.batch.fill_count) == (world.state.sequence, 1)


def test_instruments_and_legs_caps() -> None:
    """The second instrument, or the fifth leg, starts a new batch."""
    for config in (EngineConfig(batch_instruments_max=2), EngineConfig(batch_legs_max=4)):
        world = World(config=config).open()
        for instrument, ticks in ((PERP, 600_000), (CALL, 1_500), (PUT, 800)):
            world.place(2, BUY, ticks, 1, instrument)
            events = world.place(3, SELL, ticks, 1, instrument)
            assert len(closed(events)) == (instrument == PUT)


def test_requests_cap_follows_the_contract() -> None:
    """The contract consumes 64 requests per batch; the 65th opens the next."""
    world = World(config=EngineConfig(batch_requests_max=2)).open(accounts=1)
    assert not closed(world.deposit(2, 1))
    assert not closed(world.deposit(2, 1))
    events = world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=1)
    assert closed(events)[0].request_up_to == 3
    assert world.state.batch.request_count == 1


def test_orders_of_an_account_cap_closes_before_the_fill() -> None:
    """A third order of one account opens a new batch; more fills of an order that counts already do not."""
    world = World(config=EngineConfig(batch_orders_max=2)).open()
    world.place(3, SELL, 600_000, 10)
    for _ in range(2):
        assert not closed(world.place(2, BUY, 600_000, 1))
    assert world.state.batch.fill_count == 2
    (batch,) = closed(world.place(2, BUY, 600_000, 1))
    assert (batch.fill_count, world.state.batch.fill_count) == (2, 1)
    assert world.state.batch.orders == {2: 1, 3: 1}


def test_orders_cap_is_that_of_the_orders_tree() -> None:
    """A batch with more leaves of one account could not be built at all, by nobody, ever."""
    assert EngineConfig().batch_orders_max == MAX_LEAVES


@pytest.mark.parametrize(("mark", "is_closed"), [(60_150, False), (59_850, False), (60_151, True), (59_849, True)])
def test_a_batch_ends_before_a_perpetual_moves_far(mark: int, *, is_closed: bool) -> None:
    """More than a quarter of a percent in one round; margin floors are judged by the marks that a batch begins with."""
    world = World().open()
    world.place(2, BUY, 600_000, 1)
    world.place(3, SELL, 600_000, 1)
    assert bool(closed(world.prices(60_000, perp=mark))) is is_closed
    assert world.state.batch.has_content is not is_closed


def test_options_move_within_a_batch() -> None:
    """Their marks need not be those of the fills: a long one covers nothing, a short one asks for far more."""
    world = World().open()
    world.place(2, BUY, 600_000, 1)
    world.place(3, SELL, 600_000, 1)
    assert not closed(world.prices(60_000, call=3_000, put=1))
