"""The cash floor under Portfolio Margin (D-053): what is refused for it, what follows, and that reductions pass."""

import pytest

from exchange.domain.commands import ChainRequestKind, OrderFlag
from exchange.domain.events import OrderClosed, RequestApplied
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import PreviewOrder, SimulateAccount
from exchange.engine.cash_floor import cash_floor
from exchange.engine.changes import fees_e18
from exchange.engine.margin import worst_margin_e18
from exchange.engine.portfolio_margin import scenario_portfolio
from exchange.engine.queries import answer
from exchange.engine.valuation import maintenance_margin_e18
from exchange.risk.cash_floor import CashFloor
from exchange.risk.open_orders import PerpetualExposure
from exchange.risk.parameters import LARGE_CAP_TIERS
from exchange.risk.scenario_portfolio import portfolio_value_e18, required_e18
from tests.unit.exchange.engine.portfolios import SM, PortfolioWorld
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SELL, refusal, trades

OK, POOR = ResultCode.OK, ResultCode.INSUFFICIENT_MARGIN


E12, E16, E18 = 10**12, 10**16, 10**18
MIXED = [
    # (instrument, is_buy, price_ticks, lots); the perpetual's mark is 600,000 ticks, those of the options 1,500 and 800
    (CALL, True, 1_600, 3),
    (PERP, True, 600_010, 4),
    (PUT, False, 790, 7),
    (CALL, False, 1_450, 2),
    (PERP, False, 599_950, 2),
    (PUT, True, 790, 1),
    (PERP, True, 599_000, 1),
]


def fees(world: PortfolioWorld, number: int, lots: int, legs: int) -> int:
    """The most that so many lots may cost in fees."""
    return fees_e18(world.state, world.state.instruments[number], lots, legs=legs)


@pytest.mark.parametrize("held", [-3, 0, 5])
def test_the_parts_of_the_floor_by_hand(held: int) -> None:
    """Losses of fills at the limits on either side, premiums of bids, fees in and out; options at their marks."""
    world = PortfolioWorld().open()
    lots = {CALL: 2, PUT: -5} | ({PERP: held} if held else {})
    found = cash_floor(world.state, lots, MIXED)
    perpetual = PerpetualExposure(
        position_e9=held * 10**6,
        mark_e9=60_000 * 10**9,
        tiers=LARGE_CAP_TIERS,
        buys_e9=5 * 10**6,
        sells_e9=2 * 10**6,
        loss_e18=(4 * 1 + 2 * 5) * 1_000 * E12,
        fees_e18=fees(world, PERP, 7, 2),
    )
    assert found == CashFloor(
        perpetuals=(perpetual,),
        options_e18=(2 * 1_500 - 5 * 800) * E16,
        premiums_e18=(3 * 1_600 + 1 * 790) * E16,
        losses_e18=(3 * 100 + 2 * 50 + 7 * 10) * E16,
        fees_e18=fees(world, CALL, 5, 1) + fees(world, PUT, 8, 1),
    )
    assert fees(world, CALL, 5, 1) == 9 * E18 // 10  # 300 ppm of 60,000 on 0.05


def test_the_floor_of_nothing_is_nothing() -> None:
    """To the unit; and orders for what is not held count like others."""
    world = PortfolioWorld().open()
    assert cash_floor(world.state, {}, []) == CashFloor()
    found = cash_floor(world.state, {}, [(CALL, True, 1_500, 1)])
    assert found == CashFloor(premiums_e18=1_500 * E16, fees_e18=fees(world, CALL, 1, 1))


def opened(deposit: int = 20_000) -> PortfolioWorld:
    """Account 2 has Portfolio Margin and so much money in USDC, its counterparty has more than enough."""
    world = PortfolioWorld().open(deposit=deposit * E6)
    for account in (3, 4):
        world.deposit(account, 10**13)
    world.run_cut()
    assert world.choose(2) is OK
    return world


def left_e6(world: PortfolioWorld) -> int:
    """What initial margin leaves of account 2."""
    return worst_margin_e18(world.state, world.state.accounts[2]) // 10**12


def scenarios_left_e18(world: PortfolioWorld) -> int:
    """What the scenarios alone leave of its positions."""
    found = scenario_portfolio(world.state, world.state.accounts[2])
    needed = sum(required_e18(market, world.state.config.portfolio)[0] for market in found.markets)
    return portfolio_value_e18(found) - needed


def spend(world: PortfolioWorld, left: int) -> None:
    """Account 2 buys calls at their mark until `left` USDC of margin remain; a lot costs 15 and its fee of 0.18."""
    account = world.state.accounts[2]
    due_e6 = sum(-row.lots for row in account.positions.values()) * 60 * E6
    free_e6 = account.ledger_cash_e6 - due_e6 * 104 // 100
    world.hold(2, CALL, (free_e6 - left * E6) // 15_180_000, 1_500)
    assert left * E6 <= left_e6(world) < (left + 20) * E6


def test_an_option_is_not_bought_with_what_others_are_worth() -> None:
    """20,000 USDC buy calls for 19,500; bids for 501 more are refused, though the calls would lend it."""
    world = opened()
    spend(world, 500)
    cash_e6 = world.state.accounts[2].ledger_cash_e6
    assert refusal(world.place(2, BUY, 800, (cash_e6 // E6) // 8 + 1, PUT)) is POOR
    assert refusal(world.place(2, BUY, 800, (cash_e6 // E6) // 8 - 1, PUT)) is OK
    assert maintenance_margin_e18(world.state, world.state.accounts[2]) > 5_000 * 10**18


def test_a_perpetual_is_not_hedged_with_what_options_are_worth() -> None:
    """Long calls and a short perpetual hedge each other; 4 % of the perpetual must be there in cash."""
    world = opened()
    spend(world, 500)
    assert refusal(world.place(2, SELL, 600_000, 300)) is POOR
    assert refusal(world.place(2, SELL, 600_000, 100)) is OK


@pytest.mark.parametrize("flags", [OrderFlag.POST_ONLY, OrderFlag.NONE])
def test_bids_at_different_strikes_add_up(flags: OrderFlag) -> None:
    """Every subset of them may fill."""
    world = opened(10_000)
    assert refusal(world.place(2, BUY, 1_400, 500, CALL, flags=flags)) is OK
    assert refusal(world.place(2, BUY, 700, 500, PUT, flags=flags)) is POOR
    assert refusal(world.place(2, BUY, 500, 500, PUT, flags=flags)) is OK


def test_what_a_sale_would_bring_is_not_spent_before() -> None:
    """An offered call pays for no put."""
    world = opened()
    spend(world, 100)
    assert refusal(world.place(2, SELL, 1_600, 500, CALL)) is OK
    assert refusal(world.place(2, BUY, 800, 100, PUT)) is POOR


def test_to_choose_it_asks_for_the_floor_too() -> None:
    """Under Standard Margin cash went into calls, then was lost on a perpetual: scenarios alone would take that."""
    world = PortfolioWorld().open(deposit=20_000 * E6)
    for account in (3, 4):
        world.deposit(account, 10**13)
    world.run_cut()
    world.hold(2, PERP, -300, 600_000)
    spend(world, 300)
    world.prices(62_000, call=2_500, put=700)
    world.scenarios(62_000.0)
    assert scenarios_left_e18(world) > 0 > left_e6(world)
    assert world.choose(2) is POOR
    world.prices(60_000)
    world.scenarios()
    assert world.choose(2) is OK


def test_reductions_pass_below_the_floor() -> None:
    """A perpetual that hedges calls lost cash: it can be bought back, calls can be sold, nothing else is taken."""
    world = opened()
    world.hold(2, PERP, -300, 600_000)
    spend(world, 300)
    world.prices(62_000, call=2_500, put=700)
    world.scenarios(62_000.0)
    assert scenarios_left_e18(world) > 0 > left_e6(world)
    assert refusal(world.place(2, BUY, 700, 1, PUT)) is POOR
    assert refusal(world.place(2, SELL, 620_000, 1)) is POOR
    assert refusal(world.place(2, BUY, 620_000, 50)) is OK
    assert refusal(world.place(2, SELL, 2_500, 10, CALL, flags=OrderFlag.REDUCE_ONLY)) is OK
    assert refusal(world.place(2, BUY, 690_000, 1, flags=OrderFlag.REDUCE_ONLY)) is POOR


def test_below_the_floor_orders_go_and_nothing_is_liquidated() -> None:
    """With the next look; maintenance knows no floor."""
    world = opened()
    world.hold(2, PERP, -300, 600_000)
    spend(world, 500)
    world.place(2, BUY, 700, 10, PUT)
    world.place(2, BUY, 590_000, 10, flags=OrderFlag.REDUCE_ONLY)
    assert not any(isinstance(event, OrderClosed) for event in world.clock())
    world.prices(64_000, call=4_000, put=300)
    world.scenarios(64_000.0)
    events = world.clock()
    assert [event.instrument for event in events if isinstance(event, OrderClosed)] == [PUT]
    assert not world.state.liquidations


def test_a_withdrawal_leaves_the_floor() -> None:
    """What calls would lend does not leave, and 4 % of the short perpetual stay."""
    world = opened()
    world.hold(2, PERP, -300, 600_000)
    spend(world, 3_000)
    world.run_cut()
    floor_e6 = left_e6(world)
    assert scenarios_left_e18(world) > (floor_e6 + 5_000 * E6) * 10**12
    events = world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=10**12)
    approved = [event.approved_e6 for event in events if isinstance(event, RequestApplied)]
    assert approved == [floor_e6]
    assert left_e6(world) == 0


def test_a_fill_leaves_what_the_floor_found() -> None:
    """Orders on both sides and both kinds of options: whichever fills first, no less is left."""
    world = opened(30_000)
    orders = ((CALL, BUY, 1_450, 300), (PUT, SELL, 820, 100), (PERP, SELL, 601_000, 100), (CALL, SELL, 1_600, 50))
    for instrument, side, price, lots in orders:
        assert refusal(world.place(2, side, price, lots, instrument)) is OK
    for instrument, side, price, lots in orders:
        before = left_e6(world)
        assert trades(world.place(4, type(side)(1 - side), price, lots, instrument))
        assert left_e6(world) >= before


def test_previews_and_simulations_say_the_same() -> None:
    """The preview's refusal and the simulated requirement are those of the order."""
    world = opened()
    spend(world, 500)
    order = world.order(2, BUY, 800, 100, PUT)
    assert answer(world.state, PreviewOrder(place=order)).code is POOR
    view = answer(world.state, SimulateAccount(subaccount=2, changes=((PUT, 100, 800),)))
    assert view.equity_e6 < view.initial_requirement_e6
    assert refusal(world.run(order)) is POOR


def test_standard_margin_is_as_before() -> None:
    """The floor is asked of accounts with Portfolio Margin alone; the other kind counts no long option anyway."""
    world = opened()
    world.choose(2, SM)
    spend(world, 500)
    cash_e6 = world.state.accounts[2].ledger_cash_e6
    assert left_e6(world) == cash_e6
