"""Market-maker protection: limits, what reaches them, what ends, and how a group comes back."""

from typing import Any

import pytest

from exchange.domain.commands import Clock, MarkRow, OrderFlag, SetPrices
from exchange.domain.events import CommandRefused, Trade
from exchange.domain.limits import MAX_MMP_GROUPS_PER_SUBACCOUNT
from exchange.domain.quote_events import MmpConfigured, MmpLimit, MmpReset, MmpTriggered
from exchange.domain.quotes import ResetMmp
from exchange.domain.result_codes import CloseReason, ResultCode
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
    placed,
    tripped,
)
from tests.unit.exchange.engine.world import BUY, CALL, PERP, PUT, SECOND_NS, SELL, refusal, trades

LINES = (CALL, 1_000, 50, 2_000, 200), (PUT, 700, 50, 900, 50)
BTC_E9 = 10**9


def command_code(events: list[Any]) -> ResultCode:
    """Code of a refused command."""
    return next((event.code for event in events if isinstance(event, CommandRefused)), ResultCode.OK)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"subaccount": 99}, ResultCode.SUBACCOUNT_NOT_FOUND),
        ({"mmp_group": 0}, ResultCode.PARAMETER_INVALID),
        ({"underlying": "ETH"}, ResultCode.PARAMETER_INVALID),
        ({"lot_e9": 7}, ResultCode.PARAMETER_INVALID),
        ({"interval_ns": -1}, ResultCode.PARAMETER_INVALID),
        ({"delta_e9": (1 << 62) + 1}, ResultCode.PARAMETER_INVALID),
    ],
)
def test_limits_that_make_no_sense_are_refused(fields: dict[str, Any], expected: ResultCode) -> None:
    """Accounts of users, listed underlyings and lots, numbers within their bounds."""
    assert command_code(QuoteWorld().open_maker().config(**fields)) is expected


def test_an_account_has_at_most_16_groups() -> None:
    """Changing one of them is no new one."""
    world = QuoteWorld().open_maker()
    for group in range(100, 99 + MAX_MMP_GROUPS_PER_SUBACCOUNT):
        assert command_code(world.config(mmp_group=group)) is ResultCode.OK
    assert command_code(world.config(mmp_group=200)) is ResultCode.CAPACITY
    assert command_code(world.config(quantity_lots=5)) is ResultCode.OK


def test_a_group_with_orders_keeps_lot_and_a_limit() -> None:
    """The book counts what it guards in one unit, and quotes must have something to reserve."""
    world = QuoteWorld().open_maker()
    world.quote(LINES[0])
    assert command_code(world.config(lot_e9=PERP_LOT_E9)) is ResultCode.ORDERS_OPEN
    assert command_code(world.config(quantity_lots=0)) is ResultCode.ORDERS_OPEN


def test_a_larger_limit_under_quotes_needs_its_margin() -> None:
    """100,000 USDC reserve 1,111 lots at 90 USDC each."""
    world = QuoteWorld().open_maker()
    world.quote(LINES[0])
    assert command_code(world.config(quantity_lots=1_112)) is ResultCode.INSUFFICIENT_MARGIN
    events = world.config(quantity_lots=1_111)
    assert [event.quantity_lots for event in events if isinstance(event, MmpConfigured)] == [1_111]


def test_an_unknown_group_cannot_be_reset() -> None:
    """A reset names what was set up."""
    world = QuoteWorld().open_maker()
    assert command_code(world.run(ResetMmp(subaccount=MAKER, mmp_group=8))) is ResultCode.MMP_PRECONDITION
    assert command_code(world.run(ResetMmp(subaccount=99, mmp_group=8))) is ResultCode.MMP_PRECONDITION


@pytest.mark.parametrize(
    ("flags", "group", "expected"),
    [
        (OrderFlag.MMP, 0, ResultCode.MMP_PRECONDITION),
        (OrderFlag.MMP, 8, ResultCode.MMP_PRECONDITION),
        (OrderFlag.NONE, GROUP, ResultCode.MMP_PRECONDITION),
        (OrderFlag.MMP, GROUP, ResultCode.OK),
    ],
)
def test_an_order_says_mmp_and_names_a_group_or_neither(flags: OrderFlag, group: int, expected: ResultCode) -> None:
    """An order that only half asks for protection would believe it has some."""
    world = QuoteWorld().open_maker()
    assert refusal(world.place(MAKER, BUY, 1_000, 1, CALL, flags=flags, mmp_group=group)) is expected


def test_the_quantity_limit_clips_the_fill_that_reaches_it() -> None:
    """100 lots and not one more; then every quote of the group ends in the same command."""
    world = QuoteWorld().open_maker()
    world.quote(*LINES)
    events = world.place(3, BUY, 2_500, 150, CALL)
    assert [trade.quantity_lots for trade in trades(events)] == [100]
    (trip,) = tripped(events)
    assert (trip.limit, trip.quantity_lots, trip.mmp_group) == (MmpLimit.QUANTITY, 100, GROUP)
    assert trip.thaw_ns == world.now_ns + 5 * SECOND_NS
    assert [reason for _, reason in closed(events)] == [CloseReason.MMP_TRIGGERED] * 4
    assert events.index(trip) == events.index(trades(events)[0]) + 1
    assert len(world.state.open_orders) == 1


@pytest.mark.parametrize(
    ("limits", "lots", "limit"),
    [
        ({"count": 2}, (1, 1), MmpLimit.COUNT),
        ({"delta_e9": BTC_E9 // 10}, (19, 1), MmpLimit.DELTA),
        ({"vega_e9": 4 * BTC_E9}, (9, 1), MmpLimit.VEGA),
        ({"quantity_lots": 30, "count": 3}, (10, 20), MmpLimit.QUANTITY),
    ],
)
def test_each_limit_trips_with_the_fill_that_reaches_it(
    limits: dict[str, int], lots: tuple[int, ...], limit: MmpLimit
) -> None:
    """Delta 0.5 and vega 40 per option: a lot of 0.01 counts 0.005 and 0.4."""
    world = QuoteWorld().open_maker(**limits)
    world.round += 1
    row = MarkRow(CALL, 1_500 * BTC_E9, delta_e9=BTC_E9 // 2, vega_e9=40 * BTC_E9)
    world.run(SetPrices(round=world.round, marks=(row,)))
    world.quote(*LINES)
    assert tripped(world.place(3, BUY, 2_500, lots[0], CALL)) == []
    (trip,) = tripped(world.place(3, BUY, 2_500, lots[1], CALL))
    assert trip.limit is limit


def test_delta_is_net_a_fill_of_the_other_side_takes_it_back() -> None:
    """Gross quantity counts both ways, delta does not."""
    world = QuoteWorld().open_maker(delta_e9=BTC_E9 // 10, lot_e9=PERP_LOT_E9, quantity_lots=10_000)
    world.quote((PERP, 599_000, 500, 601_000, 500))
    for _ in range(3):
        assert tripped(world.place(3, BUY, 601_000, 99, PERP)) == []
        assert tripped(world.place(3, SELL, 599_000, 99, PERP)) == []
    (trip,) = tripped(world.place(3, BUY, 601_000, 100, PERP))
    assert (trip.limit, trip.quantity_lots) == (MmpLimit.DELTA, 694)


def test_a_window_ends_with_its_interval() -> None:
    """60 lots now and 60 lots ten seconds later are not 120."""
    world = QuoteWorld().open_maker()
    world.quote(*LINES)
    world.place(3, BUY, 2_500, 60, CALL)
    world.now_ns += 10 * SECOND_NS
    world.repeat_prices()
    assert tripped(world.place(3, BUY, 2_500, 60, CALL)) == []
    assert len(tripped(world.place(3, BUY, 2_500, 60, CALL))) == 1


def test_a_frozen_group_refuses_calls_and_orders() -> None:
    """Quotes as a whole, orders by themselves; other groups and orders outside go on."""
    world = QuoteWorld().open_maker(count=1)
    world.config(mmp_group=8)
    world.quote(*LINES)
    world.quote(LINES[1], mmp_group=8)
    events = world.place(3, BUY, 2_500, 1, CALL)
    assert len(closed(events)) == 5
    assert code_of(world.quote(*LINES)) is ResultCode.MMP_FROZEN
    order = world.place(MAKER, BUY, 1, 1, CALL, flags=OrderFlag.MMP, mmp_group=GROUP)
    assert refusal(order) is ResultCode.MMP_FROZEN
    assert refusal(world.place(MAKER, BUY, 1, 1, CALL)) is ResultCode.OK
    assert len(placed(world.quote(LINES[0], mmp_group=8))) == 2


def test_an_order_of_the_group_counts_and_ends_with_it() -> None:
    """Also an ordinary one, with its own margin."""
    world = QuoteWorld().open_maker(count=2)
    world.quote(LINES[1])
    world.place(MAKER, SELL, 1_900, 5, CALL, flags=OrderFlag.MMP, mmp_group=GROUP)
    world.place(MAKER, SELL, 1_950, 5, CALL)
    assert tripped(world.place(3, BUY, 1_900, 1, CALL)) == []
    events = world.place(3, BUY, 900, 1, PUT)
    assert len(tripped(events)) == 1
    assert [reason for _, reason in closed(events)].count(CloseReason.MMP_TRIGGERED) == 3
    assert len(world.state.open_orders) == 1


def test_a_sweep_meets_no_quote_of_a_group_that_it_froze() -> None:
    """Behind the trip the taker goes on with others."""
    world = QuoteWorld().open_maker(count=1)
    world.quote(LINES[0])
    world.config(mmp_group=8, count=1)
    world.quote((CALL, 0, 0, 2_001, 10), mmp_group=8)
    world.place(4, SELL, 2_002, 10, CALL)
    events = world.place(3, BUY, 2_100, 220, CALL)
    assert [(trade.maker.subaccount, trade.quantity_lots) for trade in trades(events)] == [
        (MAKER, 100),
        (MAKER, 10),
        (4, 10),
    ]
    assert [trip.mmp_group for trip in tripped(events)] == [GROUP, 8]


def test_a_group_thaws_with_the_clock_behind_its_frozen_time() -> None:
    """The engine asks for a Clock then, and not before."""
    world = QuoteWorld().open_maker(count=1)
    world.clock()
    world.quote(*LINES)
    world.place(3, BUY, 2_500, 1, CALL)
    thaw_ns = world.now_ns + 5 * SECOND_NS
    assert world.state.next_deadline_ns() == thaw_ns
    assert not any(isinstance(event, MmpReset) for event in world.run(Clock(), after_ns=4 * SECOND_NS))
    assert code_of(world.quote(*LINES)) is ResultCode.MMP_FROZEN
    world.now_ns = thaw_ns
    (reset,) = [event for event in world.clock() if isinstance(event, MmpReset)]
    assert reset.is_due
    assert not world.state.work_pending()
    assert len(placed(world.quote(*LINES))) == 4


def test_a_reset_thaws_at_once_and_without_frozen_time_nothing_else_does() -> None:
    """And its window begins anew."""
    world = QuoteWorld().open_maker(count=2, frozen_ns=0)
    world.quote(*LINES)
    world.place(3, BUY, 2_500, 1, CALL)
    (trip,) = tripped(world.place(3, BUY, 2_500, 1, CALL))
    assert trip.thaw_ns == 0
    world.clock(3_000)
    assert code_of(world.quote(*LINES)) is ResultCode.MMP_FROZEN
    (reset,) = world.run(ResetMmp(subaccount=MAKER, mmp_group=GROUP))
    assert isinstance(reset, MmpReset)
    assert not reset.is_due
    world.quote(*LINES)
    assert tripped(world.place(3, BUY, 2_500, 1, CALL)) == []


def test_new_limits_begin_a_window_and_do_not_thaw() -> None:
    """What was counted under the old limits is forgotten, what froze stays frozen."""
    world = QuoteWorld().open_maker(count=2)
    world.quote(*LINES)
    world.place(3, BUY, 2_500, 1, CALL)
    world.config(count=2)
    assert tripped(world.place(3, BUY, 2_500, 1, CALL)) == []
    assert len(tripped(world.place(3, BUY, 2_500, 1, CALL))) == 1
    world.config(count=50)
    assert code_of(world.quote(*LINES)) is ResultCode.MMP_FROZEN


def test_counts_freeze_and_thaw_time_survive_a_restore() -> None:
    """A window goes on where it was; a frozen group thaws at its time."""
    world = QuoteWorld().open_maker(count=2)
    world.config(mmp_group=8, count=1, lot_e9=OPTION_LOT_E9)
    world.quote(*LINES)
    world.quote((CALL, 0, 0, 1_900, 10), mmp_group=8)
    events = world.place(3, BUY, 2_000, 11, CALL)
    assert [trip.mmp_group for trip in tripped(events)] == [8]
    before = state_hash(world.state)
    world.state = load(dump(world.state), type(world.state.book), world.state.config, type(world.state))
    assert state_hash(world.state) == before
    assert code_of(world.quote(LINES[0], mmp_group=8)) is ResultCode.MMP_FROZEN
    (trip,) = tripped(world.place(3, BUY, 2_000, 1, CALL))
    assert trip.limit is MmpLimit.COUNT
    assert sum(isinstance(event, MmpReset) for event in world.clock(6)) == 2


def test_the_event_of_a_trip_stands_behind_its_trade() -> None:
    """Also between the trades of one sweep, with the maker's next number."""
    world = QuoteWorld().open_maker(count=1)
    world.quote((CALL, 0, 0, 2_000, 5))
    world.place(4, SELL, 2_001, 5, CALL)
    events = world.place(3, BUY, 2_001, 10, CALL)
    kinds = [type(event) for event in events if isinstance(event, Trade | MmpTriggered)]
    assert kinds == [Trade, MmpTriggered, Trade]
    (trip,) = tripped(events)
    assert trip.account_seq == trades(events)[0].maker.account_seq + 1
