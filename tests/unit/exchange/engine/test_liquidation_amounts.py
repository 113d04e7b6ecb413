"""Liquidation to the unit: what the fund gets of a fill, which orders go, and where the limits are exact."""

import pytest

from exchange.domain.commands import (
    Side,
)
from exchange.domain.events import OrderClosed
from exchange.domain.liquidations import LiquidationEnded, LiquidationStage, LiquidationStarted
from exchange.domain.money import floor_div
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.engine.config import EngineConfig, LiquidationRules
from exchange.engine.margin import worst_margin_e18
from exchange.engine.valuation import value_account
from tests.unit.exchange.engine.liquidating import DEPOSIT, FALLEN, fall, join, long_one, of
from tests.unit.exchange.engine.world import BUY, SELL, World, refusal, trades


@pytest.mark.parametrize("fee_ppm", [0, 10_000])
def test_the_fund_takes_no_more_than_its_part(fee_ppm: int) -> None:
    """Nor more than the fill brought above the bankruptcy price."""
    rules = LiquidationRules(fee_ppm=fee_ppm)
    config = EngineConfig(short_move_ppm=900_000, long_move_ppm=900_000, liquidation=rules)
    world = long_one(config=config)
    world.place(4, BUY, 580_990, 2_000)
    (trade,) = trades(fall(world))
    assert trade.taker.fee_e6 == trade.quantity_lots * 58_099 * 1_000 * fee_ppm // 10**6


def test_maintenance_is_judged_to_the_unit() -> None:
    """One unit of equity decides."""
    outcomes = []
    for missing in (0, 1):
        world = long_one()
        world.prices(FALLEN)
        account = world.state.accounts[2]
        value = value_account(world.state, account)
        gap = value.equity_e6 - value.requirement.maintenance_e6 + missing
        account.ledger_cash_e6 -= gap
        world.state.accounts[3].ledger_cash_e6 += gap
        world.checks = False
        outcomes.append(bool(of(world.clock(), LiquidationStarted)))
    assert outcomes == [False, True]


def with_a_short() -> World:
    """Account 6 is short one unit since 60,000 with 3,000 USDC."""
    world = long_one()
    join(world, 6, DEPOSIT)
    world.place(4, BUY, 600_000, 1_000)
    world.place(6, SELL, 600_000, 1_000)
    return world


def test_a_short_pays_the_fund_as_a_long_does() -> None:
    """One per cent of what it buys back, and it ends restored."""
    world = with_a_short()
    world.place(5, SELL, 619_010, 2_000)
    events = fall(world, 61_900)
    (trade,) = trades(events)
    assert trade.taker.fee_e6 == trade.quantity_lots * 61_901 * 1_000 // 100
    assert [event.subaccount for event in of(events, LiquidationEnded)] == [6]
    assert 2 not in world.state.liquidations
    assert 6 not in world.state.liquidations


def test_the_fund_takes_no_more_than_the_fill_left() -> None:
    """Account 6 owes its last dollars: a fill a little above its bankruptcy price leaves less than one per cent."""
    world = with_a_short()
    world.place(5, SELL, 629_200, 2_000)
    (trade,) = trades(fall(world, 62_900))
    # 62,982 would leave nothing, 62,920 leaves 62 of a unit: a tenth of a per cent.
    assert 0 < trade.taker.fee_e6 <= trade.quantity_lots * 62_000


@pytest.mark.parametrize(
    ("account", "side", "first", "second", "price"),
    [(2, SELL, 605_000, 603_000, 58_200), (6, BUY, 595_000, 597_000, 61_700)],
)
def test_the_most_passive_order_beyond_the_position_goes(
    account: int, side: Side, first: int, second: int, price: int
) -> None:
    """Two orders of 600 lots against 1,000: the one nearer to the market stays, though it came later."""
    world = with_a_short()
    for ticks in (first, second):
        assert refusal(world.place(account, side, ticks, 600)) is ResultCode.OK
    gone = [event for event in of(fall(world, price), OrderClosed) if event.subaccount == account]
    assert [event.reason for event in gone] == [CloseReason.INSUFFICIENT_MARGIN]
    (left,) = world.state.live_orders(account)
    assert left.price_ticks == second


def test_who_has_just_the_initial_margin_keeps_his_orders() -> None:
    """To the unit: with one less, what adds risk goes."""
    counts = []
    for missing in (0, 1):
        world = long_one()
        world.place(2, BUY, 500_000, 10)
        world.prices(60_000)
        account = world.state.accounts[2]
        gap = floor_div(worst_margin_e18(world.state, account), 10**12) + missing
        account.ledger_cash_e6 -= gap
        world.state.accounts[3].ledger_cash_e6 += gap
        world.clock()
        counts.append(len(world.state.live_orders(2)))
    assert counts == [1, 0]


def test_an_insolvent_portfolio_is_offered_for_what_it_is_worth() -> None:
    """At first its whole debt; on the book nothing is asked."""
    world = long_one()
    world.state.accounts[3].is_in_liquidation = True
    started = of(fall(world, 55_000), LiquidationStarted)
    assert [event.stage for event in started] == [LiquidationStage.BOOK, LiquidationStage.INSOLVENT]
    assert started[0].price_e6 == 0
    assert started[1].price_e6 == started[1].equity_e6 < 0
