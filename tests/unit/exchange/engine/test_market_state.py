"""Markets with a stale or halted price only reduce, fire nothing, liquidate nobody and charge nothing."""

from typing import Any

import pytest

from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import (
    Amend,
    Cancel,
    MarkRow,
    OrderFlag,
    PriceSource,
    SetPrices,
    Side,
    SignedAmend,
    Trigger,
    TriggerKind,
    UnderlyingRow,
)
from exchange.domain.events import (
    CommandRefused,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderTriggered,
    PricesSet,
)
from exchange.domain.liquidations import LiquidationStarted
from exchange.domain.result_codes import ResultCode
from exchange.domain.rounds import FundingRow, OracleRound
from exchange.domain.views import GetPrices, PreviewOrder, PricesView
from exchange.engine.config import EngineConfig
from exchange.engine.funding import fund_index_e12
from exchange.engine.market_state import is_restricted
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.unit.exchange.engine.quoting import QuoteWorld, kept, placed, refused
from tests.unit.exchange.engine.world import BUY, CALL, PERP, SECOND_NS, SELL, World, refusal, trades

E9 = 10**9
REDUCE, MARKET = OrderFlag.REDUCE_ONLY, OrderFlag.MARKET
OK, RESTRICTED = ResultCode.OK, ResultCode.MARKET_REDUCE_ONLY
HALT = UnderlyingRow("BTC", 0, 0, is_halted=True)


def of(events: list[Event], kind: type) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def index(world: World, row: UnderlyingRow, *, after_ns: int = 1_000_000, marks: tuple[MarkRow, ...] = ()) -> Any:
    """A round with one row; its last event."""
    world.round = world.state.prices.round + 1
    return world.run(SetPrices(round=world.round, underlyings=(row,), marks=marks), after_ns=after_ns)[-1]


def halted(world: World) -> World:
    """The feed says that it has no price."""
    index(world, HALT)
    return world


def stale(world: World) -> World:
    """The last prices are a nanosecond too old for the command that comes next."""
    world.now_ns = world.state.prices.timestamp_ns + world.state.config.index_life_ns
    return world


def held(**fields: Any) -> World:
    """Account 2 is long 10 lots against account 3; account 4 bids."""
    world = World(**fields).open(accounts=4)
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 600_000, 10)
    world.place(4, BUY, 599_000, 100)
    return world


BAD_ROWS = [
    UnderlyingRow("BTC", 0),
    UnderlyingRow("BTC", -1),
    UnderlyingRow("BTC", 1 << 63),
    UnderlyingRow("BTC", 60_000 * E9, -1),
    UnderlyingRow("BTC", 60_000 * E9, 1_000_001),
    UnderlyingRow("BTC", 60_000 * E9, 0, is_halted=True),
    UnderlyingRow("BTC", 0, 1, is_halted=True),
]


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_row_that_says_nothing_valid_refuses_its_round(row: UnderlyingRow) -> None:
    """No price, a wild one, a confidence that is no fraction, a halt with a price: the round before stays."""
    world = held()
    event = index(world, row)
    assert isinstance(event, CommandRefused)
    assert event.code is ResultCode.PRICE_INVALID
    assert (world.state.prices.index_e9, world.state.prices.halted) == ({"BTC": 60_000 * E9}, {})


@pytest.mark.parametrize("restrict", [stale, halted])
@pytest.mark.parametrize(
    ("account", "side", "lots", "flags", "code"),
    [
        (5, BUY, 1, OrderFlag.NONE, RESTRICTED),
        (5, SELL, 1, OrderFlag.NONE, RESTRICTED),
        (2, BUY, 1, OrderFlag.NONE, RESTRICTED),
        (2, SELL, 11, OrderFlag.NONE, RESTRICTED),
        (2, BUY, 1, MARKET, RESTRICTED),
        (5, SELL, 1, REDUCE, ResultCode.REDUCE_ONLY_REJECTED),
        (2, SELL, 10, OrderFlag.NONE, OK),
        (2, SELL, 50, REDUCE, OK),
        (2, SELL, 10, MARKET, OK),
        (3, BUY, 10, OrderFlag.NONE, OK),
    ],
)
def test_a_restricted_market_takes_what_reduces(
    restrict: Any, account: int, side: Side, lots: int, flags: OrderFlag, code: ResultCode
) -> None:
    """Nothing that opens, adds, or goes beyond zero; what reduces trades and rests as ever."""
    world = restrict(held())
    events = world.place(account, side, 599_000, lots, flags=flags)
    assert refusal(events) is code
    assert sum(trade.quantity_lots for trade in trades(events)) == (10 if code is OK and side is SELL else 0)


def test_the_bound_is_the_configured_age() -> None:
    """At ten seconds to the nanosecond the market is open, one later it is not."""
    world = held()
    set_ns = world.state.prices.timestamp_ns
    world.now_ns = set_ns
    assert refusal(world.run(world.order(5, BUY, 500_000, 1), after_ns=10 * SECOND_NS)) is OK
    assert refusal(world.run(world.order(5, BUY, 500_000, 1), after_ns=1)) is RESTRICTED
    world = held(config=EngineConfig(index_life_ns=SECOND_NS))
    assert refusal(stale(world).place(5, BUY, 500_000, 1)) is RESTRICTED


def test_what_reduces_already_leaves_no_room_for_more() -> None:
    """Two closing orders of 6 lots against 10 would open two the other way."""
    world = stale(held())
    assert refusal(world.place(2, SELL, 700_000, 6)) is OK
    assert refusal(world.place(2, SELL, 700_000, 6)) is RESTRICTED
    assert refusal(world.place(2, SELL, 700_000, 4)) is OK


def test_cancels_and_smaller_totals_go_on() -> None:
    """Whoever rests may leave; the order itself stays until then."""
    world = held()
    (number,) = [event.order for event in of(world.place(5, BUY, 500_000, 10), OrderAccepted)]
    stale(world)
    assert of(world.run(Amend(subaccount=5, order=number, quantity_lots=5)), OrderAmended)
    assert of(world.run(Cancel(subaccount=5, order=number)), OrderClosed)


@pytest.mark.parametrize(("side", "lots", "code"), [(BUY, 5, RESTRICTED), (SELL, 11, RESTRICTED), (SELL, 10, OK)])
def test_a_signed_amendment_must_reduce_too(side: Side, lots: int, code: ResultCode) -> None:
    """What the order reserves itself does not stand in its own way."""
    world = held()
    price = 700_000 if side is SELL else 500_000
    (number,) = [event.order for event in of(world.place(2, side, price, 8), OrderAccepted)]
    stale(world)
    again = world.order(2, side, price + 10, lots)
    assert refusal(world.run(SignedAmend(target_order=number, order=again))) is code


def test_a_preview_says_what_the_engine_would() -> None:
    """The same ladder."""
    world = held()
    world.clock(11)
    view = answer(world.state, PreviewOrder(place=world.order(5, BUY, 500_000, 1)))
    assert view.code is RESTRICTED  # type: ignore[union-attr]


@pytest.mark.parametrize("restrict", [stale, halted])
def test_quotes_are_kept_and_pulled_but_not_placed(restrict: Any) -> None:
    """Of a call, sides at their prices with no more lots stay; new ones are refused, pulls work."""
    world = QuoteWorld().open_maker()
    world.quote((CALL, 1_400, 10, 1_600, 10))
    world.state.config = EngineConfig(option_mark_life_ns=EngineConfig().index_life_ns)
    restrict(world)
    events = world.quote((CALL, 1_400, 5, 1_700, 10))
    assert (len(kept(events)), len(placed(events)), [code for _, code in refused(events)]) == (1, 0, [RESTRICTED])
    assert of(world.quote((CALL, 0, 0, 0, 0)), OrderClosed)


def test_an_option_lives_on_an_older_mark_than_a_perpetual() -> None:
    """Its index must be ten seconds old at most, its own mark sixty; the perpetual's mark ten."""
    world = held()
    world.now_ns += 11 * SECOND_NS
    index(world, UnderlyingRow("BTC", 60_000 * E9))
    assert refusal(world.place(5, BUY, 500_000, 1)) is RESTRICTED
    assert refusal(world.place(5, BUY, 1_000, 1, CALL)) is OK
    world.now_ns += 50 * SECOND_NS
    index(world, UnderlyingRow("BTC", 60_000 * E9))
    assert refusal(world.place(5, BUY, 1_000, 1, CALL)) is RESTRICTED
    index(world, UnderlyingRow("BTC", 60_000 * E9), marks=(MarkRow(CALL, 1_500 * E9),))
    assert refusal(world.place(5, BUY, 1_000, 1, CALL)) is OK


def test_a_stale_market_opens_with_its_first_price() -> None:
    """Within a minute: one price is enough."""
    world = held()
    world.now_ns = world.state.prices.timestamp_ns
    world.clock(59)
    world.repeat_prices()
    assert refusal(world.place(5, BUY, 500_000, 1)) is OK


def test_a_silence_of_more_than_a_minute_is_a_halt() -> None:
    """Three good prices in a row end it; the halt is told with each round, and the prices count meanwhile."""
    world = held()
    world.clock(60)
    for expected in (("BTC",), ("BTC",), ()):
        (event,) = of(world.repeat_prices(), PricesSet)
        assert event.halted == expected
        assert refusal(world.place(5, BUY, 500_000, 1)) is (RESTRICTED if expected else OK)


def test_a_halt_holds_the_last_price_and_counts_from_the_beginning() -> None:
    """A halt between two good prices begins the count anew; the price is not touched by it."""
    world = held()
    good = UnderlyingRow("BTC", 61_000 * E9, 800_000)
    told = [index(world, row).halted for row in (HALT, good, good, HALT, good, good, good)]
    assert told == [("BTC",)] * 6 + [()]
    assert (world.state.prices.index_e9, world.state.prices.confidence_ppm) == ({"BTC": 61_000 * E9}, {"BTC": 800_000})
    index(world, HALT)
    assert world.state.prices.index_e9 == {"BTC": 61_000 * E9}


def test_a_long_silence_inside_a_halt_begins_the_count_anew() -> None:
    """Two good prices, a minute of nothing, and the third is the first."""
    world = halted(held())
    good = UnderlyingRow("BTC", 60_000 * E9)
    told = [index(world, good, after_ns=gap * SECOND_NS).halted for gap in (1, 1, 61, 1, 1)]
    assert told == [("BTC",)] * 4 + [()]


def test_a_market_that_begins_halted_is_not_live_and_then_reduces() -> None:
    """Nothing was ever priced; behind the halt it opens as any other."""
    world = World().open(accounts=0)
    state = world.state
    state.prices.index_e9.clear()
    state.prices.index_ns.clear()
    world.deposit(2, 10**11)
    index(world, HALT)
    assert refusal(world.place(2, BUY, 500_000, 1)) is ResultCode.INSTRUMENT_NOT_LIVE
    good = UnderlyingRow("BTC", 60_000 * E9)
    assert [index(world, good).halted for _ in range(3)] == [("BTC",), ("BTC",), ()]


@pytest.mark.parametrize("source", list(PriceSource))
def test_triggers_wait_for_a_price_that_holds(source: PriceSource) -> None:
    """Neither a price that comes in a halt nor a trade in it fires; they do with the round that ends it."""
    world = held()
    world.place(4, BUY, 590_000, 100)
    stop = Trigger(kind=TriggerKind.STOP, source=source, price_e9=59_950 * E9)
    world.place(3, SELL, 600_000, 1)
    world.place(4, BUY, 600_000, 1)
    world.place(2, SELL, 580_000, 5, flags=REDUCE, trigger=stop)
    halted(world)
    assert trades(world.place(2, SELL, 599_000, 1))
    for _ in range(2):
        assert not of(world.prices(59_900), OrderTriggered)
    assert world.state.waiting_orders
    assert not world.state.triggers.fired
    events = world.prices(59_900)
    assert of(events, OrderTriggered)
    assert trades(events)


def test_a_trigger_that_is_beyond_its_price_already_is_armed_in_a_restricted_market() -> None:
    """A child of an entry that fills there fires with the first price behind it."""
    world = held()
    exit_below = Trigger(kind=TriggerKind.STOP, price_e9=59_000 * E9, source=PriceSource.INDEX)
    stale(world)
    world.place(2, SELL, 580_000, 5, flags=REDUCE, trigger=exit_below)
    world.repeat_prices()
    assert of(world.prices(58_900), OrderTriggered)


def test_what_fired_in_a_call_waits_on_in_a_restricted_market() -> None:
    """The call ends by its deadline with prices that are stale; the stop is placed with the next ones."""
    world = held()
    world.run(SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=world.now_ns + 20 * SECOND_NS))
    stop = Trigger(kind=TriggerKind.STOP, price_e9=59_950 * E9)
    world.place(2, SELL, 580_000, 5, flags=REDUCE, trigger=stop)
    world.prices(59_900)
    world.clock(21)
    assert world.state.triggers.held
    assert not world.state.work_pending()
    again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert again.triggers.held == world.state.triggers.held
    assert state_hash(again) == state_hash(world.state)
    events = world.repeat_prices()
    assert [trade.quantity_lots for trade in trades(events)] == [5]


def test_what_fired_and_is_not_placed_when_prices_go_stale_is_held() -> None:
    """More than one command places; by the time of the next the prices are too old."""
    world = held()
    stop = Trigger(kind=TriggerKind.STOP, price_e9=59_950 * E9)
    for account in (2, 5):
        for _ in range(65):
            world.place(account, SELL, 580_000, 1, flags=REDUCE, trigger=stop)
    assert len(of(world.prices(59_900), OrderTriggered)) == 128
    assert len(world.state.triggers.fired) == 2
    world.clock(11)
    assert (len(world.state.triggers.fired), len(world.state.triggers.held)) == (0, 2)
    world.repeat_prices()
    assert not world.state.triggers.held


def test_nobody_is_liquidated_in_a_halted_market() -> None:
    """Prices that come during the halt show a loss; the account is closed at the first open one, not before."""
    world = held()
    world.run_cut()
    world.deposit(6, 3_000 * 10**6)
    world.run_cut()
    world.place(3, SELL, 600_000, 1_000)
    world.place(6, BUY, 600_000, 1_000)
    halted(world)
    for count in (0, 0, 1):
        world.prices(58_100)
        assert len(of(world.clock(), LiquidationStarted)) == count


def test_no_funding_accrues_in_a_halted_market() -> None:
    """Five seconds before the halt count, five in it and the time until it ends do not."""

    def accrued(*gaps_and_rows: tuple[int, UnderlyingRow]) -> int:
        world = held()
        rate = (FundingRow(PERP, 28_800_000),)
        world.run(OracleRound(round=1, funding=rate))
        for gap_s, row in gaps_and_rows:
            index(world, row, after_ns=gap_s * SECOND_NS)
        world.run(OracleRound(round=2, funding=rate), after_ns=0)
        return fund_index_e12(world.state, PERP)

    good = UnderlyingRow("BTC", 60_000 * E9)
    assert 0 < accrued((5, good)) == accrued((5, HALT), (5, good), (1, good), (1, good))
    assert accrued((5, HALT), (1, good), (1, good), (1, good), (2, good)) == accrued((5, good), (2, good))


@pytest.mark.parametrize("seconds", [0, 11, 61])
@pytest.mark.parametrize("is_halted", [False, True])
def test_a_restart_changes_nothing_and_opens_nothing(seconds: int, is_halted: bool) -> None:
    """Funding index, marks, margins and the halt are the same before and after, whatever time passed in between."""
    world = held()
    world.run(OracleRound(round=1, funding=(FundingRow(PERP, 28_800_000),)))
    index(world, UnderlyingRow("BTC", 59_000 * E9, 700_000), after_ns=SECOND_NS)
    world.run(OracleRound(round=2))
    if is_halted:
        halted(world)
        index(world, UnderlyingRow("BTC", 59_000 * E9))
    again = World(config=world.state.config)
    again.state = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert state_hash(again.state) == state_hash(world.state)
    assert answer(again.state, GetPrices()) == answer(world.state, GetPrices())
    assert fund_index_e12(again.state, PERP) == fund_index_e12(world.state, PERP) != 0
    again.now_ns, again.round, again.requests = world.now_ns, world.round, world.requests
    for one in (world, again):
        one.clock(seconds)
        code = RESTRICTED if seconds or is_halted else OK
        assert refusal(one.run(one.order(5, BUY, 500_000, 1))) is code
        assert is_restricted(one.state, PERP) is (code is RESTRICTED)
        for _ in range(3):
            one.repeat_prices()
        assert refusal(one.place(5, BUY, 500_000, 1)) is OK
    assert state_hash(again.state) == state_hash(world.state)


def test_prices_say_when_they_were_set_and_how_sure_they_are() -> None:
    """What a display needs to know to call a market stale or halted."""
    world = held()
    index(world, UnderlyingRow("BTC", 60_100 * E9, 640_000))
    index(world, HALT)
    view = answer(world.state, GetPrices())
    assert isinstance(view, PricesView)
    assert view.index_ns == {"BTC": world.now_ns - 1_000_000}
    assert set(view.mark_ns) == set(view.marks)
    assert (view.confidence_ppm, view.halted) == ({"BTC": 0}, ("BTC",))
