"""Call auctions: collected orders trade at one price, in the order of the rules, at the deadline or when told."""

from typing import Any

import pytest

from exchange.domain.auctions import AuctionCause, AuctionEnded, AuctionStarted, Phase, SetPhase
from exchange.domain.commands import Amend, Clock, OrderFlag, PriceSource, TimeInForce, Trigger, TriggerKind
from exchange.domain.events import (
    BookLevel,
    CommandRefused,
    Event,
    OrderAccepted,
    OrderClosed,
    OrderTriggered,
    TriggerFailed,
)
from exchange.domain.packing import pack_command, unpack_commands
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.engine.config import EngineConfig
from exchange.engine.invariants import check_invariants
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core.fills import CorePhase
from tests.unit.exchange.engine.world import BUY, CALL, EXPIRY_S, PERP, SECOND_NS, SELL, World, refusal, trades

PRICE = 600_000
E9 = 10**9


def call(world: World, seconds: int = 60, instrument: int = PERP) -> list[Event]:
    """Begin a call, or move its deadline."""
    deadline_ns = world.now_ns + 1_000_000 + seconds * SECOND_NS
    return world.run(SetPhase(instrument=instrument, phase=Phase.AUCTION, deadline_ns=deadline_ns))


def uncross(world: World, instrument: int = PERP) -> list[Event]:
    """End the call now."""
    return world.run(SetPhase(instrument=instrument, phase=Phase.CONTINUOUS))


def opened(accounts: int = 4) -> World:
    """A world whose perpetual is in a call of a minute."""
    world = World().open(accounts=accounts)
    call(world)
    return world


def number_of(events: list[Event]) -> int:
    """Number of the one order accepted."""
    (number,) = [event.order for event in events if isinstance(event, OrderAccepted)]
    return number


def ended(events: list[Event]) -> list[tuple[int, int]]:
    """Price and lots of every call that ended."""
    return [(event.price_ticks, event.quantity_lots) for event in events if isinstance(event, AuctionEnded)]


def started(events: list[Event]) -> list[AuctionCause]:
    """Causes of every call that began or went on."""
    return [event.cause for event in events if isinstance(event, AuctionStarted)]


def restored(world: World) -> World:
    """A world that goes on from the dump of another."""
    again = World(config=world.state.config)
    again.state = load(dump(world.state), type(world.state.book), world.state.config, type(world.state))
    again.now_ns, again.round = world.now_ns, world.round
    check_invariants(again.state)
    return again


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (SetPhase(instrument=99, phase=Phase.AUCTION), ResultCode.INSTRUMENT_NOT_FOUND),
        (SetPhase(instrument=PERP, phase=Phase.CONTINUOUS), ResultCode.PARAMETER_INVALID),
        (SetPhase(instrument=PERP, phase=Phase.AUCTION), ResultCode.PARAMETER_INVALID),
        (SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=1 << 62), ResultCode.PARAMETER_INVALID),
    ],
)
def test_an_impossible_phase_is_refused(command: SetPhase, code: ResultCode) -> None:
    """Unknown instrument, no call to end, a deadline that is over or farther than a day."""
    events = World().open().run(command)
    assert [(event.code, event.detail) for event in events if isinstance(event, CommandRefused)] == [
        (code, command.instrument)
    ]


def test_an_instrument_that_is_over_gets_no_call() -> None:
    """An option beyond its expiry is not live."""
    world = World().open()
    world.run(SetPhase(instrument=CALL, phase=Phase.CONTINUOUS), after_ns=EXPIRY_S * SECOND_NS - world.now_ns)
    (event,) = call(world, instrument=CALL)
    assert isinstance(event, CommandRefused)
    assert event.code == ResultCode.INSTRUMENT_NOT_LIVE


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"time_in_force": TimeInForce.IOC}, ResultCode.IN_AUCTION),
        ({"time_in_force": TimeInForce.FOK}, ResultCode.IN_AUCTION),
        ({"flags": OrderFlag.MARKET}, ResultCode.IN_AUCTION),
        ({"flags": OrderFlag.POST_ONLY}, ResultCode.OK),
        ({"display_lots": 1}, ResultCode.OK),
        ({}, ResultCode.OK),
    ],
)
@pytest.mark.parametrize("crosses", [False, True])
def test_only_what_can_rest_takes_part(fields: dict[str, Any], code: ResultCode, crosses: bool) -> None:
    """IOC, FOK and market orders are refused whatever stands opposite; the rest waits, crossed or not."""
    world = opened()
    world.place(2, SELL, PRICE if crosses else PRICE + 10, 10)
    events = world.place(3, BUY, PRICE, 10, **fields)
    assert refusal(events) == code
    assert trades(events) == []


def test_the_uncross_has_most_volume_then_least_surplus_then_the_mark() -> None:
    """Bids 10 @ 600,020 and 10 @ 600,010, asks 10 @ 599,990 and 5 @ 600,000: 15 lots from 600,000 to 600,010."""
    world = opened()
    for account, side, price, lots in (
        (2, BUY, PRICE + 20, 10),
        (3, BUY, PRICE + 10, 10),
        (4, SELL, PRICE - 10, 10),
        (5, SELL, PRICE, 5),
    ):
        world.place(account, side, price, lots)
    events = uncross(world)
    assert ended(events) == [(PRICE, 15)]
    rows = [(t.maker.subaccount, t.taker.subaccount, t.price_ticks, t.quantity_lots) for t in trades(events)]
    assert rows == [(2, 4, PRICE, 10), (3, 5, PRICE, 5)]
    assert all(trade.is_auction and trade.taker_side is SELL for trade in trades(events))
    assert world.state.book.phase(PERP) == CorePhase.CONTINUOUS
    assert trades(world.place(4, SELL, PRICE + 10, 5))[0].maker.subaccount == 3


def test_no_fill_passes_the_limit_of_its_signature() -> None:
    """Every buyer's limit is at or above the price of its fill, every seller's at or below."""
    world = opened()
    limits: dict[int, tuple[int, int]] = {}
    for step in range(12):
        for account, side, price in (
            (2 + step % 2, BUY, PRICE + 7 * step),
            (4 + step % 2, SELL, PRICE + 60 - 5 * step),
        ):
            limits[number_of(world.place(account, side, price, 1 + step % 5))] = (side, price)
    rows = trades(uncross(world))
    assert len(rows) > 5
    for trade in rows:
        assert limits[trade.maker.order][0] == BUY
        assert limits[trade.maker.order][1] >= trade.price_ticks >= limits[trade.taker.order][1]


def test_both_sides_pay_the_makers_fee() -> None:
    """100 ppm of 10 x 0.001 BTC at 60,000 is 0.06 USDC for each; nobody took."""
    world = opened()
    world.place(2, BUY, PRICE, 10)
    world.place(3, SELL, PRICE, 10)
    (trade,) = trades(uncross(world))
    assert (trade.maker.fee_e6, trade.taker.fee_e6) == (60_000, 60_000)


def test_the_clock_ends_a_call_at_its_deadline_and_not_before() -> None:
    """The state asks for a Clock at the deadline; one second before nothing happens."""
    world = opened()
    world.clock()
    world.place(2, BUY, PRICE, 10)
    world.place(3, SELL, PRICE, 10)
    deadline_ns = world.state.auctions[PERP].deadline_ns
    assert world.state.next_deadline_ns() == deadline_ns
    assert ended(world.run(Clock(), after_ns=deadline_ns - SECOND_NS - world.now_ns)) == []
    assert ended(world.run(Clock(), after_ns=SECOND_NS)) == [(PRICE, 10)]
    assert not world.state.work_pending()


def test_deadlines_of_orders_and_calls_are_kept_by_time() -> None:
    """One Clock, late: the order that died before the call's end takes no part, the one that died after it does."""
    world = opened()
    start_s = world.now_ns // SECOND_NS
    dead = number_of(world.place(2, BUY, PRICE + 10, 10, expiry_s=start_s + 50))
    alive = number_of(world.place(3, BUY, PRICE, 10, expiry_s=start_s + 70))
    world.place(4, SELL, PRICE, 15)
    events = world.clock(100)
    assert [trade.maker.order for trade in trades(events)] == [alive]
    assert [event.order for event in events if isinstance(event, OrderClosed)] == [dead, alive]


def test_an_order_that_ends_with_the_call_does_not_trade() -> None:
    """At the same nanosecond orders end first."""
    world = World().open()
    deadline_s = world.now_ns // SECOND_NS + 60
    world.run(SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=deadline_s * SECOND_NS))
    world.place(2, BUY, PRICE, 10, expiry_s=deadline_s)
    world.place(3, SELL, PRICE, 10)
    assert ended(world.clock(60)) == [(0, 0)]


def test_an_empty_call_ends_without_a_price() -> None:
    """Nothing crosses: price and volume 0, and the instrument trades again."""
    world = opened()
    world.place(2, BUY, PRICE - 10, 10)
    assert ended(uncross(world)) == [(0, 0)]
    assert len(trades(world.place(3, SELL, PRICE - 10, 10))) == 1


def test_an_operator_may_move_the_deadline() -> None:
    """The last one counts; the report says so again."""
    world = opened()
    assert started(call(world, 120)) == [AuctionCause.OPERATOR]
    assert ended(world.clock(61)) == []
    assert ended(world.clock(60)) == [(0, 0)]


def test_a_call_goes_on_while_its_price_is_far_from_the_index() -> None:
    """At 66,001 against 60,000 it is 60 s longer, and longer again; with the index at 61,000 it ends."""
    world = opened()
    world.place(2, BUY, 660_010, 10)
    world.place(3, SELL, 660_010, 10)
    for _ in range(2):
        events = world.clock(61)
        assert (started(events), ended(events)) == ([AuctionCause.EXTENDED], [])
    world.prices(index=61_000)
    assert ended(world.clock(61)) == [(660_010, 10)]


def test_an_iceberg_trades_hidden_lots_and_comes_back_behind() -> None:
    """All 25 of 30 lots trade at its place; what is left shows a slice behind the order that came later."""
    world = opened()
    iceberg = number_of(world.place(2, SELL, PRICE, 30, display_lots=10))
    other = number_of(world.place(3, SELL, PRICE, 10))
    world.place(4, BUY, PRICE, 25)
    assert [(t.taker.order, t.quantity_lots) for t in trades(uncross(world))] == [(iceberg, 25)]
    assert [t.maker.order for t in trades(world.place(4, BUY, PRICE, 15))] == [other, iceberg]


@pytest.mark.parametrize(
    ("flag", "left"),
    [
        (OrderFlag.NONE, (10, 0)),
        (OrderFlag.STP_CANCEL_MAKER, (0, 15)),
        (OrderFlag.STP_CANCEL_BOTH, (0, 0)),
        (OrderFlag.STP_DECREMENT_BOTH, (0, 5)),
    ],
)
def test_of_two_own_orders_the_younger_decides(flag: OrderFlag, left: tuple[int, int]) -> None:
    """A bid of 10 came first, an ask of 15 with the mode after it; nothing trades between them."""
    world = opened()
    older = number_of(world.place(2, BUY, PRICE, 10, flags=OrderFlag.STP_CANCEL_BOTH))
    younger = number_of(world.place(2, SELL, PRICE, 15, flags=flag))
    again = restored(world)
    events = uncross(world)
    assert uncross(again) == events
    assert trades(events) == []
    rows = world.state.open_orders
    assert tuple(rows[n].remaining_lots if n in rows else 0 for n in (older, younger)) == left
    closed = [event.reason for event in events if isinstance(event, OrderClosed)]
    assert set(closed) <= {CloseReason.SELF_TRADE_PREVENTION}


def test_a_reduce_only_order_never_passes_zero_in_an_uncross() -> None:
    """Long 10, it sells 10 of 30; the rest ends."""
    world = World().open(accounts=4)
    world.place(2, BUY, PRICE, 10)
    world.place(3, SELL, PRICE, 10)
    call(world)
    world.place(2, SELL, PRICE, 30, flags=OrderFlag.REDUCE_ONLY)
    world.place(4, BUY, PRICE, 30)
    events = uncross(world)
    assert [trade.quantity_lots for trade in trades(events)] == [10]
    assert [e.reason for e in events if isinstance(e, OrderClosed)] == [CloseReason.REDUCE_ONLY_EXCESS]
    assert world.state.accounts[2].lots(PERP) == 0


def test_a_stop_that_fires_in_a_call_is_placed_at_its_end() -> None:
    """A market order could not rest: it waits, trades after the uncross, and asks for no Clock meanwhile."""
    world = World().open(accounts=4)
    world.place(3, BUY, PRICE - 5_000, 10)
    stop = Trigger(kind=TriggerKind.STOP, price_e9=59_500 * E9)
    world.place(2, SELL, PRICE - 10_000, 5, flags=OrderFlag.MARKET, trigger=stop)
    call(world)
    fired = world.prices(index=59_400) + world.clock()
    assert not any(isinstance(event, OrderTriggered | TriggerFailed) for event in fired)
    assert not world.state.work_pending()
    again = restored(world)
    events = uncross(world)
    assert [event.fired_e9 for event in events if isinstance(event, OrderTriggered)] == [59_400 * E9]
    assert [trade.is_auction for trade in trades(events)] == [False]
    assert uncross(again) == events


def test_a_canceled_stop_that_was_held_back_does_not_return() -> None:
    """A cancel finds it although it is in no queue."""
    world = opened()
    stop = Trigger(kind=TriggerKind.STOP, price_e9=59_500 * E9)
    number = number_of(world.place(2, SELL, PRICE - 10_000, 5, trigger=stop))
    world.prices(index=59_400)
    world.cancel(2, number)
    assert not any(isinstance(event, OrderTriggered) for event in uncross(world))


def test_the_trades_of_an_uncross_fire_triggers_on_the_last_price() -> None:
    """The uncross is a trade like any other to those that watch it, within the same command."""
    world = World().open(accounts=4)
    world.place(2, BUY, PRICE, 1)
    world.place(3, SELL, PRICE, 1)
    trigger = Trigger(kind=TriggerKind.TAKE_PROFIT, source=PriceSource.LAST, price_e9=60_100 * E9)
    world.place(4, SELL, PRICE, 5, trigger=trigger)
    call(world)
    world.place(2, BUY, PRICE + 1_000, 10)
    world.place(3, SELL, PRICE + 1_000, 10)
    assert any(isinstance(event, OrderTriggered) for event in uncross(world))


def test_a_batch_with_an_uncross_adds_up() -> None:
    """Both parties' legs and cash are in the batch, and cash deltas sum to minus the fees."""
    world = opened()
    world.place(2, BUY, PRICE + 50, 10)
    world.place(3, SELL, PRICE - 50, 10)
    uncross(world)
    batch = world.state.batch
    assert batch.legs[PERP, 2] == -batch.legs[PERP, 3] == 10
    assert sum(batch.cash_e6.values()) == -batch.fee_e6 == -120_000
    assert batch.fill_count == 1


def test_a_full_batch_closes_between_the_fills_of_an_uncross() -> None:
    """An uncross may touch more accounts than a batch takes."""
    world = World(config=EngineConfig(batch_accounts_max=2)).open(accounts=4)
    call(world)
    for account, side in ((2, BUY), (3, BUY), (4, SELL), (5, SELL)):
        world.place(account, side, PRICE, 10)
    events = uncross(world)
    names = [type(event).__name__ for event in events]
    assert names.count("BatchClosed") >= 1
    assert names.index("Trade") < names.index("BatchClosed") < len(names) - names[::-1].index("Trade")


def test_a_snapshot_in_the_middle_of_a_call_goes_on_alike() -> None:
    """Crossed orders, a part-used slice from before, an amended and a reduce-only order: same hash, same uncross."""
    world = World().open(accounts=5)
    world.place(2, SELL, PRICE + 100, 30, display_lots=10)
    world.place(3, BUY, PRICE + 100, 4)
    early = number_of(world.place(4, BUY, PRICE, 10))
    call(world)
    world.place(3, SELL, PRICE, 4, flags=OrderFlag.REDUCE_ONLY)
    world.place(5, BUY, PRICE + 150, 20, display_lots=5)
    world.place(6, SELL, PRICE - 50, 12)
    world.place(6, BUY, PRICE + 50, 3, flags=OrderFlag.STP_CANCEL_MAKER)
    world.run(Amend(subaccount=4, order=early, quantity_lots=8))
    again = restored(world)
    assert state_hash(again.state) == state_hash(world.state)
    assert again.state.book.depth(PERP, 50) == world.state.book.depth(PERP, 50)
    assert again.state.next_deadline_ns() == world.state.next_deadline_ns()
    events = world.clock(61)
    assert ended(events)
    assert again.clock(61) == events
    assert state_hash(again.state) == state_hash(world.state)


def test_levels_of_a_call_cross_and_the_uncross_takes_them_away() -> None:
    """The public book is crossed during a call; the last BookLevel of each level is what is left."""
    world = opened()
    world.place(2, BUY, PRICE + 10, 10)
    world.place(3, SELL, PRICE, 4)
    levels = {(e.side, e.price_ticks): e.quantity_lots for e in uncross(world) if isinstance(e, BookLevel)}
    assert levels == {(BUY, PRICE + 10): 6, (SELL, PRICE): 0}


def test_a_phase_is_in_the_journal() -> None:
    """The command reads back from its record."""
    command = SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=5)
    assert list(unpack_commands(*pack_command(command))) == [command]
