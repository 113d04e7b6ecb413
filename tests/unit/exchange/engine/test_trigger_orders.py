"""Orders that wait: what is refused, what fires them, in which order, and what becomes of those tied to them."""

from typing import Any

import pytest

from exchange.domain.commands import (
    Amend,
    Cancel,
    CancelMany,
    CancelScope,
    ChainRequestKind,
    OrderFlag,
    PriceSource,
    Replace,
    SessionClose,
    SessionOpen,
    Side,
    Trigger,
    TriggerKind,
)
from exchange.domain.events import (
    Event,
    ManyCanceled,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderTriggered,
    TriggerFailed,
    TriggerSet,
)
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.domain.views import GetOpenOrders, GetOrder, GetTriggerOrders
from exchange.engine.config import EngineConfig
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import ReferenceOrderBook
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SELL, World, owner, refusal, trades

E9 = 10**9
STOP, TAKE, TRAIL = TriggerKind.STOP, TriggerKind.TAKE_PROFIT, TriggerKind.TRAILING
MARK, INDEX, LAST = PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST
REDUCE, MARKET = OrderFlag.REDUCE_ONLY, OrderFlag.MARKET


def stop(dollars: int, **fields: Any) -> Trigger:
    """A stop at a whole-dollar price."""
    return Trigger(kind=fields.pop("kind", STOP), price_e9=dollars * E9, **fields)


def placed(world: World, *args: Any, **fields: Any) -> int:
    """Number of a fresh order."""
    event = world.place(*args, **fields)[0]
    assert isinstance(event, OrderAccepted), event
    return event.order


def closes(events: list[Event]) -> list[tuple[int, CloseReason]]:
    """Ends in their order."""
    return [(event.order, event.reason) for event in events if isinstance(event, OrderClosed)]


def fired(events: list[Event]) -> list[int]:
    """Orders that were triggered, in their order."""
    return [event.order for event in events if isinstance(event, OrderTriggered)]


def failed(events: list[Event]) -> list[ResultCode]:
    """Why triggered orders were refused."""
    return [event.code for event in events if isinstance(event, TriggerFailed)]


@pytest.mark.parametrize(
    ("side", "trigger", "fields", "code"),
    [
        (SELL, Trigger(kind=STOP), {}, ResultCode.BAD_PRICE),
        (SELL, Trigger(kind=STOP, price_e9=1, offset_e9=1), {}, ResultCode.BAD_PRICE),
        (SELL, Trigger(kind=STOP, price_e9=(1 << 62) + 1), {}, ResultCode.BAD_PRICE),
        (SELL, Trigger(kind=TRAIL), {}, ResultCode.BAD_PRICE),
        (SELL, Trigger(kind=TRAIL, offset_e9=1, offset_ppm=1), {}, ResultCode.BAD_PRICE),
        (SELL, Trigger(kind=TRAIL, offset_ppm=1_000_000), {}, ResultCode.BAD_PRICE),
        (SELL, Trigger(kind=TRAIL, offset_e9=-1), {}, ResultCode.BAD_PRICE),
        (SELL, stop(59_000, parent=1 << 40), {"flags": REDUCE}, ResultCode.ORDER_NOT_FOUND),
        (SELL, stop(59_000, partner=1 << 40), {}, ResultCode.ORDER_NOT_FOUND),
        (SELL, stop(59_000, partner=1 << 40, parent=1 << 40), {}, ResultCode.LINK_INVALID),
        (SELL, Trigger(kind=TRAIL, source=LAST, offset_e9=1), {}, ResultCode.TRIGGER_SOURCE_UNAVAILABLE),
        (SELL, stop(60_000), {}, ResultCode.TRIGGER_WRONG_SIDE),
        (BUY, stop(60_000), {}, ResultCode.TRIGGER_WRONG_SIDE),
        (SELL, stop(60_000, kind=TAKE), {}, ResultCode.TRIGGER_WRONG_SIDE),
        (BUY, stop(60_000, kind=TAKE), {}, ResultCode.TRIGGER_WRONG_SIDE),
        (SELL, stop(60_500, source=INDEX), {}, ResultCode.TRIGGER_WRONG_SIDE),
        (SELL, stop(50_000), {"flags": MARKET}, ResultCode.TRIGGER_MARKET_UNFILLABLE),
        (BUY, stop(70_000), {"flags": MARKET}, ResultCode.TRIGGER_MARKET_UNFILLABLE),
        (SELL, stop(59_000), {"flags": MARKET | OrderFlag.POST_ONLY}, ResultCode.POST_ONLY_NOT_ALLOWED),
        (SELL, stop(59_000), {"reject_after_ms": 1}, ResultCode.REJECT_TIMESTAMP_PASSED),
        (SELL, stop(59_000), {"nonce": 5}, ResultCode.NONCE_OUTSIDE_WINDOW),
    ],
)
def test_what_is_refused_at_entry(side: Side, trigger: Trigger, fields: dict[str, Any], code: ResultCode) -> None:
    """Each rule of a trigger order has its code, and a refusal leaves nothing behind."""
    world = World().open()
    assert refusal(world.place(2, side, 595_000 if side is SELL else 605_000, 5, trigger=trigger, **fields)) is code
    assert world.state.waiting_orders == {}


@pytest.mark.parametrize(
    ("fields", "trigger"),
    [
        ({}, {}),  # not reduce-only
        ({"flags": REDUCE, "side": BUY}, {}),  # the parent's own side
        ({"flags": REDUCE, "instrument": CALL}, {}),
    ],
)
def test_children_reduce_what_their_parent_opens(fields: dict[str, Any], trigger: dict[str, Any]) -> None:
    """Another instrument, the same side or an order that may add is no child."""
    world = World().open()
    parent = placed(world, 2, BUY, 590_000, 5)
    fields = dict(fields)
    side, instrument = fields.pop("side", SELL), fields.pop("instrument", PERP)
    child = stop(58_000 if side is SELL else 70_000, parent=parent, **trigger)
    assert refusal(world.place(2, side, 500, 5, instrument, trigger=child, **fields)) is ResultCode.LINK_INVALID


def test_strangers_and_the_dead_are_no_parents() -> None:
    """An order of another subaccount does not exist; one that ended without a fill is over."""
    world = World().open()
    parent = placed(world, 2, BUY, 590_000, 5)
    assert refusal(world.place(3, SELL, 500, 5, trigger=stop(58_000, parent=parent), flags=REDUCE)) is (
        ResultCode.ORDER_NOT_FOUND
    )
    world.cancel(2, parent)
    assert refusal(world.place(2, SELL, 500, 5, trigger=stop(58_000, parent=parent), flags=REDUCE)) is (
        ResultCode.ALREADY_CANCELED
    )


@pytest.mark.parametrize(
    "limits", [{"trigger_orders_max": 2, "all_trigger_orders_max": 9}, {"all_trigger_orders_max": 2}]
)
def test_trigger_orders_are_bounded_per_account_and_in_all(limits: dict[str, int]) -> None:
    """The third is refused; a cancel makes room."""
    world = World(config=EngineConfig(**limits)).open()
    first = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000))
    placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000))
    assert refusal(world.place(2, SELL, 595_000, 5, trigger=stop(59_000))) is ResultCode.TOO_MANY_TRIGGER_ORDERS
    world.cancel(2, first)
    placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000))


def test_an_accepted_order_waits_and_reserves_nothing() -> None:
    """A size far beyond the margin is accepted; it is in no book and no list of open orders, but in its own."""
    world = World().open()
    events = world.place(2, SELL, 595_000, 900_000, trigger=stop(59_000))
    accepted, waits = events
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(waits, TriggerSet)
    assert (waits.order, waits.trigger_e9, waits.is_armed) == (accepted.order, 59_000 * E9, True)
    assert world.state.book.depth(PERP, 9) == ([], [])
    assert answer(world.state, GetOpenOrders(subaccount=2)) == ()
    (row,) = answer(world.state, GetTriggerOrders(subaccount=2))  # type: ignore[misc]
    assert (row.order, row.status, row.trigger_e9) == (accepted.order, OrderStatus.UNTRIGGERED, 59_000 * E9)
    world.place(2, BUY, 500_000, 5)
    assert len(world.state.open_orders) == 1


@pytest.mark.parametrize("source", [MARK, INDEX])
def test_a_round_of_prices_fires_inside_its_command(source: PriceSource) -> None:
    """The order keeps its number, is placed after PricesSet and rests; a price on the other source does nothing."""
    world = World().open()
    number = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000, source=source))
    other = {"index": 58_900, "perp": 60_000} if source is MARK else {"index": 60_000, "perp": 58_900}
    assert fired(world.prices(**other)) == []
    events = world.prices(index=58_900)
    assert [type(event).__name__ for event in events] == ["PricesSet", "OrderTriggered", "BookLevel"]
    assert fired(events) == [number]
    assert list(world.state.open_orders) == [number]
    view = answer(world.state, GetOrder(subaccount=2, order=number))
    assert (view.status, view.trigger_e9) == (OrderStatus.OPEN, 59_000 * E9)  # type: ignore[union-attr]


def test_a_trade_fires_what_watches_the_last_price() -> None:
    """The stop is placed behind the whole sweep that fired it, and trades in the same command."""
    world = World().open()
    placed(world, 3, BUY, 600_000, 5)
    placed(world, 3, BUY, 590_000, 5)
    number = placed(world, 4, SELL, 580_000, 5, trigger=stop(60_000, source=LAST))
    events = world.place(2, SELL, 600_000, 5)
    assert fired(events) == [number]
    assert [(trade.taker.order == number, trade.price_ticks) for trade in trades(events)] == [
        (False, 600_000),
        (True, 590_000),
    ]


def test_a_cascade_runs_to_its_fixed_point() -> None:
    """Each stop's trade fires the next one; all of it belongs to the command that began it."""
    world = World().open(accounts=6)
    for step in range(5):
        placed(world, 3, BUY, 600_000 - 1_000 * step, 5)
    chain = [placed(world, 4, SELL, 590_000, 5, trigger=stop(60_000 - 100 * step, source=LAST)) for step in range(4)]
    events = world.place(2, SELL, 600_000, 5)
    assert fired(events) == chain
    assert [trade.price_ticks for trade in trades(events)] == [600_000, 599_000, 598_000, 597_000, 596_000]


def test_fired_orders_are_placed_by_number_and_rest_in_that_order() -> None:
    """Whichever trigger was closer, age decides; the queue of their level survives a restore."""
    world = World().open()
    rows = [placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000 - step)) for step in (0, 30, 10, 20)]
    assert fired(world.prices(index=58_000)) == rows
    world.state = load(dump(world.state), ReferenceOrderBook)
    makers = [trade.maker.order for trade in trades(world.place(3, BUY, 595_000, 20))]
    assert makers == rows


def test_a_fired_order_stands_behind_those_that_rested_before() -> None:
    """Its old number gives no priority over a younger order that was in the book when it fired."""
    world = World().open()
    old = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000))
    young = placed(world, 4, SELL, 595_000, 5)
    world.prices(index=58_900)
    assert [trade.maker.order for trade in trades(world.place(3, BUY, 595_000, 10))] == [young, old]


def test_128_are_placed_per_command_and_only_a_clock_goes_on() -> None:
    """The rest keeps its place in line, asks for a Clock, and other commands pass it by."""
    world = World(config=EngineConfig(trigger_orders_max=300)).open()
    world.checks = False
    rows = [placed(world, 2, SELL, 595_000, 1, trigger=stop(59_000)) for _ in range(300)]
    world.checks = True
    assert fired(world.prices(index=58_900)) == rows[:128]
    assert world.state.work_pending()
    assert world.state.next_deadline_ns() == world.state.timestamp_ns
    assert fired(world.prices(index=60_000)) == []
    assert fired(world.place(3, BUY, 500_000, 1)) == []
    assert fired(world.clock()) == rows[128:256]
    assert fired(world.clock()) == rows[256:]
    assert not world.state.work_pending()


@pytest.mark.parametrize(
    ("lots", "fields", "code"),
    [
        (900_000, {}, ResultCode.INSUFFICIENT_MARGIN),
        (5, {"flags": REDUCE}, ResultCode.REDUCE_ONLY_REJECTED),
        (5, {"flags": MARKET}, ResultCode.NO_LIQUIDITY),
        (5, {"flags": OrderFlag.POST_ONLY}, ResultCode.POST_ONLY_WOULD_CROSS),
    ],
)
def test_what_cannot_be_placed_ends_with_a_reason(lots: int, fields: dict[str, Any], code: ResultCode) -> None:
    """Margin, reduce-only, liquidity and the book are asked when it fires; the refusal is an event and in the order."""
    world = World().open()
    if fields.get("flags") is OrderFlag.POST_ONLY:
        placed(world, 3, BUY, 589_000, 5)
    number = placed(world, 2, SELL, 589_000, lots, trigger=stop(59_000), **fields)
    events = world.prices(index=58_950)
    assert (fired(events), failed(events)) == ([number], [code])
    assert closes(events) == [(number, CloseReason.TRIGGER_FAILED)]
    view = answer(world.state, GetOrder(subaccount=2, order=number))
    assert (view.status, view.refusal) == (OrderStatus.REJECTED, code)  # type: ignore[union-attr]
    assert refusal(world.cancel(2, number)) is ResultCode.ALREADY_CANCELED


def test_a_market_stop_sells_at_its_worst_price_or_better() -> None:
    """What finds no buyer above the signed limit is canceled."""
    world = World().open()
    placed(world, 3, BUY, 589_000, 3)
    placed(world, 3, BUY, 580_000, 3)
    number = placed(world, 2, SELL, 585_000, 5, trigger=stop(59_000), flags=MARKET)
    events = world.prices(index=58_900)
    assert [(trade.price_ticks, trade.quantity_lots) for trade in trades(events)] == [(589_000, 3)]
    assert closes(events)[-1] == (number, CloseReason.IOC_REMAINDER)


def test_a_trailing_stop_fires_on_the_way_back() -> None:
    """It follows the highest mark and keeps it over a restore."""
    world = World().open()
    number = placed(world, 2, SELL, 500_000, 5, trigger=Trigger(kind=TRAIL, offset_e9=1_000 * E9))
    for index in (60_500, 62_000, 61_500):
        assert fired(world.prices(index=index)) == []
    view = answer(world.state, GetOrder(subaccount=2, order=number))
    assert view.trigger_e9 == 61_000 * E9  # type: ignore[union-attr]
    before = state_hash(world.state)
    world.state = load(dump(world.state), ReferenceOrderBook)
    assert state_hash(world.state) == before
    assert fired(world.prices(index=61_000)) == [number]


def test_time_ends_waiting_orders_in_order() -> None:
    """Good-till-date and the signature's life end them like any other order."""
    world = World().open()
    now_s = world.now_ns // E9
    late = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000), expiry_s=now_s + 60)
    early = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000), expires_at_s=now_s + 20)
    assert closes(world.clock(70)) == [
        (early, CloseReason.GOOD_TILL_DATE_REACHED),
        (late, CloseReason.SIGNATURE_EXPIRED),
    ]


def test_an_order_past_its_time_is_not_placed() -> None:
    """When prices come before the Clock, the fired order expires instead."""
    world = World().open()
    number = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000), expiry_s=world.now_ns // E9 + 20)
    world.now_ns += 30 * E9
    events = world.prices(index=58_900)
    assert closes(events) == [(number, CloseReason.SIGNATURE_EXPIRED)]
    assert world.state.open_orders == {}


@pytest.mark.parametrize(("scope", "left"), [(CancelScope.ALL, 0), (CancelScope.RESTING, 1), (CancelScope.TRIGGERS, 1)])
def test_cancel_many_sees_what_its_scope_says(scope: CancelScope, left: int) -> None:
    """By label, instrument or all; resting and waiting orders alike unless one kind is named."""
    world = World().open()
    placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000), label="a")
    placed(world, 2, BUY, 500_000, 5, label="a")
    events = world.run(CancelMany(subaccount=2, instrument=PERP, label="a", scope=scope))
    assert ManyCanceled(subaccount=2, count=2 - left) in events
    assert len(world.state.open_orders) + len(world.state.waiting_orders) == left


@pytest.mark.parametrize("name", [{"client_order_id": "x"}, {"nonce": 1_790_000_000_123_456_789}, {}])
def test_every_name_cancels_a_waiting_order(name: dict[str, Any]) -> None:
    """Number, client order id, nonce."""
    world = World().open()
    number = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000), **name)
    events = world.run(Cancel(subaccount=2, **(name or {"order": number})))
    assert closes(events) == [(number, CloseReason.USER_REQUEST)]
    assert world.state.triggers.ladders == {}


@pytest.mark.parametrize("trigger", [stop(59_000), Trigger(kind=TRAIL, offset_e9=1_000 * E9)])
def test_a_canceled_order_shows_where_it_would_have_fired(trigger: Trigger) -> None:
    """Its last trigger price, trailing or not."""
    world = World().open()
    number = placed(world, 2, SELL, 595_000, 5, trigger=trigger)
    world.cancel(2, number)
    view = answer(world.state, GetOrder(subaccount=2, order=number))
    assert (view.status, view.trigger_e9) == (OrderStatus.CANCELED, 59_000 * E9)  # type: ignore[union-attr]


def test_disconnect_and_chain_requests_reach_waiting_orders() -> None:
    """A lost socket, CANCEL_ALL and a revoked key end them; a withdrawal leaves the stop that protects a position."""
    world = World().open()
    world.run(SessionOpen(owner=owner(2), signer=owner(2)))
    flagged = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000), flags=OrderFlag.CANCEL_ON_DISCONNECT, session=1)
    kept = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000))
    assert closes(world.run(SessionClose(session=1))) == [(flagged, CloseReason.CANCEL_ON_DISCONNECT)]
    world.run_cut()
    assert closes(world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=E6)) == []
    assert closes(world.request(ChainRequestKind.CANCEL_ALL, 2)) == [(kept, CloseReason.USER_REQUEST)]


def test_an_edit_lowers_the_size_or_moves_the_trigger() -> None:
    """Neither is signed; a trigger on the wrong side, a larger size and a fired order are refused."""
    world = World().open()
    number = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000))
    amend = Amend(subaccount=2, order=number, quantity_lots=5, trigger_e9=60_500 * E9)
    assert refusal(world.run(amend)) is ResultCode.TRIGGER_WRONG_SIDE
    assert refusal(world.run(Amend(subaccount=2, order=number, quantity_lots=6))) is ResultCode.BAD_AMOUNT
    events = world.run(Amend(subaccount=2, order=number, quantity_lots=3, trigger_e9=58_000 * E9))
    assert [type(event) for event in events] == [OrderAmended, TriggerSet]
    assert fired(world.prices(index=58_500)) == []
    events = world.prices(index=58_000)
    assert fired(events) == [number]
    assert world.state.open_orders[number].remaining_lots == 3
    amend = Amend(subaccount=2, order=number, quantity_lots=3, trigger_e9=57_000 * E9)
    assert refusal(world.run(amend)) is ResultCode.TRIGGER_NOT_REPLACEABLE


def test_a_trailing_edit_keeps_the_extreme() -> None:
    """A closer offset from an old high may fire at once; a part of the extreme cannot be moved."""
    world = World().open()
    number = placed(world, 2, SELL, 500_000, 5, trigger=Trigger(kind=TRAIL, offset_e9=1_000 * E9))
    parts = placed(world, 2, SELL, 500_000, 5, trigger=Trigger(kind=TRAIL, offset_ppm=50_000))
    world.prices(index=62_000)
    world.prices(index=61_300)
    amend = Amend(subaccount=2, order=parts, quantity_lots=5, trigger_e9=1)
    assert refusal(world.run(amend)) is ResultCode.BAD_PRICE
    assert fired(world.run(Amend(subaccount=2, order=number, quantity_lots=5, trigger_e9=800 * E9))) == []
    assert fired(world.run(Amend(subaccount=2, order=number, quantity_lots=5, trigger_e9=700 * E9))) == [number]


def test_replace_takes_no_trigger_orders() -> None:
    """Neither as target nor as the new order; the target lives on."""
    world = World().open()
    number = placed(world, 2, SELL, 595_000, 5, trigger=stop(59_000))
    other = placed(world, 2, BUY, 500_000, 5)
    for target, fields in ((number, {}), (other, {"trigger": stop(59_000)})):
        new = world.order(2, SELL, 605_000, 5, **fields)
        assert refusal(world.run(Replace(target_order=target, order=new))) is ResultCode.TRIGGER_NOT_REPLACEABLE
    assert len(world.state.waiting_orders) + len(world.state.open_orders) == 2


def test_of_partners_the_first_to_fire_stays() -> None:
    """Stop and take-profit: the one that fires is placed, the other is canceled before it."""
    world = World().open()
    low = placed(world, 2, SELL, 500_000, 5, trigger=stop(59_000))
    high = placed(world, 2, SELL, 500_000, 5, trigger=stop(61_000, kind=TAKE, partner=low))
    events = world.prices(index=61_000)
    assert (closes(events), fired(events)) == ([(low, CloseReason.LINKED_ORDER)], [high])
    assert [type(event).__name__ for event in events][1:3] == ["OrderClosed", "OrderTriggered"]


def test_partners_that_fire_together_leave_one() -> None:
    """Two sources cross in one round: the older order is placed, the younger leaves the queue."""
    world = World().open()
    first = placed(world, 2, SELL, 500_000, 5, trigger=stop(59_000))
    second = placed(world, 2, SELL, 500_000, 5, trigger=stop(59_500, source=INDEX, partner=first))
    events = world.prices(index=58_000)
    assert (fired(events), closes(events)) == ([first], [(second, CloseReason.LINKED_ORDER)])


def test_a_fill_of_a_resting_partner_ends_the_stop() -> None:
    """The first fill decides, however small; a cancel by its owner does not."""
    world = World().open()
    limit = placed(world, 2, SELL, 610_000, 5)
    guard = placed(world, 2, SELL, 500_000, 5, trigger=stop(59_000, partner=limit))
    assert closes(world.place(3, BUY, 610_000, 1))[-1] == (guard, CloseReason.LINKED_ORDER)
    other = placed(world, 2, SELL, 500_000, 5, trigger=stop(59_000, partner=limit))
    world.cancel(2, limit)
    assert list(world.state.waiting_orders) == [other]


def test_a_parents_first_fill_arms_its_children() -> None:
    """They wait unarmed, whatever prices do; the fill arms both; one fires, its sibling and the parent's rest go."""
    world = World().open()
    parent = placed(world, 2, BUY, 590_000, 5)
    low = placed(world, 2, SELL, 500_000, 5, trigger=stop(58_000, parent=parent), flags=REDUCE)
    high = placed(world, 2, SELL, 500_000, 5, trigger=stop(61_000, kind=TAKE, parent=parent), flags=REDUCE)
    assert fired(world.prices(index=62_000)) == []
    world.prices(index=60_000)
    events = world.place(3, SELL, 590_000, 2)
    assert [(event.order, event.is_armed) for event in events if isinstance(event, TriggerSet)] == [
        (low, True),
        (high, True),
    ]
    placed(world, 4, BUY, 570_000, 10)
    events = world.prices(index=57_500)
    assert fired(events) == [low]
    assert closes(events) == [
        (high, CloseReason.LINKED_ORDER),
        (parent, CloseReason.LINKED_ORDER),
        (low, CloseReason.REDUCE_ONLY_EXCESS),
    ]
    assert [trade.quantity_lots for trade in trades(events)] == [2]


def test_a_child_beyond_its_trigger_fires_when_armed() -> None:
    """The price passed the stop before the parent filled: it protects at once, in the same command."""
    world = World().open()
    parent = placed(world, 2, BUY, 590_000, 5)
    child = placed(world, 2, SELL, 500_000, 5, trigger=stop(58_000, parent=parent), flags=REDUCE)
    world.prices(index=57_000)
    placed(world, 4, BUY, 565_000, 10)
    events = world.place(3, SELL, 590_000, 5)
    assert fired(events) == [child]
    assert [trade.price_ticks for trade in trades(events)] == [590_000, 565_000]


def test_children_end_with_a_parent_that_never_filled() -> None:
    """A parent that had a fill leaves its children armed; a late child of such a parent is armed at once."""
    world = World().open()
    idle, busy = placed(world, 2, BUY, 580_000, 5), placed(world, 2, BUY, 590_000, 5)
    orphan = placed(world, 2, SELL, 500_000, 5, trigger=stop(57_000, parent=idle), flags=REDUCE)
    child = placed(world, 2, SELL, 500_000, 5, trigger=stop(57_000, parent=busy), flags=REDUCE)
    world.place(3, SELL, 590_000, 2)
    assert closes(world.cancel(2, idle)) == [(idle, CloseReason.USER_REQUEST), (orphan, CloseReason.PARENT_CLOSED)]
    world.cancel(2, busy)
    assert list(world.state.waiting_orders) == [child]
    events = world.place(2, SELL, 500_000, 5, trigger=stop(57_500, parent=busy), flags=REDUCE)
    assert [event.is_armed for event in events if isinstance(event, TriggerSet)] == [True]


def test_children_end_with_their_position() -> None:
    """A part that is closed keeps them; flat or turned round, there is nothing to protect."""
    world = World().open()
    parent = placed(world, 2, BUY, 590_000, 5)
    child = placed(world, 2, SELL, 500_000, 5, trigger=stop(57_000, parent=parent), flags=REDUCE)
    world.place(3, SELL, 590_000, 5)
    placed(world, 3, BUY, 600_000, 9)
    assert closes(world.place(2, SELL, 600_000, 3))[-1][1] is not CloseReason.POSITION_CLOSED
    assert closes(world.place(2, SELL, 600_000, 3))[-1] == (child, CloseReason.POSITION_CLOSED)


def test_a_repeat_of_a_trigger_order_is_answered() -> None:
    """Another trigger under the same client order id is another body."""
    world = World().open()
    order = world.order(2, SELL, 595_000, 5, trigger=stop(59_000), client_order_id="x")
    world.run(order)
    assert refusal(world.run(order)) is ResultCode.OK
    other = world.order(2, SELL, 595_000, 5, trigger=stop(58_000), client_order_id="x")
    assert refusal(world.run(other)) is ResultCode.CLIENT_ORDER_ID_CONFLICT


def test_a_snapshot_keeps_every_stage() -> None:
    """Waiting for a parent, armed, fired and left over: the restored engine goes on with the same events and hash."""
    world = World(config=EngineConfig(trigger_orders_max=200)).open()
    world.checks = False
    parent = placed(world, 2, BUY, 580_000, 5)
    placed(world, 2, SELL, 500_000, 5, trigger=stop(57_000, parent=parent), flags=REDUCE)
    placed(world, 2, SELL, 500_000, 5, trigger=Trigger(kind=TRAIL, offset_ppm=90_000))
    for _ in range(130):
        placed(world, 2, SELL, 595_000, 1, trigger=stop(59_000))
    world.prices(index=58_900)
    assert len(world.state.triggers.fired) == 2
    twin = World(config=world.state.config)
    twin.state, twin.now_ns, twin.round = load(dump(world.state), ReferenceOrderBook), world.now_ns, world.round
    for one in (world, twin):
        one.checks = True
    for step in (lambda w: w.clock(), lambda w: w.place(3, SELL, 580_000, 5), lambda w: w.prices(index=53_000)):
        assert step(world) == step(twin)
        assert state_hash(world.state) == state_hash(twin.state)
