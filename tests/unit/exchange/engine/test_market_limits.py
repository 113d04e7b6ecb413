"""Caps of open interest, position limits, open orders of an owner, and margin that grows with open interest."""

from typing import Any

import pytest

from exchange.domain.commands import (
    ChainRequest,
    ChainRequestKind,
    OrderFlag,
    Place,
    Side,
    SignedAmend,
    TimeInForce,
)
from exchange.domain.events import CommandRefused, OrderAccepted, RequestApplied
from exchange.domain.limits import MAX_MONEY_E6
from exchange.domain.market_limits import MarketLimits, MarketLimitsSet, SetMarketLimits
from exchange.domain.quote_events import QuoteRefused
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import GetAccount, PreviewOrder, PreviewView, SimulateAccount
from exchange.engine.chain_cover import covered_e6
from exchange.engine.config import EngineConfig
from exchange.engine.limit_table import LimitTable, LotLimits, lot_limits
from exchange.engine.market_limits import open_interest
from exchange.engine.queries import answer
from exchange.engine.quote_reserve import group_reserve_e18
from exchange.engine.snapshot import dump, load
from exchange.engine.valuation import value_account
from matching_core import OrderBook
from tests.unit.exchange.engine.quoting import GROUP, MAKER, PERP_LOT_E9, QuoteWorld, refused
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SELL, World, owner, refusal, trades

LOT_E6 = 60 * E6
"""Worth of a lot of the perpetual at the index."""


def limit(world: World, instrument: int = PERP, **fields: int) -> list[Any]:
    """Set an instrument's limits."""
    return world.run(SetMarketLimits(limits=MarketLimits(instrument=instrument, **fields)))


def capped(lots: int, *, accounts: int = 4, **fields: int) -> World:
    """A market whose open interest may be `lots`."""
    world = World().open(accounts=accounts)
    limit(world, governance_e6=lots * LOT_E6, **fields)
    return world


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"instrument": 99}, ResultCode.INSTRUMENT_NOT_FOUND),
        ({"governance_e6": -1}, ResultCode.PARAMETER_INVALID),
        ({"owner_e6": (1 << 62) + 1}, ResultCode.PARAMETER_INVALID),
        ({"scaling_from_e6": 5}, ResultCode.PARAMETER_INVALID),
        ({"scaling_from_e6": 5, "scaling_to_e6": 5}, ResultCode.PARAMETER_INVALID),
        ({"instrument": CALL, "scaling_to_e6": 5}, ResultCode.PARAMETER_INVALID),
    ],
)
def test_limits_that_make_no_sense_are_refused(fields: dict[str, int], code: ResultCode) -> None:
    """Unknown instruments, amounts out of range, bounds that do not ascend, margin of options; nothing is kept."""
    world = World().open()
    row = MarketLimits(**{"instrument": PERP} | fields)
    assert world.run(SetMarketLimits(limits=row)) == [CommandRefused(code=code, detail=row.instrument)]
    assert world.state.limits.rows == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, LotLimits(1 << 62, 1 << 62, 1 << 62)),
        ({"governance_e6": MAX_MONEY_E6}, LotLimits()),
        ({"governance_e6": 2 * LOT_E6 - 1}, LotLimits(open_lots=1)),
        ({"governance_e6": MAX_MONEY_E6 - 1}, LotLimits(open_lots=(MAX_MONEY_E6 - 1) // LOT_E6)),
        ({"subaccount_e6": 3 * LOT_E6}, LotLimits(subaccount_lots=3)),
        ({"owner_e6": LOT_E6 - 1}, LotLimits(owner_lots=0)),
    ],
)
def test_limits_in_lots_by_hand(fields: dict[str, int], expected: LotLimits) -> None:
    """Rounded down; what is not set bounds nothing, and bounds nothing else."""
    row = MarketLimits(instrument=PERP, **fields)
    assert lot_limits(row, index_e9=60_000 * 10**9, lot_e9=10**6) == expected


def test_open_interest_is_told_of_everything_listed() -> None:
    """With its limits, however high they may be, and what a perpetual asks for; of options there is no such share."""
    world = World().open()
    limit(world, owner_e6=MAX_MONEY_E6)
    world.place(3, SELL, 1_500, 4, CALL)
    world.place(2, BUY, 1_500, 4, CALL)
    rows = {row.instrument: (row.open_lots, row.limits, row.initial_ppm) for row in open_interest(world.state)}
    row = MarketLimits(instrument=PERP, owner_e6=MAX_MONEY_E6)
    assert rows == {CALL: (4, None, 0), PUT: (0, None, 0), PERP: (0, row, 40_000)}


def test_every_change_of_limits_can_be_seen() -> None:
    """Who mirrors them compares one number; a change to the same counts too."""
    table = LimitTable()
    seen = [table.serial]
    for _ in range(2):
        table.put(MarketLimits(instrument=PERP))
        seen.append(table.serial)
    assert len(set(seen)) == 3


def test_limits_are_reported_and_replaced_as_a_whole() -> None:
    """What the second command does not name is not limited any more."""
    world = capped(5)
    row = MarketLimits(instrument=PERP, owner_e6=7)
    assert world.run(SetMarketLimits(limits=row)) == [MarketLimitsSet(limits=row)]
    assert world.state.limits.rows == {PERP: row}


@pytest.mark.parametrize(
    "fields",
    [
        {"governance_e6": 10 * LOT_E6, "market_cap_e6": 10**15, "outside_depth_e6": 10**15},
        {"market_cap_e6": 200 * LOT_E6},
        {"outside_depth_e6": 10 * LOT_E6 // 3},
        {"governance_e6": 11 * LOT_E6 - 1},
    ],
)
def test_who_would_open_more_than_the_cap_is_refused(fields: dict[str, int]) -> None:
    """The lowest of the venue's cap, 5 % of the market's and thrice the depth outside, in whole lots."""
    world = World().open()
    limit(world, **fields)
    world.place(3, SELL, 600_000, 20, flags=OrderFlag.POST_ONLY)
    assert refusal(world.place(2, BUY, 600_000, 11)) == ResultCode.OPEN_INTEREST_CAP
    assert trades(world.place(2, BUY, 600_000, 10))
    assert world.state.limits.open_lots[PERP] == 10
    assert refusal(world.place(2, BUY, 600_000, 1)) == ResultCode.OPEN_INTEREST_CAP


@pytest.mark.parametrize("force", [TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
@pytest.mark.parametrize("flags", [OrderFlag.NONE, OrderFlag.MARKET])
def test_every_order_that_may_take_is_asked(force: TimeInForce, flags: OrderFlag) -> None:
    """Whatever its time in force, and whether somebody stands against it or not."""
    world = capped(10)
    assert refusal(world.place(2, BUY, 600_000, 11, time_in_force=force, flags=flags)) == ResultCode.OPEN_INTEREST_CAP


def test_at_the_cap_reducing_and_passive_orders_go_on() -> None:
    """A long sells what it has, and turns no further than the cap; who only rests waits for those who reduce."""
    world = capped(10)
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 600_000, 10)
    assert refusal(world.place(4, BUY, 600_000, 8, flags=OrderFlag.POST_ONLY)) == ResultCode.OK
    assert refusal(world.place(2, SELL, 600_000, 11)) == ResultCode.OPEN_INTEREST_CAP
    assert len(trades(world.place(2, SELL, 600_000, 5, flags=OrderFlag.REDUCE_ONLY))) == 1
    assert world.state.limits.open_lots[PERP] == 10
    assert len(trades(world.place(2, SELL, 600_000, 3))) == 1
    assert world.state.limits.open_lots[PERP] == 10


def test_two_who_reduce_lower_open_interest() -> None:
    """And make room for others."""
    world = capped(10)
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 600_000, 10)
    world.place(3, BUY, 600_000, 4)
    world.place(2, SELL, 600_000, 4)
    assert world.state.limits.open_lots[PERP] == 6
    world.place(3, SELL, 600_000, 4, flags=OrderFlag.POST_ONLY)
    assert len(trades(world.place(4, BUY, 600_000, 4))) == 1
    assert world.state.limits.open_lots[PERP] == 10


def test_orders_that_rested_before_never_pass_the_cap() -> None:
    """Each of five could be filled alone; takers are refused from the lot on that would be too many."""
    world = capped(10)
    for account in (2, 3, 4):
        assert refusal(world.place(account, SELL, 600_000, 9)) == ResultCode.OK
    assert refusal(world.place(5, BUY, 600_000, 10)) == ResultCode.OK
    assert refusal(world.place(5, BUY, 600_000, 1)) == ResultCode.OPEN_INTEREST_CAP
    assert world.state.limits.open_lots[PERP] == 10


def test_an_amendment_may_not_pass_the_cap() -> None:
    """Another price may cross; the order stays as it was."""
    world = capped(10)
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 600_000, 6)
    (accepted,) = [e for e in world.place(4, BUY, 599_000, 4) if isinstance(e, OrderAccepted)]
    limit(world, governance_e6=9 * LOT_E6)
    changed = world.order(4, BUY, 600_000, 4)
    events = world.run(SignedAmend(target_order=accepted.order, order=changed))
    assert refusal(events) == ResultCode.OPEN_INTEREST_CAP
    assert len(trades(world.run(SignedAmend(target_order=accepted.order, order=world.order(4, BUY, 600_000, 3))))) == 1


def test_options_have_caps_too() -> None:
    """At the index, lots of 0.01 BTC."""
    world = World().open()
    limit(world, CALL, governance_e6=600 * E6)
    assert refusal(world.place(2, BUY, 1_500, 2, CALL)) == ResultCode.OPEN_INTEREST_CAP
    assert refusal(world.place(2, BUY, 1_500, 1, CALL)) == ResultCode.OK


class Joined(World):
    """Accounts 2 and 5 belong to one owner."""

    def order(self, account: int, *args: Any, **fields: Any) -> Place:
        """A signed order; the owner of 2 signs for 5."""
        return super().order(account, *args, **{"signer": owner(2 if account == 5 else account)} | fields)


def joined(**config: int) -> World:
    """Such a market, open."""
    world = Joined(config=EngineConfig(**config)).open()
    index = world.state.request_index + 1
    world.run(
        ChainRequest(index=index, kind=ChainRequestKind.DEPOSIT, account=5, amount_e6=100_000 * E6, owner=owner(2))
    )
    world.run_cut()
    return world


def test_a_subaccount_holds_no_more_than_its_limit_whatever_rests_fills() -> None:
    """Limit >= order + same-side orders + position; the other side has its own room, wider by the position."""
    world = World().open()
    limit(world, subaccount_e6=10 * LOT_E6)
    world.place(3, SELL, 600_000, 4)
    world.place(2, BUY, 600_000, 4)
    world.place(2, BUY, 590_000, 3)
    assert refusal(world.place(2, BUY, 590_000, 4)) == ResultCode.POSITION_LIMIT
    assert refusal(world.place(2, BUY, 590_000, 3)) == ResultCode.OK
    assert refusal(world.place(2, SELL, 610_000, 15)) == ResultCode.POSITION_LIMIT
    assert refusal(world.place(2, SELL, 610_000, 14)) == ResultCode.OK


def test_an_owner_holds_no_more_than_his_limit_over_all_subaccounts() -> None:
    """A short in one subaccount makes no room for a long in another; who reduces passes."""
    world = joined()
    limit(world, owner_e6=10 * LOT_E6)
    for account, side in ((2, BUY), (5, SELL)):
        world.place(3, Side(1 - side), 600_000, 7)
        assert len(trades(world.place(account, side, 600_000, 7))) == 1
    assert refusal(world.place(5, BUY, 600_000, 11)) == ResultCode.POSITION_LIMIT
    assert refusal(world.place(5, BUY, 590_000, 10)) == ResultCode.OK
    assert refusal(world.place(2, BUY, 590_000, 1)) == ResultCode.POSITION_LIMIT
    limit(world, owner_e6=2 * LOT_E6)
    assert refusal(world.place(2, SELL, 610_000, 7)) == ResultCode.OK
    assert refusal(world.place(2, SELL, 610_000, 1)) == ResultCode.POSITION_LIMIT


def test_quotes_count_with_both_sides() -> None:
    """A line that could take the position too far is refused side by side; what rests already is kept."""
    world = QuoteWorld().open_maker(lot_e9=PERP_LOT_E9)
    limit(world, subaccount_e6=10 * LOT_E6)
    events = world.quote((PERP, 599_000, 6, 601_000, 5))
    assert [event.code for event in events if isinstance(event, QuoteRefused)] == [ResultCode.POSITION_LIMIT] * 2
    assert refused(world.quote((PERP, 599_000, 5, 601_000, 5))) == []
    assert refusal(world.place(MAKER, BUY, 590_000, 1)) == ResultCode.POSITION_LIMIT
    assert refused(world.quote((PERP, 599_100, 5, 601_000, 5))) == []


def test_open_orders_of_an_owner_are_counted_together() -> None:
    """Five in all, however they are spread."""
    world = joined(open_orders_max=4, owner_orders_max=5)
    for number in range(5):
        assert refusal(world.place(2 if number % 2 else 5, BUY, 500_000 + number, 1)) == ResultCode.OK
    for account in (2, 5):
        assert refusal(world.place(account, BUY, 500_000, 1)) == ResultCode.TOO_MANY_OPEN_ORDERS
    assert refusal(world.place(3, BUY, 500_000, 1)) == ResultCode.OK


def grown(lots: int, *, to_lots: int = 100) -> World:
    """A market with `lots` open whose margin grows from nothing to all of the notional at `to_lots`."""
    world = World().open(deposit=200_000 * E6)
    limit(world, scaling_to_e6=to_lots * LOT_E6)
    world.place(3, SELL, 600_000, lots)
    world.place(2, BUY, 600_000, lots)
    return world


def initial_e6(world: World, account: int) -> tuple[int, int]:
    """Requirements of the positions."""
    needed = value_account(world.state, world.state.accounts[account]).requirement
    return needed.initial_e6, needed.maintenance_e6


def test_margin_grows_with_the_next_round_of_prices() -> None:
    """4 % of 3,000 USDC; half open, 4 % + half of 96 %; maintenance stays 2 %."""
    world = grown(50)
    assert initial_e6(world, 2) == (120 * E6, 60 * E6)
    world.repeat_prices()
    assert initial_e6(world, 2) == (1_560 * E6, 60 * E6)
    world.place(3, BUY, 600_000, 50)
    world.place(2, SELL, 600_000, 50)
    world.repeat_prices()
    assert world.state.limits.scaled_ppm == {}


@pytest.mark.parametrize(
    ("from_lots", "to_lots", "ppm"),
    [(50, 100, 40_000), (49, 100, 58_823), (0, 50, 1_000_000), (0, 20, 1_000_000)],
)
def test_the_fraction_is_rounded_down_between_its_bounds(from_lots: int, to_lots: int, ppm: int) -> None:
    """From the tier's own to 1; the requirement is rounded up."""
    world = grown(50)
    limit(world, scaling_from_e6=from_lots * LOT_E6, scaling_to_e6=to_lots * LOT_E6)
    world.repeat_prices()
    assert world.state.limits.scaled_ppm.get("BTC", (40_000,))[0] == ppm
    assert initial_e6(world, 2)[0] == -(-3_000 * ppm)


def test_orders_previews_and_simulations_ask_for_the_grown_margin() -> None:
    """All notional is asked for: a deposit of 1,000 USDC carries 16 lots of 60 with their fees, not 17."""
    world = grown(50, to_lots=50)
    world.repeat_prices()
    world.run_cut()
    world.deposit(9, 1_000 * E6)
    assert refusal(world.place(9, BUY, 600_000, 17, max_fee_e18=0)) == ResultCode.INSUFFICIENT_MARGIN
    preview = answer(world.state, PreviewOrder(place=world.order(9, BUY, 600_000, 17)))
    assert isinstance(preview, PreviewView)
    assert preview.code == ResultCode.INSUFFICIENT_MARGIN
    simulated = answer(world.state, SimulateAccount(subaccount=9, changes=((PERP, 10, 600_000),)))
    assert simulated.initial_requirement_e6 == 600 * E6
    assert refusal(world.place(9, BUY, 600_000, 16)) == ResultCode.OK


def test_quotes_reserve_the_grown_margin() -> None:
    """Their group's limit at the index."""
    world = QuoteWorld().open_maker(lot_e9=PERP_LOT_E9, quantity_lots=10)
    limit(world, scaling_to_e6=50 * LOT_E6)
    world.place(3, SELL, 600_000, 50)
    world.place(4, BUY, 600_000, 50)
    group = world.state.account_groups[MAKER][GROUP]
    assert group_reserve_e18(world.state, group) == 90 * 10**18
    world.repeat_prices()
    assert group_reserve_e18(world.state, group) == 600 * 10**18


def test_a_withdrawal_leaves_what_the_contract_asks_at_the_least() -> None:
    """It proves refusals by 25 % of a perpetual, and knows nothing of open interest."""
    world = grown(1_000, to_lots=1_000)
    world.repeat_prices()
    account = world.state.accounts[2]
    covered = covered_e6(world.state, account)
    world.run_cut()
    (applied,) = [
        event
        for event in world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=10**12)
        if isinstance(event, RequestApplied)
    ]
    assert 0 < covered <= applied.approved_e6


def test_limits_and_what_has_grown_survive_a_snapshot() -> None:
    """The same bytes, the same open interest, the same refusals."""
    world = grown(50)
    world.repeat_prices()
    limit(world, governance_e6=50 * LOT_E6, owner_e6=50 * LOT_E6, scaling_to_e6=100 * LOT_E6)
    again = load(dump(world.state), OrderBook, None, type(world.state))
    assert dump(again) == dump(world.state)
    assert again.limits.open_lots[PERP] == 50
    world.state = again
    assert initial_e6(world, 2)[0] == 1_560 * E6
    assert refusal(world.place(4, BUY, 600_000, 1)) == ResultCode.OPEN_INTEREST_CAP
    assert refusal(world.place(2, BUY, 590_000, 1, flags=OrderFlag.POST_ONLY)) == ResultCode.POSITION_LIMIT
    assert answer(again, GetAccount(subaccount=2)) is not None
