"""Nothing fills at new prices before all accounts were looked at: F3 would convict an honest operator (D-057)."""

from typing import Any

import pytest

from exchange.domain.auctions import AuctionEnded, Phase, SetPhase
from exchange.domain.commands import (
    Clock,
    Command,
    OrderFlag,
    Replace,
    SessionOpen,
    SetPrices,
    SignedAmend,
    Trigger,
    TriggerKind,
    UnderlyingRow,
)
from exchange.domain.events import CommandRefused, Event, OrderClosed, OrderTriggered
from exchange.domain.liquidations import LiquidationStarted
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.engine import liquidation
from exchange.engine.config import EngineConfig
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.unit.exchange.engine.quoting import MAKER, QuoteWorld, closed, code_of
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SECOND_NS, SELL, World, owner, refusal, trades

E9 = 10**9
FALLEN = 58_400
"""Account 2, long one unit since 60,000 with 3,000 USDC and bidding, is below initial margin and above maintenance."""
CRASHED = 57_500
"""And here below maintenance."""


def of(events: list[Event], kind: type) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def bidding(*accounts: int) -> QuoteWorld:
    """Long accounts (2 alone, if none is named) that bid for 100 lots more at 57,000; accounts 9 and 10 have money."""
    wide = EngineConfig(short_move_ppm=900_000, long_move_ppm=900_000, auction_corridor_ppm=900_000)
    world = QuoteWorld(config=wide)
    world.open(accounts=0)
    named = accounts or (2,)
    for account in named:
        world.deposit(account, 3_000 * E6)
    for account in (9, 10):
        world.deposit(account, 10**6 * E6)
    for account in named:
        world.place(9, SELL, 600_000, 1_000)
        world.place(account, BUY, 600_000, 1_000)
    for account in named:
        assert refusal(world.place(account, BUY, 570_000, 100)) is ResultCode.OK
    world.run_cut()
    return world


def lost(events: list[Event]) -> list[int]:
    """Accounts whose orders ended for want of margin."""
    return [event.subaccount for event in of(events, OrderClosed) if event.reason is CloseReason.INSUFFICIENT_MARGIN]


def sale(world: World, **fields: Any) -> Command:
    """An order that would meet all bids."""
    return world.order(9, SELL, 565_000, 500, **fields)


def replaced(world: World) -> Command:
    """One that rests and is replaced by a sale."""
    world.place(9, SELL, 700_000, 500)
    return Replace(target_order=world.state.sequence << 8, order=sale(world))


def amended(world: World) -> Command:
    """One that rests and becomes a sale."""
    world.place(9, SELL, 700_000, 500)
    return SignedAmend(target_order=world.state.sequence << 8, order=sale(world))


def called(world: World) -> Command:
    """The end of a call that collected a sale."""
    world.run(SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=world.now_ns + 20 * SECOND_NS))
    world.run(sale(world))
    return SetPhase(instrument=PERP, phase=Phase.CONTINUOUS, deadline_ns=0)


def clocked(world: World) -> Command:
    """A Clock that ends such a call."""
    called(world)
    return Clock()


WAYS = {"order": sale, "replace": replaced, "amendment": amended, "call": called, "clock": clocked}


@pytest.mark.parametrize("price", [FALLEN, CRASHED])
@pytest.mark.parametrize("way", WAYS)
def test_no_old_order_of_an_account_without_margin_fills(way: str, price: int) -> None:
    """Whatever would fill it looks first: the bid is gone, and what was to meet it finds nobody."""
    world = bidding()
    command = WAYS[way](world)
    world.prices(price)
    events = world.run(command, after_ns=2 * SECOND_NS if way != "clock" else 21 * SECOND_NS)
    if way == "clock":
        # Long ago: the price is stale, nobody is liquidated, and yet the order goes.
        assert of(events, AuctionEnded)
    assert not trades(events)
    is_frozen = price == CRASHED and way != "clock"
    assert [event.subaccount for event in of(events, LiquidationStarted)] == [2] * is_frozen
    assert lost(events) == [2] * (not is_frozen)
    assert not world.state.account_orders[2]


def test_who_has_margin_keeps_the_order() -> None:
    """At 59,900 the bid of 100 lots is met as before."""
    world = bidding()
    world.prices(59_900)
    assert [trade.maker.subaccount for trade in trades(world.run(sale(world)))] == [2]


def test_nothing_fills_while_one_command_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three accounts one goes with each command: orders are refused for now, the last look lets them pass."""
    monkeypatch.setattr(liquidation, "MAX_LIQUIDATION_STEPS_PER_COMMAND", 1)
    world = bidding(2, 3, 4)
    command = called(world)
    world.place(9, SELL, 1_600, 1, CALL)
    world.prices(FALLEN)
    first = world.place(10, BUY, 1_600, 1, CALL)
    assert (refusal(first), lost(first)) == (ResultCode.CAPACITY, [2])
    second = world.run(command)
    assert [event.code for event in of(second, CommandRefused)] == [ResultCode.CAPACITY]
    assert lost(second) == [3]
    saved = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert state_hash(saved) == state_hash(world.state)
    third = world.clock()
    assert lost(third) == [4]
    assert world.state.is_check_due
    world.clock()
    assert not world.state.is_check_due
    assert trades(world.place(10, BUY, 1_600, 1, CALL))
    assert not trades(world.run(command))


def test_quotes_may_be_pulled_while_one_command_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new side is refused with its call; one that goes needs no look."""
    monkeypatch.setattr(liquidation, "MAX_LIQUIDATION_STEPS_PER_COMMAND", 1)
    world = bidding(3, 4, 5)
    world.deposit(MAKER, 10**6 * E6)
    world.run(SessionOpen(owner=owner(MAKER), signer=owner(MAKER)))
    world.config()
    assert code_of(world.quote((CALL, 1_400, 1, 0, 0))) is ResultCode.OK
    world.prices(FALLEN)
    assert code_of(world.quote((CALL, 1_401, 1, 0, 0))) is ResultCode.CAPACITY
    pulled = world.quote((CALL, 0, 0, 0, 0))
    assert code_of(pulled) is ResultCode.OK
    assert closed(pulled)
    assert world.state.is_check_due


def test_a_stop_fires_in_its_round_and_meets_nobody_without_margin() -> None:
    """Account 9 sells at the stop: the bid of account 2 is gone, that of account 10 is met."""
    world = bidding()
    world.place(10, BUY, 569_000, 500)
    stop = Trigger(kind=TriggerKind.STOP, price_e9=59_000 * E9)
    world.place(9, SELL, 550_000, 500, trigger=stop)
    events = world.prices(FALLEN)
    assert lost(events) == [2]
    assert of(events, OrderTriggered)
    assert [trade.maker.subaccount for trade in trades(events)] == [10]


def test_a_stop_is_placed_before_its_account_is_frozen() -> None:
    """Below maintenance, in the round that fires it: it closes the position, and the next look finds nothing."""
    world = bidding()
    world.place(10, BUY, 574_990, 2_000)
    stop = Trigger(kind=TriggerKind.STOP, price_e9=59_000 * E9)
    world.place(2, SELL, 560_000, 1_000, flags=OrderFlag.REDUCE_ONLY, trigger=stop)
    assert [trade.quantity_lots for trade in trades(world.prices(CRASHED))] == [1_000]
    assert world.clock() == []


def test_stops_wait_while_one_command_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """They fire, and are placed by the Clock that has looked at the last account."""
    monkeypatch.setattr(liquidation, "MAX_LIQUIDATION_STEPS_PER_COMMAND", 1)
    world = bidding(2, 3)
    world.place(10, BUY, 569_000, 500)
    stop = Trigger(kind=TriggerKind.STOP, price_e9=59_000 * E9)
    world.place(9, SELL, 550_000, 500, trigger=stop)
    events = world.prices(FALLEN)
    while not trades(events):
        assert world.state.work_pending()
        events += world.clock()
    assert lost(events) == [2, 3]
    assert [trade.maker.subaccount for trade in trades(events)] == [10]


def test_an_account_in_a_stale_market_loses_what_adds_risk_and_nothing_else() -> None:
    """Its last mark still counts: the bid goes, the offer that closes stays, and nobody is liquidated."""
    world = bidding()
    world.place(2, SELL, 610_000, 400)
    world.prices(CRASHED)
    world.now_ns += 11 * SECOND_NS
    world.round += 1
    world.run(SetPrices(round=world.round, underlyings=(UnderlyingRow("BTC", CRASHED * E9),)))
    events = world.clock()
    assert lost(events) == [2]
    assert of(events, LiquidationStarted) == []
    assert [order.place.side for order in world.state.account_orders[2].values()] == [SELL]
