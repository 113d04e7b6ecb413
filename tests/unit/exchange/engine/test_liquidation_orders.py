"""Adaptive steps: what the book holds and how far the index moved decide size, price and buffer."""

import pytest
from msgspec.structs import replace

from exchange.domain.commands import MarkRow, OrderFlag, Place, SetPrices, Side, UnderlyingRow
from exchange.domain.events import OrderAccepted, Trade
from exchange.engine.config import EngineConfig, LiquidationRules
from exchange.engine.liquidation_orders import closing_order
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from exchange.engine.valuation import AccountValue, value_account
from exchange.risk.adaptive import AdaptiveRules
from exchange.risk.liquidation import Exposure
from exchange.risk.standard import Requirement
from matching_core import OrderBook
from tests.unit.exchange.engine.liquidating import DEPOSIT, FALLEN, fall, long_one, of
from tests.unit.exchange.engine.quoting import MAKER, QuoteWorld
from tests.unit.exchange.engine.world import BUY, E6, PERP, SECOND_NS, SELL, World, trades

WIDE = EngineConfig(short_move_ppm=900_000, long_move_ppm=900_000)
QUIET_S = 7 * 60
MARK_E9 = 60_000 * 10**9
LOT_E9 = 10**6
PERCENT = 10**10
"""Of 10^12, as fractions are counted here."""


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


def terms(
    world: World,
    lots: int,
    *,
    price_e9: int = MARK_E9,
    maintenance: int = 2 * PERCENT,
    missing_e6: int = 0,
    required_e6: int = 0,
) -> Place | None:
    """The order that closes of `lots` what an account needs whose equity lacks so much of what is required."""
    value = AccountValue(
        equity_e6=required_e6 - missing_e6,
        positions_value_e6=0,
        realized_cash_e6=0,
        perpetual_notional_e6=0,
        requirement=Requirement(0, required_e6),
    )
    exposure = Exposure(amount=lots * LOT_E9, price=price_e9, maintenance=maintenance)
    return closing_order(world.state, world.state.accounts[2], world.state.instruments[PERP], exposure, value)


def market(rules: AdaptiveRules | None = None, **fixed: int) -> World:
    """Listed, priced at 60,000, with accounts 2 to 5; the steps are fixed unless there are rules."""
    return World(config=replace(WIDE, liquidation=LiquidationRules(adaptive=rules, **fixed))).open(accounts=4)


def marked(world: World, mark_e9: int) -> World:
    """The perpetual's mark alone is elsewhere."""
    world.round += 1
    world.run(SetPrices(round=world.round, underlyings=(), marks=(MarkRow(PERP, mark_e9),)))
    return world


AT_A_TICK = [
    # mark in ticks of 0.1 / 100, lots, price of the order
    (100, 1, 1),
    (100, -1, 1),
    (50, 1, 1),
    (50, -1, None),  # 5 % above half a tick is no price
    (96, -1, 1),
    (95, -1, None),
    (1_000, 1, 10),
    (1_000, -1, 10),
]


@pytest.mark.parametrize("rules", [None, AdaptiveRules()], ids=["fixed", "adaptive"])
@pytest.mark.parametrize(("mark", "lots", "expected"), AT_A_TICK)
def test_a_price_of_less_than_a_tick_is_none(
    rules: AdaptiveRules | None, mark: int, lots: int, expected: int | None
) -> None:
    """The lowest price is one tick, for one lot too; where the chain takes no tick at all there is no order."""
    world = market(rules)
    if lots > 0:
        world.place(4, BUY, 10, 1)
        world.place(4, BUY, 1, 1)
    elif expected:
        world.place(4, SELL, expected, 1)
    marked(world, mark * 10**6)
    place = terms(world, lots, price_e9=mark * 10**6, required_e6=E6)
    assert (place and place.price_ticks) == expected
    assert place is None or (place.quantity_lots, place.side) == (1, SELL if lots > 0 else BUY)


@pytest.mark.parametrize("rules", [None, AdaptiveRules()], ids=["fixed", "adaptive"])
@pytest.mark.parametrize(("side", "lots", "expected"), [(Side.BUY, 3, 599_999), (Side.SELL, -3, 600_000)])
def test_a_limit_between_ticks_gives_way(rules: AdaptiveRules | None, side: Side, lots: int, expected: int) -> None:
    """An order that does not fill helps nobody: a sale goes down, a purchase up."""
    world = market(rules)
    world.place(4, side, expected, 1)
    place = terms(world, lots, price_e9=MARK_E9 - 50_000_000, required_e6=E6)
    assert place is not None
    assert place.price_ticks == expected


@pytest.mark.parametrize(("lots", "expected"), [(10, 570_000), (-10, 630_000)])
def test_no_account_sells_or_buys_beyond_what_the_chain_takes(lots: int, expected: int) -> None:
    """5 % from the mark, long or short, however much is missing and however far the rules would go."""
    world = market(spread_ppm=90_000_000)
    place = terms(world, lots, missing_e6=E6, required_e6=E6)
    assert place is not None
    assert place.price_ticks == expected


@pytest.mark.parametrize(("lots", "expected"), [(10, 599_999), (-10, 599_999)])
def test_no_price_is_above_the_highest_of_its_instrument(lots: int, expected: int) -> None:
    """A mark may be."""
    world = market()
    listed = world.state.instruments
    listed[PERP] = replace(listed[PERP], maximum_price_ticks=599_999)
    place = terms(world, lots, required_e6=E6)
    assert place is not None
    assert place.price_ticks == expected


@pytest.mark.parametrize(
    ("missing", "expected"),
    [(-1_000_000, 1), (0, 1), (1, 1), (600_000, 1), (600_001, 2), (1_800_000, 3), (5_400_001, 10), (10**9, 10)],
)
def test_a_step_frees_what_is_missing_and_no_lot_more(missing: int, expected: int) -> None:
    """A lot of 60 USDC frees 1 % net of the fee; at least one goes, at most the ten that are held."""
    world = market(buffer_ppm=0)
    place = terms(world, 10, missing_e6=missing, required_e6=2_000_000)
    assert place is not None
    assert place.quantity_lots == expected


@pytest.mark.parametrize(("more_e9", "expected"), [(0, 2_000), (1, 2_000), (500, 400)])
def test_a_fifth_goes_of_what_is_worth_more_than_the_threshold(more_e9: int, expected: int) -> None:
    """2,000 lots at 50,000 are worth it exactly; what is less than a millionth above it is not above it."""
    world = market()
    place = terms(world, 2_000, price_e9=50_000 * 10**9 + more_e9, missing_e6=10**9, required_e6=10**9)
    assert place is not None
    assert place.quantity_lots == expected


def test_there_is_no_adaptive_order_without_anybody_to_trade_with() -> None:
    """A price there is, but no lots; with somebody behind the limit neither."""
    world = market(AdaptiveRules())
    assert terms(world, 10, missing_e6=10**6, required_e6=10**6) is None
    world.place(4, BUY, 500_000, 10)
    assert terms(world, 10, missing_e6=10**6, required_e6=10**6) is None


def test_no_order_is_larger_than_its_instrument_allows() -> None:
    """What is left goes with the next steps."""
    for world in (market(), market(AdaptiveRules())):
        listed = world.state.instruments
        listed[PERP] = replace(listed[PERP], maximum_lots=7)
        for _ in range(4):
            world.place(4, BUY, 600_000, 7)
        place = terms(world, 1_000, missing_e6=10**9, required_e6=10**9)
        assert place is not None
        assert place.quantity_lots == 7


def test_a_protection_group_counts_as_of_now() -> None:
    """Of 4 lots an hour 3 were filled, and 4 stand: one may be filled in that hour, all of them after it."""
    world = QuoteWorld(config=adaptive()).open_maker()
    world.config(mmp_group=9, lot_e9=LOT_E9, quantity_lots=4, interval_ns=3_600 * SECOND_NS)
    world.place(MAKER, BUY, 600_000, 3, flags=OrderFlag.MMP, mmp_group=9)
    world.place(3, SELL, 600_000, 3)
    world.place(MAKER, BUY, 600_000, 4, flags=OrderFlag.MMP, mmp_group=9)
    now = terms(world, 100, missing_e6=10**9, required_e6=10**9)
    world.state.timestamp_ns += 3_601 * SECOND_NS
    later = terms(world, 100, missing_e6=10**9, required_e6=10**9)
    assert [place and place.quantity_lots for place in (now, later)] == [1, 2]


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
