"""Adaptive steps: what the book holds and how far the index moved decide size, price and buffer."""

import pytest
from msgspec.structs import replace

from exchange.domain.commands import SetPrices, UnderlyingRow
from exchange.domain.events import OrderAccepted, Trade
from exchange.engine.config import EngineConfig, LiquidationRules
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from exchange.engine.valuation import value_account
from exchange.risk.adaptive import AdaptiveRules
from matching_core import OrderBook
from tests.unit.exchange.engine.test_liquidation import DEPOSIT, FALLEN, fall, long_one, of
from tests.unit.exchange.engine.world import BUY, E6, SECOND_NS, World, trades

WIDE = EngineConfig(short_move_ppm=900_000, long_move_ppm=900_000)
QUIET_S = 7 * 60


def adaptive(rules: AdaptiveRules | None = None) -> EngineConfig:
    """The engine's rules with steps that follow the market."""
    return replace(WIDE, liquidation=LiquidationRules(adaptive=rules or AdaptiveRules()))


def calm(world: World, price: int = FALLEN) -> World:
    """The index has stood at `price` for so long that nothing has moved, but the mark still is at 60,000."""
    world.round += 1
    index = SetPrices(round=world.round, underlyings=(UnderlyingRow("BTC", price * 10**9),))
    world.run(index)
    world.later(QUIET_S)
    return world


def first_trade(world: World, price: int = FALLEN) -> Trade:
    """The fill of the first step."""
    (trade,) = trades(fall(world, price))
    return trade


def test_no_order_goes_to_a_book_that_holds_nothing() -> None:
    """Nothing stands within the limit: no order, no batch is cut, and the account waits for its next second."""
    world = calm(long_one(config=adaptive()))
    world.place(4, BUY, 570_000, 1_000)
    assert of(fall(world), OrderAccepted) == []
    assert world.state.liquidations[2].next_ns == world.now_ns + SECOND_NS


def test_no_more_than_half_of_the_depth_goes_in_a_step() -> None:
    """Of 101 lots at the mark 51, though more is wanted; the rest a second later."""
    world = calm(long_one(config=adaptive()))
    world.place(4, BUY, 581_000, 101)
    assert first_trade(world).quantity_lots == 51
    (second,) = trades(world.clock(1))
    assert second.quantity_lots == 25


def test_an_order_of_the_engines_own_is_nobodys_and_lives_for_a_second() -> None:
    """No signer, no nonce; in both kinds of step."""
    for config in (WIDE, adaptive()):
        world = long_one(config=config)
        world.place(4, BUY, 581_000, 5_000)
        (order,) = of(fall(world), OrderAccepted)
        assert (order.nonce, order.signer) == (0, bytes(20))
        assert order.expiry_s == world.now_ns // SECOND_NS + 1


def test_a_large_position_goes_at_once_where_the_book_is_deep() -> None:
    """Beyond 100,000 USDC the fixed rule takes a fifth each second; depth is what bounds this one."""
    world = calm(long_one(10_000, deposit=30_000 * E6, config=adaptive()))
    world.place(4, BUY, 581_000, 50_000)
    assert first_trade(world).quantity_lots > 2_000
    fixed = calm(long_one(10_000, deposit=30_000 * E6))
    fixed.place(4, BUY, 581_000, 50_000)
    assert first_trade(fixed).quantity_lots == 2_000


def test_the_smallest_size_that_restores_the_buffer_is_closed() -> None:
    """After the fill the account has its requirement and 15 % of it; with a hundredth less it would not."""
    world = calm(long_one(config=adaptive()))
    world.place(4, BUY, 581_000, 5_000)
    lots = first_trade(world).quantity_lots
    account = world.state.accounts[2]
    assert not account.is_in_liquidation
    value = value_account(world.state, account)
    required_e6 = value.requirement.maintenance_e6
    assert required_e6 * 115 <= value.equity_e6 * 100 <= required_e6 * 118
    fixed = calm(long_one())
    fixed.place(4, BUY, 581_000, 5_000)
    assert first_trade(fixed).quantity_lots > lots


def test_volatility_makes_the_limit_give_way_and_the_buffer_grow() -> None:
    """The same account, depth and prices; the index alone stood elsewhere a minute ago."""
    orders = []
    for before in (FALLEN, 62_000):
        world = calm(long_one(config=adaptive()))
        world.round += 1
        world.run(SetPrices(round=world.round, underlyings=(UnderlyingRow("BTC", before * 10**9),)))
        world.place(4, BUY, 581_000, 5_000)
        (order,) = of(fall(world), OrderAccepted)
        orders.append(order)
    still, wild = orders
    assert wild.price_ticks < still.price_ticks
    assert wild.quantity_lots > still.quantity_lots


def test_a_thin_book_makes_the_limit_give_way_as_volatility_does() -> None:
    """One lot where hundreds are wanted: the order goes as far as in the wildest market."""
    world = calm(long_one(config=adaptive()))
    world.place(4, BUY, 581_000, 1)
    world.place(5, BUY, 580_600, 5_000)
    trade = trades(fall(world))[-1]
    fixed = calm(long_one())
    fixed.place(5, BUY, 580_600, 5_000)
    assert trade.maker.subaccount == 5
    assert trades(fall(fixed)) == []


@pytest.mark.parametrize("deposit", [DEPOSIT, 2_000 * E6])
def test_no_limit_is_worse_than_the_chain_takes(deposit: int) -> None:
    """Even where the rules would give way by the whole maintenance fraction many times over."""
    greedy = AdaptiveRules(spread_ppm=90_000_000)
    world = calm(long_one(deposit=deposit, config=adaptive(greedy)))
    world.place(4, BUY, 10_000, 5_000)
    world.place(5, BUY, FALLEN * 10, 1)
    for order in of(fall(world), OrderAccepted):
        assert order.price_ticks >= FALLEN * 10 * 95 // 100


def test_a_snapshot_keeps_how_far_the_index_moved() -> None:
    """A restored engine takes the same step, and both have one state hash before and after it."""
    world = long_one(config=adaptive())
    world.place(4, BUY, 580_900, 5_000)
    world.prices(62_000)
    restored = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert state_hash(restored) == state_hash(world.state)
    other = World()
    other.state, other.now_ns, other.round = restored, world.now_ns, world.round
    expected = fall(world)
    assert fall(other) == expected
    assert trades(expected)
    assert state_hash(restored) == state_hash(world.state)
