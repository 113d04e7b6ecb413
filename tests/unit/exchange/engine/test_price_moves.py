"""The price trigger: a trade that would move a perpetual too far too fast begins a call instead."""

import pytest

from exchange.domain.auctions import AuctionCause, AuctionEnded, AuctionStarted, Phase, SetPhase
from exchange.domain.commands import OrderFlag, Side, SignedAmend, TimeInForce, Trigger, TriggerKind
from exchange.domain.events import Event, OrderAccepted, OrderTriggered
from exchange.domain.result_codes import ResultCode
from exchange.engine.config import EngineConfig
from exchange.engine.invariants import check_invariants
from exchange.engine.price_rings import RING_INTEGERS, PriceRings
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from tests.unit.exchange.engine.world import BUY, CALL, PERP, SECOND_NS, SELL, World, refusal, trades

PRICE = 600_000
UP, DOWN = 630_000, 570_000
"""Five percent from PRICE."""
LONG_ONLY = EngineConfig(short_move_ppm=500_000, long_move_ppm=50_000)
E9 = 10**9


def started(events: list[Event]) -> list[AuctionCause]:
    """Causes of the calls that began."""
    return [event.cause for event in events if isinstance(event, AuctionStarted)]


def traded(config: EngineConfig | None = None) -> World:
    """A world whose perpetual just traded at PRICE."""
    world = World(config=config).open(accounts=4)
    world.place(2, SELL, PRICE, 1)
    world.place(3, BUY, PRICE, 1)
    return world


@pytest.mark.parametrize(
    ("side", "price", "begins"), [(BUY, UP, False), (BUY, UP + 1, True), (SELL, DOWN, False), (SELL, DOWN - 1, True)]
)
def test_five_percent_is_the_bound_of_ten_seconds(side: Side, price: int, begins: bool) -> None:
    """A trade at five percent is made; one a tick farther begins a call of a minute and rests in it."""
    world = traded()
    world.place(4, Side(1 - side), price, 1)
    events = world.place(5, side, price, 1)
    assert (started(events), len(trades(events))) == (([AuctionCause.PRICE_MOVE], 0) if begins else ([], 1))
    if begins:
        assert world.state.auctions[PERP].deadline_ns == world.now_ns + 60 * SECOND_NS


@pytest.mark.parametrize(("seconds", "begins"), [(9, True), (13, False)])
def test_older_trades_leave_the_short_window(seconds: int, begins: bool) -> None:
    """Six percent from a trade 9 s ago is too far; from one 13 s ago it is within the ten percent of 5 minutes."""
    world = traded()
    world.later(seconds)
    world.place(4, SELL, 636_000, 1)
    assert bool(started(world.place(5, BUY, 636_000, 1))) is begins


@pytest.mark.parametrize(("seconds", "begins"), [(290, True), (370, False)])
def test_older_trades_leave_the_long_window(seconds: int, begins: bool) -> None:
    """The bound of 5 minutes forgets after 6 at the latest."""
    world = traded(LONG_ONLY)
    world.later(seconds)
    world.place(4, SELL, 636_000, 1)
    assert bool(started(world.place(5, BUY, 636_000, 1))) is begins


def test_small_steps_add_up() -> None:
    """Two steps of three percent within ten seconds are too far together."""
    world = traded()
    for price, expected in ((618_000, []), (636_000, [AuctionCause.PRICE_MOVE])):
        world.place(4, SELL, price, 1)
        assert started(world.place(5, BUY, price, 1)) == expected


@pytest.mark.parametrize(("lots", "begins"), [(5, False), (6, True)])
def test_one_sweep_is_bounded_from_its_own_first_trade(lots: int, begins: bool) -> None:
    """Nothing traded before; the sweep that stays within five percent trades, the one that would go on does not."""
    world = World().open(accounts=4)
    world.place(4, SELL, PRICE, 5)
    world.place(4, SELL, 640_000, 5)
    events = world.place(5, BUY, 640_000, lots)
    assert bool(started(events)) is begins
    assert sum(trade.quantity_lots for trade in trades(events)) == (0 if begins else 5)


def test_a_far_limit_that_trades_near_begins_nothing() -> None:
    """What counts is where it would trade, not how far it may."""
    world = traded()
    world.place(4, SELL, PRICE, 5)
    events = world.place(5, BUY, 900_000, 5)
    assert (started(events), len(trades(events))) == ([], 1)


@pytest.mark.parametrize(
    "fields",
    [{"time_in_force": TimeInForce.IOC}, {"time_in_force": TimeInForce.FOK}, {"flags": OrderFlag.MARKET}],
)
def test_what_cannot_rest_is_refused_and_begins_no_call(fields: dict[str, object]) -> None:
    """It would risk nothing by interrupting everybody."""
    world = traded()
    world.place(4, SELL, 640_000, 1)
    events = world.place(5, BUY, 640_000, 1, **fields)
    assert refusal(events) == ResultCode.PRICE_MOVE_TOO_LARGE
    assert started(events) == []


def test_a_signed_amendment_that_would_go_too_far_is_refused() -> None:
    """The order stays as it was."""
    world = traded()
    world.place(4, SELL, 640_000, 1)
    (number,) = [e.order for e in world.place(5, BUY, PRICE - 10, 1) if isinstance(e, OrderAccepted)]
    events = world.run(SignedAmend(target_order=number, order=world.order(5, BUY, 640_000, 1)))
    assert refusal(events) == ResultCode.PRICE_MOVE_TOO_LARGE
    assert world.state.open_orders[number].price_ticks == PRICE - 10


def test_a_stop_that_would_go_too_far_begins_a_call_and_is_placed_at_its_end() -> None:
    """It is not lost: after the call, which forgets what was before, it trades."""
    world = traded()
    world.place(4, BUY, 560_000, 10)
    stop = Trigger(kind=TriggerKind.STOP, price_e9=59_000 * E9)
    world.place(3, SELL, 550_000, 1, flags=OrderFlag.MARKET | OrderFlag.REDUCE_ONLY, trigger=stop)
    events = world.prices(index=58_900)
    assert started(events) == [AuctionCause.PRICE_MOVE]
    assert not any(isinstance(event, OrderTriggered) for event in events)
    world.clock(55)
    world.repeat_prices()
    events = world.clock(6)
    assert [type(event) for event in events if isinstance(event, AuctionEnded | OrderTriggered)] == [
        AuctionEnded,
        OrderTriggered,
    ]
    assert [trade.price_ticks for trade in trades(events)] == [560_000]


def test_an_uncross_begins_the_count_anew() -> None:
    """Eight percent up in the call; a trade at its price is no move, one back at the old price is."""
    world = traded()
    world.place(4, SELL, 648_000, 2)
    world.place(5, BUY, 648_000, 1)
    assert [trade.price_ticks for trade in trades(world.later(61))] == [648_000]
    assert len(trades(world.place(5, BUY, 648_000, 1))) == 1
    world.place(4, BUY, PRICE, 1)
    assert started(world.place(5, SELL, PRICE, 1)) == [AuctionCause.PRICE_MOVE]


def test_options_have_no_such_bound() -> None:
    """Their prices multiply within a band of their own."""
    world = World().open(accounts=4)
    for price in (1_000, 3_000):
        world.place(4, SELL, price, 1, CALL)
        assert len(trades(world.place(5, BUY, price, 1, CALL))) == 1


def test_in_a_call_nothing_is_too_far() -> None:
    """There are no trades to bound; the call's own corridor watches its price."""
    world = traded()
    deadline_ns = world.now_ns + 30 * SECOND_NS
    world.run(SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=deadline_ns))
    world.place(4, SELL, 700_000, 1)
    assert refusal(world.place(5, BUY, 700_000, 1)) == ResultCode.OK
    assert world.state.auctions[PERP].deadline_ns == deadline_ns


def test_a_restored_state_remembers_the_moves() -> None:
    """The same trade is too far before and after a restore, and the hash is the same."""
    world = traded()
    world.place(4, SELL, UP + 1, 1)
    again = World()
    again.state = load(dump(world.state), type(world.state.book), world.state.config, type(world.state))
    again.now_ns = world.now_ns
    check_invariants(again.state)
    assert state_hash(again.state) == state_hash(world.state)
    events = world.place(5, BUY, UP + 1, 1)
    assert started(events) == [AuctionCause.PRICE_MOVE]
    assert again.place(5, BUY, UP + 1, 1) == events


def test_rings_keep_six_slots_of_each_window() -> None:
    """A trade per second for a minute: the short window sees the last six slots of two seconds, the long one all."""
    rings = PriceRings()
    for second in range(60):
        rings.note(1, 1_000 + second, second * SECOND_NS)
    short, long = rings.extremes(1, 59 * SECOND_NS)
    assert (min(short), max(short)) == (1_048, 1_059)
    assert (min(long), max(long)) == (1_000, 1_059)
    rings.clear(1)
    assert rings.load(1) == [0] * RING_INTEGERS
