"""Liquidation: who is looked at, what goes first, how much is closed at which price, and when it ends."""

import pytest

from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import (
    Cancel,
    ChainRequestKind,
    OrderFlag,
    PriceSource,
    SetPrices,
    SetSelfTradePrevention,
    Trigger,
    TriggerKind,
    UnderlyingRow,
)
from exchange.domain.events import CommandRefused, OrderAccepted, OrderClosed, OrderRefused, Trade
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.liquidations import LiquidationEnded, LiquidationStage, LiquidationStarted
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.engine import liquidation
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.unit.exchange.engine.liquidating import DEPOSIT, FALLEN, fall, join, long_one, of
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SECOND_NS, SELL, World, owner, refusal, trades


def test_nobody_is_looked_at_without_new_prices() -> None:
    """A Clock alone does nothing; after prices the engine asks for one at once."""
    world = long_one()
    world.clock()
    assert not world.state.work_pending()
    world.prices(FALLEN)
    assert world.state.work_pending()
    assert of(world.clock(), LiquidationStarted)


def test_an_account_above_maintenance_keeps_its_positions() -> None:
    """Ten dollars above it, nothing but orders that add risk would go."""
    world = long_one()
    assert fall(world, 58_200) == []


def test_nothing_is_liquidated_on_a_stale_index() -> None:
    """Eleven seconds after the last price the account is left alone, and a step waits."""
    world = long_one()
    world.prices(FALLEN)
    assert of(world.clock(11), LiquidationStarted) == []
    world = long_one()
    fall(world)
    assert of(world.clock(11), LiquidationStarted | LiquidationEnded | Trade) == []


def test_nothing_is_liquidated_on_a_stale_mark() -> None:
    """An index that goes on alone does not make an old mark a fresh one; that of an option lives longer."""
    world = long_one()
    join(world, 6, 300 * E6)
    world.place(4, BUY, 1_500, 3, CALL)
    world.place(6, SELL, 1_500, 3, CALL)
    world.prices(FALLEN, call=7_000)
    world.now_ns += 11 * SECOND_NS
    world.round += 1
    world.run(SetPrices(round=world.round, underlyings=(UnderlyingRow("BTC", FALLEN * 10**9),)))
    assert {event.subaccount for event in of(world.clock(), LiquidationStarted)} == {6}
    world.prices(FALLEN, call=7_000)
    assert {event.subaccount for event in of(world.clock(), LiquidationStarted)} >= {2}


@pytest.mark.parametrize("kind", ["index", "old round"])
def test_nothing_is_liquidated_on_an_invalid_price(kind: str) -> None:
    """A price of zero, or of a round that was before, is refused and nobody is looked at."""
    world = long_one()
    number, price_e9 = (world.round + 1, 0) if kind == "index" else (world.round, FALLEN * 10**9)
    world.clock()
    events = world.run(SetPrices(round=number, underlyings=(UnderlyingRow("BTC", price_e9),)))
    assert [type(event) for event in events] == [CommandRefused]
    assert world.clock() == []


def test_a_liquidation_waits_for_the_end_of_a_call() -> None:
    """No order of the engine's goes into a call auction."""
    world = long_one()
    world.run(SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=world.now_ns + 60 * SECOND_NS))
    world.place(4, BUY, 581_000, 1_000)
    events = fall(world)
    assert of(events, LiquidationStarted)
    assert of(events, OrderAccepted) == []


def test_whoever_is_liquidated_cannot_trade() -> None:
    """Every order is refused, reduce-only ones and those that wait for a price too; the nonce is spent."""
    world = long_one()
    fall(world)
    assert world.state.accounts[2].is_in_liquidation
    for flags in (OrderFlag.NONE, OrderFlag.REDUCE_ONLY):
        assert refusal(world.place(2, SELL, 581_000, 10, flags=flags)) is ResultCode.IN_LIQUIDATION
    trigger = Trigger(kind=TriggerKind.STOP, source=PriceSource.LAST, price_e9=10**12)
    order = world.order(2, SELL, 500_000, 10, trigger=trigger)
    assert refusal(world.run(order)) is ResultCode.IN_LIQUIDATION
    assert refusal(world.run(order)) is ResultCode.NONCE_USED


def test_nobody_sends_an_order_of_the_engines_kind() -> None:
    """The flag is the engine's own."""
    world = long_one()
    assert refusal(world.place(4, BUY, 590_000, 10, flags=OrderFlag.LIQUIDATION)) is ResultCode.PARAMETER_INVALID


def test_below_initial_margin_orders_that_add_risk_go() -> None:
    """What closes the position stays, up to its size; the rest goes, most passive first."""
    world = long_one()
    world.place(2, BUY, 100, 1)
    world.place(2, SELL, 650_000, 600)
    world.place(2, SELL, 640_000, 500)
    kept = world.place(2, SELL, 630_000, 400)[0].order  # type: ignore[union-attr]
    events = fall(world, 58_900)
    closed = of(events, OrderClosed)
    assert {event.reason for event in closed} == {CloseReason.INSUFFICIENT_MARGIN}
    assert len(closed) == 2
    assert kept in world.state.open_orders
    assert not world.state.accounts[2].is_in_liquidation


def test_below_maintenance_all_orders_end() -> None:
    """Those that wait for a trigger too; they are reported before the liquidation."""
    world = long_one()
    world.place(2, SELL, 700_000, 10)
    trigger = Trigger(kind=TriggerKind.STOP, source=PriceSource.LAST, price_e9=10**12)
    world.place(2, SELL, 500_000, 10, trigger=trigger)
    events = fall(world)
    closed = of(events, OrderClosed)
    assert [event.reason for event in closed[:2]] == [CloseReason.LIQUIDATION] * 2
    (started,) = of(events, LiquidationStarted)
    assert events.index(closed[1]) < events.index(started)
    assert started.stage is LiquidationStage.BOOK
    assert started.equity_e6 < started.maintenance_requirement_e6
    assert world.state.live_orders(2) == []


def test_an_order_closes_what_restores_the_buffer() -> None:
    """On the book at once, at the bid's price; the fund gets one per cent, and the account goes on."""
    world = long_one()
    world.place(4, BUY, 580_990, 2_000)
    fund = world.state.accounts[FUND_ACCOUNT].ledger_cash_e6
    events = fall(world)
    (trade,) = trades(events)
    assert (trade.price_ticks, trade.taker.subaccount) == (580_990, 2)
    assert 430 <= trade.quantity_lots <= 445
    notional_e6 = trade.quantity_lots * 58_099 * 1_000
    assert trade.taker.fee_e6 == notional_e6 // 100
    assert world.state.accounts[FUND_ACCOUNT].ledger_cash_e6 == fund + trade.taker.fee_e6 + trade.maker.fee_e6
    (ended,) = of(events, LiquidationEnded)
    assert ended.equity_e6 >= ended.maintenance_requirement_e6
    assert not world.state.accounts[2].is_in_liquidation
    assert refusal(world.place(2, SELL, 700_000, 1)) is ResultCode.OK


def test_an_order_does_not_trade_below_its_fillable_price() -> None:
    """A bid a hundred dollars below the mark is not taken; nothing rests, and the next second tries again."""
    world = long_one()
    world.place(4, BUY, 580_000, 2_000)
    events = fall(world)
    assert trades(events) == []
    (order,) = of(events, OrderAccepted)
    # 58,100 x (1 - (1 - equity / requirement) x 0.1 x 0.02): about eight dollars.
    assert 580_900 < order.price_ticks < 580_940
    assert world.state.open_orders.get(order.order) is None
    assert world.state.next_deadline_ns() == world.now_ns + SECOND_NS
    world.place(4, BUY, 580_990, 2_000)
    assert trades(world.clock(1))


def test_one_step_closes_a_fifth_of_a_large_position() -> None:
    """Above 100,000 USDC; the next step comes a second later."""
    world = long_one(10_000, deposit=30_000 * E6)
    world.place(4, BUY, 579_490, 20_000)
    (first,) = trades(fall(world, 57_950))
    assert first.quantity_lots == 2_000
    world.prices(57_950)
    assert trades(world.clock()) == []
    (second,) = trades(world.clock(1))
    assert second.quantity_lots == 1_600


def test_a_short_is_bought_back() -> None:
    """The same above the mark."""
    world = long_one()
    join(world, 6, DEPOSIT)
    world.place(4, BUY, 600_000, 1_000)
    world.place(6, SELL, 600_000, 1_000)
    world.place(5, SELL, 619_010, 2_000)
    (trade,) = trades(fall(world, 61_900))
    assert (trade.taker.subaccount, trade.price_ticks) == (6, 619_010)
    assert trade.taker.position_lots > -1_000


def test_a_liquidation_is_not_blocked_by_its_owner() -> None:
    """An opposite order of the owner's other account, joined with this one, is canceled; the next maker trades."""
    world = long_one()
    world.run_cut()
    world.request(ChainRequestKind.DEPOSIT, 7, amount_e6=10**6 * E6, owner=owner(2))
    for account in (2, 7):
        world.run(SetSelfTradePrevention(subaccount=account, by_owner=True))
    world.place(7, BUY, 581_000, 2_000, signer=owner(2))
    world.place(4, BUY, 580_990, 2_000)
    events = fall(world)
    assert [trade.maker.subaccount for trade in trades(events)] == [4]
    assert [event.reason for event in of(events, OrderClosed) if event.subaccount == 7] == [
        CloseReason.SELF_TRADE_PREVENTION
    ]


def test_two_accounts_in_one_command_have_orders_of_their_own() -> None:
    """Lines from 128 on name them."""
    world = long_one()
    join(world, 6, DEPOSIT)
    world.place(3, SELL, 600_000, 1_000)
    world.place(6, BUY, 600_000, 1_000)
    world.place(4, BUY, 580_990, 5_000)
    orders = [event.order for event in of(fall(world), OrderAccepted)]
    assert [number & 0xFF for number in orders] == [128, 129]


def test_orders_of_the_engine_have_no_names() -> None:
    """Their nonce is nobody's: nothing is found under it, before and behind a restart."""
    world = long_one()
    world.place(4, BUY, 580_990, 2_000)
    assert trades(fall(world))
    world.state = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    (answer,) = world.run(Cancel(subaccount=2, nonce=0))
    assert isinstance(answer, OrderRefused)
    assert answer.code is ResultCode.ORDER_NOT_FOUND


def test_one_command_begins_with_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next Clock, which the engine asks for at once, begins with the others; of steps it takes as many."""
    monkeypatch.setattr(liquidation, "MAX_LIQUIDATION_STEPS_PER_COMMAND", 2)
    world = long_one()
    for account in (6, 7):
        join(world, account, DEPOSIT)
        world.place(3, SELL, 600_000, 1_000)
        world.place(account, BUY, 600_000, 1_000)
    begun = of(fall(world), LiquidationStarted)
    assert [event.subaccount for event in begun] == [2, 6]
    assert world.state.work_pending()
    assert [event.subaccount for event in of(world.clock(), LiquidationStarted)] == [7]
    world.clock()
    assert not world.state.work_pending()


def test_perpetuals_are_closed_while_a_portfolio_is_offered() -> None:
    """Beside a short call: the perpetual goes to the book at once, the call does not."""
    world = long_one()
    world.place(4, BUY, 1_500, 1, CALL)
    world.place(2, SELL, 1_500, 1, CALL)
    world.place(4, BUY, 580_990, 2_000)
    events = fall(world)
    assert of(events, LiquidationStarted)[-1].stage is LiquidationStage.AUCTION
    assert [trade.instrument for trade in trades(events)] == [PERP]


def test_an_account_that_finds_nobody_is_auctioned() -> None:
    """After thirty seconds without a fill; the book is tried all the same."""
    world = long_one()
    fall(world)
    for _ in range(29):
        world.prices(FALLEN)
        world.clock(1)
    world.prices(FALLEN)
    (started,) = of(world.clock(1), LiquidationStarted)
    assert started.stage is LiquidationStage.AUCTION
    # 0.95 of its equity, rounded down.
    assert started.price_e6 == started.equity_e6 * 950_000 // 10**6
    world.place(4, BUY, 580_990, 2_000)
    world.prices(FALLEN)
    events = world.clock(1)
    assert trades(events)
    assert of(events, LiquidationEnded)


def test_options_are_offered_whole_and_not_sold_on_the_book() -> None:
    """A short call below maintenance: the auction begins at once, no order is placed."""
    world = long_one()
    join(world, 6, 300 * E6)
    world.place(4, BUY, 1_500, 3, CALL)
    world.place(6, SELL, 1_500, 3, CALL)
    world.prices(60_000, call=7_000)
    events = world.clock()
    stages = [event.stage for event in of(events, LiquidationStarted) if event.subaccount == 6]
    assert stages == [LiquidationStage.BOOK, LiquidationStage.AUCTION]
    assert of(events, OrderAccepted) == []


def test_prices_that_recover_end_a_liquidation() -> None:
    """Without a trade."""
    world = long_one()
    fall(world)
    world.prices(59_000)
    events = world.clock(1)
    assert [type(event) for event in events] == [LiquidationEnded]


def test_a_snapshot_goes_on_with_a_liquidation() -> None:
    """Stage, next step and patience come back; both states do the same."""
    world = long_one()
    fall(world)
    again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert state_hash(again) == state_hash(world.state)
    other = World()
    other.state, other.now_ns, other.round, other.requests = again, world.now_ns, world.round, world.requests
    for one in (world, other):
        one.place(4, BUY, 580_990, 2_000)
        assert trades(one.clock(1))
    assert state_hash(again) == state_hash(world.state)
