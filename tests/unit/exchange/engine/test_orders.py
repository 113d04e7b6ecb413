"""The ladder of checks: every refusal in declared order, what it costs, and that the first failing code wins."""

from collections.abc import Callable
from typing import Any

import pytest

from exchange.domain.commands import ChainRequestKind, Clock, OrderFlag, SessionClose, SessionOpen, TimeInForce
from exchange.domain.events import BookLevel, OrderAccepted, OrderClosed, OrderRefused, OrderRepeated
from exchange.domain.limits import NONCE_WINDOW_NS
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine.config import EngineConfig
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SECOND_NS, SELL, World, owner, refusal, trades

KEY = b"\x07" * 20
PERPETUAL_SCOPE, OPTION_SCOPE = 1 << 5, 1 << 6


def set_key(
    world: World, *, life_s: int = 7_200, scopes: int = PERPETUAL_SCOPE, accounts: tuple[int, ...] = ()
) -> None:
    """Register KEY for account 2's owner."""
    world.request(
        ChainRequestKind.SET_KEY,
        2,
        owner=owner(2),
        key=KEY,
        valid_to_s=world.now_ns // SECOND_NS + life_s,
        scopes=scopes,
        accounts=accounts,
    )


def prepare(world: World, name: str) -> None:
    """Bring the world into the state that a row of the table names."""
    steps: dict[str, Callable[[], Any]] = {
        "": lambda: None,
        "lock": lambda: world.request(ChainRequestKind.LOCK, 2),
        "short_key": lambda: set_key(world, life_s=60),
        "dead_key": lambda: (set_key(world, life_s=60), world.clock(60)),
        "revoked_key": lambda: (set_key(world), set_key(world, life_s=0)),
        "option_key": lambda: set_key(world, scopes=OPTION_SCOPE),
        "other_key": lambda: set_key(world, accounts=(9,)),
        "own_bid": lambda: world.place(2, BUY, 599_000, 5, client_order_id="mine"),
        "own_ask": lambda: world.place(2, SELL, 600_000, 5),
        "ask": lambda: world.place(3, SELL, 600_000, 5),
        "two_bids": lambda: [world.place(2, BUY, 599_000 - i, 1) for i in range(2)],
        "long": lambda: (world.place(3, SELL, 600_000, 5), world.place(2, BUY, 600_000, 5)),
        "long_call": lambda: (world.place(3, SELL, 1_500, 5, CALL), world.place(2, BUY, 1_500, 5, CALL)),
    }
    steps[name]()


IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
POST, SLIDE, REDUCE, MARKET = OrderFlag.POST_ONLY, OrderFlag.SLIDE, OrderFlag.REDUCE_ONLY, OrderFlag.MARKET
BIG = 900_000
Code = ResultCode
# before          change to a good order                            expected                    spends the nonce
LADDER = [
    ("", {"subaccount": 77}, Code.SUBACCOUNT_NOT_FOUND, False),
    ("", {"subaccount": 0}, Code.SUBACCOUNT_NOT_FOUND, False),
    ("", {"signer": KEY}, Code.SIGNER_UNKNOWN, False),
    ("dead_key", {"signer": KEY}, Code.SESSION_KEY_EXPIRED, False),
    ("revoked_key", {"signer": KEY}, Code.SESSION_KEY_EXPIRED, False),
    ("option_key", {"signer": KEY}, Code.SCOPE_MISSING, False),
    ("other_key", {"signer": KEY}, Code.SCOPE_MISSING, False),
    ("short_key", {"signer": KEY}, Code.ACTION_OUTLIVES_KEY, False),
    ("lock", {}, Code.SCOPE_MISSING, False),
    ("", {"session": 5}, Code.SESSION_MISSING, False),
    ("own_bid", {"client_order_id": "mine"}, Code.CLIENT_ORDER_ID_CONFLICT, False),
    ("", {"expiry_s": 1}, Code.BAD_SIGNATURE_EXPIRY, False),
    ("", {"expiry_s": 1 << 31}, Code.BAD_SIGNATURE_EXPIRY, False),
    ("", {"expires_at_s": 1}, Code.BAD_SIGNATURE_EXPIRY, False),
    ("", {"nonce": 12}, Code.NONCE_OUTSIDE_WINDOW, False),
    ("", {"nonce": 1 << 63}, Code.NONCE_OUTSIDE_WINDOW, False),
    ("", {"instrument": 99}, Code.INSTRUMENT_NOT_FOUND, True),
    ("", {"flags": POST, "time_in_force": IOC}, Code.POST_ONLY_NOT_ALLOWED, True),
    ("", {"flags": POST | MARKET}, Code.POST_ONLY_NOT_ALLOWED, True),
    ("", {"flags": SLIDE}, Code.POST_ONLY_NOT_ALLOWED, True),
    ("", {"price_ticks": 0}, Code.BAD_PRICE, True),
    ("", {"price_ticks": 10_000_001}, Code.BAD_PRICE, True),
    ("", {"quantity_lots": 0}, Code.BAD_AMOUNT, True),
    ("", {"quantity_lots": 1_000_001}, Code.BAD_AMOUNT, True),
    ("", {"flags": REDUCE}, Code.REDUCE_ONLY_REJECTED, True),
    ("long", {"flags": REDUCE}, Code.REDUCE_ONLY_REJECTED, True),
    ("two_bids", {}, Code.TOO_MANY_OPEN_ORDERS, True),
    ("long_call", {}, Code.TOO_MANY_POSITIONS, True),
    ("", {"reject_after_ms": 1}, Code.REJECT_TIMESTAMP_PASSED, True),
    ("", {"quantity_lots": BIG}, Code.INSUFFICIENT_MARGIN, True),
    ("own_ask", {"time_in_force": IOC}, Code.SELF_CROSSING, True),
    ("ask", {"flags": POST}, Code.POST_ONLY_WOULD_CROSS, True),
    ("ask", {"time_in_force": FOK}, Code.FOK_NOT_FILLED, True),
    ("", {"flags": MARKET}, Code.NO_LIQUIDITY, True),
]


@pytest.mark.parametrize(
    ("before", "change", "code", "spends"), LADDER, ids=lambda x: x.name if isinstance(x, Code) else ""
)
def test_refusals_in_declared_order(before: str, change: dict[str, Any], code: ResultCode, spends: bool) -> None:
    """Each check refuses with its code, changes nothing else, and spends the nonce iff it stands behind the nonce."""
    world = World(config=EngineConfig(open_orders_max=2, positions_max=1)).open()
    prepare(world, before)
    fields = {"account": 2, "side": BUY, "price_ticks": 600_000, "lots": 10, "nonce": world.now_ns + 1} | change
    fields["account"], fields["lots"] = fields.pop("subaccount", 2), fields.pop("quantity_lots", 10)
    if "signer" not in fields:
        fields["signer"] = owner(2)
    hidden = world.state.book.state_hash()
    events = world.place(**fields)
    assert refusal(events) is code
    assert len(events) == 1
    assert world.state.book.state_hash() == hidden
    used = world.state.nonces.find(owner(2), fields["signer"], fields["nonce"])
    assert (used == 0) is spends


@pytest.mark.parametrize("first", range(len(LADDER) - 1))
def test_an_earlier_check_wins(first: int) -> None:
    """An order wrong in two ways that its own fields decide gets the code of the earlier row."""
    mine = [row for row in LADDER if not row[0]]
    one, other = mine[first % len(mine)], mine[(first * 7 + 3) % len(mine)]
    early, late = sorted((one, other), key=mine.index)
    change = late[1] | early[1]
    if any(early[1][name] != change[name] for name in early[1]) or set(early[1]) & set(late[1]):
        return
    world = World(config=EngineConfig(open_orders_max=2, positions_max=1)).open()
    fields = {"account": change.pop("subaccount", 2), "side": BUY, "price_ticks": 600_000} | change
    fields["lots"] = fields.pop("quantity_lots", 10)
    fields.setdefault("signer", owner(2))
    assert refusal(world.place(**fields)) is early[2]


def test_ended_and_unpriced_instruments_are_not_live() -> None:
    """An option after its expiry, or an instrument without a mark, takes no order."""
    world = World().open()
    del world.state.prices.marks[PERP]
    assert refusal(world.place(2, BUY, 600_000, 1)) is ResultCode.INSTRUMENT_NOT_LIVE
    world.clock(31 * 86_400)
    assert refusal(world.place(2, BUY, 100, 1, CALL)) is ResultCode.INSTRUMENT_NOT_LIVE


def test_used_nonce_names_its_order() -> None:
    """The second use is refused and names the first order; a refused order's nonce is spent as well."""
    world = World().open()
    first = world.place(2, BUY, 500_000, 1, nonce=world.now_ns + 5)[0]
    assert isinstance(first, OrderAccepted)
    again = world.place(2, BUY, 500_001, 1, nonce=first.nonce)[0]
    assert isinstance(again, OrderRefused)
    assert (again.code, again.order) == (ResultCode.NONCE_USED, first.order)
    refused = world.place(2, BUY, 0, 1, nonce=world.now_ns + 9)[0]
    assert isinstance(refused, OrderRefused)
    retry = world.place(2, BUY, 500_000, 1, nonce=refused.nonce)[0]
    assert isinstance(retry, OrderRefused)
    assert (retry.code, retry.order) == (ResultCode.NONCE_USED, 0)


def test_nonces_of_any_scale_are_unique_within_the_window() -> None:
    """Milliseconds with digits behind read as time too; buckets are dropped once nothing in them can come again."""
    world = World().open()
    milliseconds = world.now_ns // 1_000_000
    assert refusal(world.place(2, BUY, 500_000, 1, nonce=milliseconds)) is ResultCode.OK
    assert refusal(world.place(2, BUY, 500_000, 1, nonce=milliseconds)) is ResultCode.NONCE_USED
    world.clock(2 * NONCE_WINDOW_NS // SECOND_NS + 600)
    assert not world.state.nonces.buckets
    assert refusal(world.place(2, BUY, 500_000, 1, nonce=milliseconds)) is ResultCode.NONCE_OUTSIDE_WINDOW


def test_repeat_is_answered_by_the_order() -> None:
    """Same client order id and body, another nonce and signature: the order as it is, and no nonce spent."""
    world = World().open()
    first = world.place(2, BUY, 500_000, 7, client_order_id="x", label="l")[0]
    assert isinstance(first, OrderAccepted)
    nonce = world.now_ns + 99
    assert world.place(2, BUY, 500_000, 7, client_order_id="x", label="l", nonce=nonce) == [
        OrderRepeated(subaccount=2, order=first.order)
    ]
    assert world.state.nonces.find(owner(2), owner(2), nonce) is None
    world.cancel(2, first.order)
    assert isinstance(world.place(2, BUY, 500_000, 7, client_order_id="x", label="l")[0], OrderRepeated)
    assert refusal(world.place(2, BUY, 500_000, 8, client_order_id="x")) is ResultCode.CLIENT_ORDER_ID_CONFLICT


def test_client_order_id_is_free_after_a_day_or_enough_others() -> None:
    """Closed orders are remembered for 24 hours, and only so many of them."""
    world = World(config=EngineConfig(closed_orders_max=2)).open()
    for name in ("a", "b", "c"):
        placed = world.place(2, BUY, 500_000, 1, client_order_id=name)[0]
        assert isinstance(placed, OrderAccepted)
        world.cancel(2, placed.order)
    assert isinstance(world.place(2, BUY, 500_000, 1, client_order_id="c")[0], OrderRepeated)
    assert isinstance(world.place(2, BUY, 500_000, 1, client_order_id="a")[0], OrderAccepted)
    world.later(86_401)
    assert list(world.state.closed_orders)[:1] != []
    assert isinstance(world.place(2, BUY, 500_000, 1, client_order_id="c")[0], OrderAccepted)


def test_refused_client_order_id_stays_free() -> None:
    """A refusal behind the nonce does not take the name."""
    world = World().open()
    assert refusal(world.place(2, BUY, 600_000, BIG, client_order_id="x")) is ResultCode.INSUFFICIENT_MARGIN
    assert refusal(world.place(2, BUY, 600_000, 1, client_order_id="x")) is ResultCode.OK


def test_order_of_events() -> None:
    """Accepted, trades in match order, closes, then one delta per level, bids before asks, best first."""
    world = World().open()
    world.place(3, SELL, 600_010, 2)
    world.place(4, SELL, 600_000, 1)
    events = world.place(2, BUY, 600_010, 5)
    kinds = [type(event).__name__ for event in events]
    expected = ["OrderAccepted", "Trade", "Trade", "OrderClosed", "OrderClosed", "BookLevel", "BookLevel", "BookLevel"]
    assert kinds == expected
    assert [trade.price_ticks for trade in trades(events)] == [600_000, 600_010]
    assert [(e.side, e.price_ticks, e.quantity_lots) for e in events if isinstance(e, BookLevel)] == [
        (BUY, 600_010, 2),
        (SELL, 600_000, 0),
        (SELL, 600_010, 0),
    ]


@pytest.mark.parametrize(
    ("fields", "status", "reason", "unfilled"),
    [
        ({"time_in_force": IOC}, OrderStatus.CANCELED, CloseReason.IOC_REMAINDER, 5),
        ({"flags": MARKET}, OrderStatus.CANCELED, CloseReason.IOC_REMAINDER, 5),
        ({"time_in_force": IOC, "price_ticks": 1}, OrderStatus.CANCELED, CloseReason.NO_LIQUIDITY, 10),
        ({"time_in_force": FOK, "lots": 5}, OrderStatus.FILLED, CloseReason.NONE, 0),
    ],
)
def test_orders_that_do_not_rest(
    fields: dict[str, Any], status: OrderStatus, reason: CloseReason, unfilled: int
) -> None:
    """What is not traded at once ends with its reason; the number stays known."""
    world = World().open()
    world.place(3, SELL, 600_000, 5)
    events = world.place(**({"account": 2, "side": BUY, "price_ticks": 600_000, "lots": 10} | fields))
    closed = next(event for event in events if isinstance(event, OrderClosed) and event.subaccount == 2)
    assert (closed.status, closed.reason, closed.unfilled_lots) == (status, reason, unfilled)
    assert closed.order in world.state.closed_orders


def test_post_only_slides_when_asked() -> None:
    """It rests one tick behind the opposite best, and the refusal without SLIDE names that best."""
    world = World().open()
    world.place(3, SELL, 600_000, 5)
    refused = world.place(2, BUY, 600_100, 1, flags=POST)[0]
    assert isinstance(refused, OrderRefused)
    assert refused.price_ticks == 600_000
    accepted = world.place(2, BUY, 600_100, 1, flags=POST | SLIDE)[0]
    assert isinstance(accepted, OrderAccepted)
    assert accepted.price_ticks == 599_999


def test_session_key_with_scope_trades_until_its_session_ends() -> None:
    """A perpetual key places perpetual orders in its session; after the close the session's orders are refused."""
    world = World().open()
    set_key(world)
    world.run(SessionOpen(owner=owner(2), signer=KEY))
    assert refusal(world.place(2, BUY, 500_000, 1, signer=KEY, session=1)) is ResultCode.OK
    assert refusal(world.place(2, BUY, 100, 1, CALL, signer=KEY, session=1)) is ResultCode.SCOPE_MISSING
    world.run(SessionClose(session=1))
    assert refusal(world.place(2, BUY, 500_000, 1, signer=KEY, session=1)) is ResultCode.SESSION_MISSING


def test_reduce_only_is_clipped_at_zero() -> None:
    """The excess over the position ends with its reason; the position is closed, never turned."""
    world = World().open()
    world.place(3, SELL, 600_000, 5)
    world.place(2, BUY, 600_000, 5)
    world.place(4, BUY, 600_000, 20)
    events = world.place(2, SELL, 600_000, 9, flags=REDUCE)
    closed = [event for event in events if isinstance(event, OrderClosed)]
    assert [(c.reason, c.unfilled_lots) for c in closed] == [(CloseReason.REDUCE_ONLY_EXCESS, 4)]
    assert world.state.accounts[2].lots(PERP) == 0


def test_self_trade_decrement_lowers_both() -> None:
    """Own orders never trade: both lose the smaller quantity; the rest of the larger one stays."""
    world = World().open()
    first = world.place(2, SELL, 600_000, 8)[0]
    assert isinstance(first, OrderAccepted)
    events = world.place(2, BUY, 600_000, 3, flags=OrderFlag.STP_DECREMENT_BOTH)
    assert not trades(events)
    assert world.state.open_orders[first.order].remaining_lots == 5
    closed = [event for event in events if isinstance(event, OrderClosed)]
    assert [(c.reason, c.unfilled_lots) for c in closed] == [(CloseReason.SELF_TRADE_PREVENTION, 3)]


def test_deadline_is_known_to_the_clock() -> None:
    """The next deadline is the earliest life of an open order, and none without orders."""
    world = World().open()
    world.clock()
    assert world.state.next_deadline_ns() is None
    world.place(2, BUY, 500_000, 1)
    placed = world.place(2, BUY, 500_000, 1, expiry_s=world.now_ns // SECOND_NS + 20)[0]
    assert isinstance(placed, OrderAccepted)
    assert world.state.next_deadline_ns() == placed.expiry_s * SECOND_NS
    assert not world.state.work_pending()
    world.run(Clock(), after_ns=20 * SECOND_NS)
    assert placed.order in world.state.closed_orders


def test_margin_is_charged_on_the_worst_fill() -> None:
    """2,000 USDC reserve 4 % of the larger side and fees both ways on every order (worked by hand).

    0.83 BTC: 1,992 + 29.88; 0.82 BTC: 1,968 + 29.52 = 1,997.52; a sell of 0.06 BTC adds 2.16, one of 0.07 BTC 2.52.
    """
    world = World().open(accounts=1, deposit=2_000 * E6)
    assert refusal(world.place(2, BUY, 600_000, 830)) is ResultCode.INSUFFICIENT_MARGIN
    assert refusal(world.place(2, BUY, 600_000, 820)) is ResultCode.OK
    assert refusal(world.place(2, SELL, 600_100, 70)) is ResultCode.INSUFFICIENT_MARGIN
    assert refusal(world.place(2, SELL, 600_100, 60)) is ResultCode.OK
