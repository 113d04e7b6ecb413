"""Quotes and protection groups in call auctions, and guarded icebergs: what either feature means to the other."""

import pytest

from exchange.domain.auctions import AuctionEnded, Phase, SetPhase
from exchange.domain.commands import Clock, OrderFlag
from exchange.domain.events import Event, OrderClosed, Trade
from exchange.domain.quote_events import MmpReset, MmpTriggered
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.engine.config import EngineConfig
from exchange.engine.invariants import check_invariants
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from tests.unit.exchange.engine.quoting import (
    GROUP,
    MAKER,
    OPTION_LOT_E9,
    PERP_LOT_E9,
    QuoteWorld,
    closed,
    code_of,
    kept,
    placed,
    refused,
    tripped,
)
from tests.unit.exchange.engine.world import BUY, CALL, PUT, SECOND_NS, SELL, refusal, trades

PRICE = 600_000
MMP = OrderFlag.MMP


def switch(world: QuoteWorld, instrument: int, seconds: int = 0) -> list[Event]:
    """Begin a call of that many seconds, or end one."""
    deadline_ns = world.now_ns + 1_000_000 + seconds * SECOND_NS if seconds else 0
    phase = Phase.AUCTION if seconds else Phase.CONTINUOUS
    return world.run(SetPhase(instrument=instrument, phase=phase, deadline_ns=deadline_ns))


def restored(world: QuoteWorld) -> QuoteWorld:
    """A world that goes on from the dump of another."""
    again = QuoteWorld(config=world.state.config)
    again.state = load(dump(world.state), type(world.state.book), world.state.config, type(world.state))
    again.now_ns, again.round = world.now_ns, world.round
    check_invariants(again.state)
    return again


def in_call(**limits: int) -> QuoteWorld:
    """A maker whose call option is in a call of a minute."""
    world = QuoteWorld().open_maker(**limits)
    switch(world, CALL, 60)
    return world


def test_a_quote_that_crosses_itself_is_refused_in_a_call_too() -> None:
    """The sides of one line stand apart in either phase."""
    world = in_call()
    assert [code for _, code in refused(world.quote((CALL, 1_500, 5, 1_400, 5)))] == [ResultCode.BAD_PRICE] * 2


def test_quotes_rest_across_orders_in_a_call_and_are_refused_behind_it() -> None:
    """Post-only asks for nothing while nothing trades."""
    world = in_call()
    world.place(3, SELL, 1_400, 5, CALL)
    assert [event.order & 0xFF for event in placed(world.quote((CALL, 1_450, 5, 1_600, 5)))] == [0, 1]
    assert [event.quantity_lots for event in trades(switch(world, CALL))] == [5]
    world.place(3, SELL, 1_400, 5, CALL)
    assert refused(world.quote((CALL, 1_450, 5, 1_600, 5))) == [(0, ResultCode.POST_ONLY_WOULD_CROSS)]


def test_a_quote_is_kept_and_replaced_in_a_call() -> None:
    """The same price keeps the place in line, another one takes a new place."""
    world = in_call()
    world.quote((CALL, 1_450, 5, 1_600, 5))
    events = world.quote((CALL, 1_450, 4, 1_601, 5))
    assert kept(events) == [0]
    assert [reason for _, reason in closed(events)] == [CloseReason.REPLACED]


def test_a_group_that_an_uncross_brings_to_its_limit_ends_with_it() -> None:
    """The fill is clipped at 100 lots, the trip stands behind its trade, and both instruments lose their quotes."""
    world = in_call()
    world.quote((CALL, 1_500, 150, 2_000, 50), (PUT, 700, 50, 900, 50))
    world.place(3, SELL, 1_500, 120, CALL)
    events = switch(world, CALL)
    (trade,), (trip,) = trades(events), tripped(events)
    assert (trade.quantity_lots, trade.is_auction) == (100, True)
    assert (trip.quantity_lots, trip.thaw_ns) == (100, world.now_ns + 5 * SECOND_NS)
    kinds = [type(event) for event in events if isinstance(event, Trade | MmpTriggered | OrderClosed | AuctionEnded)]
    assert kinds == [Trade, MmpTriggered, *[OrderClosed] * 4, AuctionEnded]
    assert {reason for _, reason in closed(events)} == {CloseReason.MMP_TRIGGERED}
    assert code_of(world.quote((CALL, 1_000, 5, 2_000, 5))) is ResultCode.MMP_FROZEN


def test_the_fills_of_an_uncross_count_in_the_window_of_their_time() -> None:
    """60 lots of a window that is over do not freeze 60 more; 60 within it are clipped to 40."""
    for seconds, lots in ((11, 60), (1, 40)):
        world = QuoteWorld().open_maker()
        world.quote((CALL, 1_500, 200, 2_000, 50))
        world.place(3, SELL, 1_500, 60, CALL)
        switch(world, CALL, 60)
        world.place(3, SELL, 1_500, 60, CALL)
        world.clock(seconds)
        assert [event.quantity_lots for event in trades(switch(world, CALL))] == [lots]


def test_the_window_is_of_its_time_where_a_price_move_is_judged() -> None:
    """An ask of a group that could trade one more lot stops hiding what lies beyond once the window is over."""
    config = EngineConfig(short_move_ppm=1_000, long_move_ppm=1_000)
    world = QuoteWorld(config=config).open_maker(lot_e9=PERP_LOT_E9, quantity_lots=5)
    world.place(MAKER, SELL, PRICE, 10, flags=MMP, mmp_group=GROUP)
    world.place(3, SELL, PRICE + 700, 10)
    world.place(4, BUY, PRICE, 4)
    world.cancel(4, 1)
    again = restored(world)
    for one in (world, again):
        one.later(11)
        assert [event.quantity_lots for event in trades(one.place(4, BUY, PRICE + 700, 4))] == [4]
    assert state_hash(world.state) == state_hash(again.state)


def test_groups_thaw_and_orders_end_before_a_call_of_the_same_time() -> None:
    """A Clock at the deadline of both resets the group first."""
    world = QuoteWorld().open_maker(frozen_ns=5 * SECOND_NS)
    world.quote((PUT, 700, 100, 900, 100))
    world.place(3, SELL, 700, 100, PUT)
    deadline_ns = world.now_ns + 5 * SECOND_NS
    world.run(SetPhase(instrument=CALL, phase=Phase.AUCTION, deadline_ns=deadline_ns))
    events = world.run(Clock(), after_ns=deadline_ns - world.now_ns)
    assert [type(event) for event in events if isinstance(event, MmpReset | AuctionEnded)] == [MmpReset, AuctionEnded]


def test_quotes_of_a_call_come_back_and_uncross_alike() -> None:
    """Older and later quotes, a count of the window, and an iceberg opposite."""
    world = QuoteWorld().open_maker()
    world.quote((CALL, 1_400, 30, 1_600, 30), (PUT, 700, 50, 900, 50))
    world.place(3, SELL, 1_400, 7, CALL)
    switch(world, CALL, 60)
    world.place(3, SELL, 1_410, 60, CALL, display_lots=5)
    world.quote((CALL, 1_450, 90, 1_600, 20), (PUT, 700, 50, 901, 50))
    again = restored(world)
    assert state_hash(again.state) == state_hash(world.state)
    assert switch(again, CALL) == switch(world, CALL)
    assert again.quote((PUT, 699, 5, 905, 5)) == world.quote((PUT, 699, 5, 905, 5))
    assert state_hash(again.state) == state_hash(world.state)


@pytest.mark.parametrize("taken", [1, 4, 9, 10, 19])
def test_a_guarded_iceberg_keeps_slice_guard_and_count(taken: int) -> None:
    """Its traded part is more than the limit leaves, and is not counted twice."""
    world = QuoteWorld().open_maker(lot_e9=PERP_LOT_E9, quantity_lots=20, interval_ns=0)
    world.place(MAKER, SELL, PRICE, 50, flags=MMP, mmp_group=GROUP, display_lots=10)
    world.place(3, BUY, PRICE, taken)
    again = restored(world)
    assert state_hash(again.state) == state_hash(world.state)
    for one in (world, again):
        events = one.place(4, BUY, PRICE, 30)
        assert sum(event.quantity_lots for event in trades(events)) == 20 - taken
        assert len(tripped(events)) == 1
    assert state_hash(again.state) == state_hash(world.state)


def test_a_slice_traded_in_two_windows_comes_back_whole() -> None:
    """Eight lots of one slice are more than the limit of five, and were never more than four in a window."""
    world = QuoteWorld().open_maker(lot_e9=PERP_LOT_E9, quantity_lots=5)
    world.place(MAKER, SELL, PRICE, 50, flags=MMP, mmp_group=GROUP, display_lots=10)
    for _ in range(2):
        world.place(3, BUY, PRICE, 4)
        world.clock(11)
    again = restored(world)
    assert state_hash(again.state) == state_hash(world.state)
    assert again.place(4, BUY, PRICE, 9) == world.place(4, BUY, PRICE, 9)


def test_a_protected_order_may_show_slices_and_stays_guarded() -> None:
    """Display and group do not exclude each other; the group of the options takes no perpetual."""
    world = QuoteWorld().open_maker(lot_e9=OPTION_LOT_E9)
    fields = {"flags": MMP, "mmp_group": GROUP, "display_lots": 10}
    assert refusal(world.place(MAKER, SELL, PRICE, 50, **fields)) is ResultCode.MMP_PRECONDITION
    assert refusal(world.place(MAKER, SELL, 1_500, 50, CALL, **fields)) is ResultCode.OK
