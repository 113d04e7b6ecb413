"""Deleveraging: the fund inside its caps, then the other side at the bankruptcy price; nothing is created or lost."""

import pytest
from msgspec.structs import replace

from exchange.domain.commands import ChainRequestKind, ListInstrument, MarkRow, SetPrices, UnderlyingRow
from exchange.domain.events import BatchClosed
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.liquidations import Deleveraged, FundPaid, LiquidationEnded, LiquidationStage, LiquidationStarted
from exchange.domain.rounds import FundingPaid
from exchange.engine.config import EngineConfig, LiquidationRules
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from exchange.engine.valuation import value_account
from matching_core import OrderBook
from tests.unit.exchange.engine.liquidating import fall, join, long_one, of
from tests.unit.exchange.engine.test_funding import funding, index
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SECOND_NS, SELL, World, instruments

WING = 7
CRASH = 55_000
"""Account 2, long one unit since 60,000 with 3,000 USDC, owes about 2,018."""


AT_ONCE = EngineConfig(
    short_move_ppm=900_000,
    long_move_ppm=900_000,
    liquidation=LiquidationRules(auction=replace(LiquidationRules().auction, insolvent_s=0)),
)
"""Nobody is asked for bids before others pay."""


def funded(amount: int = 0, config: EngineConfig | None = None) -> World:
    """The world of `long_one` with so much in the fund."""
    world = long_one(config=config)
    world.run_cut()
    if amount:
        world.request(ChainRequestKind.DEPOSIT, FUND_ACCOUNT, amount_e6=amount)
        world.run_cut()
    return world


def fund_of(world: World) -> int:
    """Cash of the fund."""
    return world.state.accounts[FUND_ACCOUNT].ledger_cash_e6


def test_a_solvent_account_costs_nobody_anything() -> None:
    """Below maintenance but worth more than nothing: the fund does not pay."""
    events = fall(funded(10**6 * E6))
    assert of(events, FundPaid | Deleveraged) == []


def test_the_fund_pays_a_fifth_of_itself_at_most() -> None:
    """Of one event; the other side bears the rest."""
    world = funded(1_000 * E6)
    before = fund_of(world)
    events = fall(world, CRASH)
    (paid,) = of(events, FundPaid)
    assert paid.amount_e6 == before * 200_000 // 10**6
    assert fund_of(world) == before - paid.amount_e6
    assert of(events, Deleveraged)


def test_the_fund_pays_two_fifths_of_the_morning_in_a_day() -> None:
    """Three bankrupt accounts: a fifth, a fifth of what is left, and what the day still has."""
    world = funded(1_000 * E6)
    for account in (6, 7):
        join(world, account, 3_000 * E6)
        world.place(3, SELL, 600_000, 1_000)
        world.place(account, BUY, 600_000, 1_000)
    start = fund_of(world)
    amounts = [event.amount_e6 for event in of(fall(world, CRASH), FundPaid)]
    assert len(amounts) == 3
    assert sum(amounts) == start * 400_000 // 10**6


def test_a_rich_fund_leaves_the_other_side_at_the_mark() -> None:
    """It pays the whole deficit; the position is closed at the mark."""
    world = funded(10**6 * E6)
    events = fall(world, CRASH)
    (paid,) = of(events, FundPaid)
    (closed,) = of(events, Deleveraged)
    assert closed.notional_e6 == 1_000 * CRASH * 1_000
    assert closed.bankrupt.ledger_cash_e6 == 0
    assert paid.amount_e6 > 2_000 * E6


def test_an_empty_fund_leaves_the_deficit_to_the_other_side() -> None:
    """Closed at the price at which nothing is left: the winner gives up what the loser cannot pay, no unit more."""
    world = funded()
    events = fall(world, CRASH)
    fund = sum(event.amount_e6 for event in of(events, FundPaid))
    (closed,) = of(events, Deleveraged)
    assert (closed.bankrupt_lots, closed.counterparty.subaccount) == (-1_000, 3)
    assert closed.notional_e6 > 1_000 * CRASH * 1_000
    assert closed.bankrupt.ledger_cash_e6 == 0
    assert closed.counterparty.position_lots == 0
    assert fund >= 0
    (ended,) = of(events, LiquidationEnded)
    assert (ended.equity_e6, ended.maintenance_requirement_e6) == (0, 0)


def test_the_loss_is_shared_in_proportion() -> None:
    """Two shorts of 600 and 400 lots with the same price and nearly the same equity give up 6 to 4."""
    world = long_one(600)
    world.place(4, SELL, 600_000, 400)
    world.place(2, BUY, 600_000, 400)
    world.run_cut()
    rows = of(fall(world, CRASH), Deleveraged)
    assert [row.counterparty.subaccount for row in rows] == [3, 4]
    assert sum(row.bankrupt_lots for row in rows) == -1_000
    assert rows[0].bankrupt_lots == -600


@pytest.mark.parametrize(("plain_lots", "givers"), [(3, {5: 3}), (1, {4: 2, 5: 1})])
def test_hedges_are_spared_while_others_reach(plain_lots: int, givers: dict[int, int]) -> None:
    """A call bought above one that was sold bounds the loss of both: account 4 gives it up where 5 does not reach."""
    world = funded(10**6 * E6, AT_ONCE)
    wing = replace(instruments()[1], instrument_id=WING, name="BTC-WING", strike_e9=75_000 * 10**9)
    world.run(ListInstrument(instrument=wing))
    mark_wing(world, 300)
    world.place(5, BUY, 300, plain_lots, WING)
    world.place(2, SELL, 300, plain_lots, WING)
    world.place(4, BUY, 300, 5, WING)
    world.place(2, SELL, 300, 3 - plain_lots, WING)
    world.place(3, SELL, 300, 2 + plain_lots, WING)
    world.place(3, BUY, 1_500, 5, CALL)
    world.place(4, SELL, 1_500, 5, CALL)
    world.prices(CRASH)
    mark_wing(world, 750)
    rows = [row for row in of(world.clock(), Deleveraged) if row.instrument == WING]
    assert {row.counterparty.subaccount: row.bankrupt_lots for row in rows} == givers


def mark_wing(world: World, dollars: int) -> None:
    """A round of its own."""
    world.round += 1
    world.run(SetPrices(round=world.round, marks=(MarkRow(WING, dollars * 10**9),)))


def test_losers_are_spared() -> None:
    """A short that lost money at the bankruptcy price gives nothing; without candidates the position waits."""
    world = funded()
    world.state.accounts[3].positions[PERP].cost_e6 = -1_000 * 40_000 * 1_000
    world.state.accounts[3].perpetual_cost_e6 = -1_000 * 40_000 * 1_000
    events = fall(world, CRASH)
    assert of(events, Deleveraged) == []
    assert of(events, LiquidationStarted)[-1].stage is LiquidationStage.INSOLVENT
    assert world.state.accounts[2].is_in_liquidation


def test_whoever_could_not_bear_it_is_spared() -> None:
    """Nobody is pushed below maintenance by somebody else's loss."""
    world = long_one()
    poor = 2_700 * E6
    world.state.accounts[3].ledger_cash_e6 -= 10**6 * E6 - poor
    world.state.accounts[4].ledger_cash_e6 += 10**6 * E6 - poor
    events = fall(world, 30_000)
    assert all(event.counterparty.subaccount == 3 for event in of(events, Deleveraged))
    assert value_account(world.state, world.state.accounts[3]).equity_e6 >= 0


def test_cash_without_positions_is_owed_to_the_fund_alone() -> None:
    """A negative account that holds nothing ends as soon as the fund has paid it up."""
    world = funded(10**6 * E6)
    gap = 5_000 * E6
    world.state.accounts[5].ledger_cash_e6 -= 10**6 * E6 + gap
    world.state.accounts[4].ledger_cash_e6 += 10**6 * E6 + gap
    world.prices()
    events = world.clock()
    assert [event.amount_e6 for event in of(events, FundPaid)] == [gap]
    assert of(events, LiquidationEnded)


def test_a_sold_out_portfolio_of_options_is_closed_against_its_holders() -> None:
    """Offered down to nothing for eleven minutes, a short call goes to its buyer at the mark; what is left stays."""
    world = long_one()
    join(world, 6, 400 * E6)
    world.place(4, BUY, 1_500, 4, CALL)
    world.place(6, SELL, 1_500, 4, CALL)
    world.run_cut()
    world.prices(60_000, call=7_000)
    assert of(world.clock(), LiquidationStarted)[-1].stage is LiquidationStage.AUCTION
    rows = []
    for _ in range(67):
        world.prices(60_000, call=7_000)
        rows += of(world.clock(10), Deleveraged)
    assert [(row.instrument, row.bankrupt_lots, row.counterparty.subaccount) for row in rows] == [(CALL, 4, 4)]
    assert rows[0].notional_e6 == 4 * 7_000 * 10_000
    assert world.state.accounts[6].ledger_cash_e6 > 100 * E6
    assert not world.state.accounts[6].is_in_liquidation


def test_deleveraging_keeps_every_sum() -> None:
    """Cash, positions, the core's counters and the batch's deltas add up afterwards, and over a restart."""
    world = funded(1_000 * E6)
    fall(world, CRASH)
    again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert state_hash(again) == state_hash(world.state)
    assert sum(account.ledger_cash_e6 for account in again.accounts.values()) == again.collateral_e6
    world.run_cut()


@pytest.mark.parametrize("price", [56_900, 56_000, 50_000, 40_000])
def test_a_bankrupt_account_ends_with_nothing(price: int) -> None:
    """Whatever the price, neither debt nor money is left of it, but for rounding."""
    world = funded()
    fall(world, price)
    assert not world.state.accounts[2].positions
    assert 0 <= world.state.accounts[2].ledger_cash_e6 <= 2


@pytest.mark.parametrize(("delta_e9", "is_spared"), [(0, False), (600_000_000, True), (-600_000_000, False)])
def test_a_perpetual_that_hedges_options_is_spared(delta_e9: int, is_spared: bool) -> None:
    """Account 5 is short like account 3, and long calls: with their delta against it the perpetual stays."""
    world = funded()
    join(world, 6, 3_000 * E6)
    world.place(5, SELL, 600_000, 500)
    world.place(6, BUY, 600_000, 500)
    world.place(4, SELL, 1_500, 100, CALL)
    world.place(5, BUY, 1_500, 100, CALL)
    world.prices()
    world.round += 1
    world.run(SetPrices(round=world.round, marks=(MarkRow(CALL, 1_500 * 10**9, delta_e9=delta_e9),)))
    world.round += 1
    marks = (MarkRow(PERP, CRASH * 10**9), MarkRow(CALL, 1_500 * 10**9, delta_e9=delta_e9))
    world.run(SetPrices(round=world.round, underlyings=(UnderlyingRow("BTC", CRASH * 10**9),), marks=marks))
    hit = {event.counterparty.subaccount for event in of(world.clock(), Deleveraged)}
    assert 3 in hit
    assert (5 not in hit) is is_spared


def penniless(world: World) -> World:
    """The fund's cash is account 5's: every deficit is the other side's."""
    left = fund_of(world)
    world.state.accounts[FUND_ACCOUNT].ledger_cash_e6 -= left
    world.state.accounts[5].ledger_cash_e6 += left
    return world


def give(world: World, account: int, cash_e6: int) -> None:
    """Ledger cash of an account; account 5 has the difference."""
    state = world.state
    state.accounts[5].ledger_cash_e6 += state.accounts[account].ledger_cash_e6 - cash_e6
    state.accounts[account].ledger_cash_e6 = cash_e6


def test_a_bankrupt_short_is_bought_back_from_the_longs() -> None:
    """At 62,982 for one since 60,000 with 2,982: the first user's account gives way like any other, shorts do not."""
    world = long_one()
    join(world, 6, 3_000 * E6)
    world.place(4, BUY, 600_000, 1_000)
    world.place(6, SELL, 600_000, 1_000)
    rows = of(fall(penniless(world), 65_000), Deleveraged)
    assert [row.counterparty.subaccount for row in rows] == [2, 4]
    assert sum(row.bankrupt_lots for row in rows) == 1_000
    assert sum(row.notional_e6 for row in rows) == 62_982 * E6
    assert (rows[-1].bankrupt.position_lots, rows[-1].bankrupt.ledger_cash_e6) == (0, 0)
    held = {2: 1_000, 4: 1_000}
    assert all(row.counterparty.position_lots == held[row.counterparty.subaccount] - row.bankrupt_lots for row in rows)
    assert [row.trade for row in rows] == [world.state.trade_count - 1, world.state.trade_count]


def test_who_gives_way_first_pays_the_odd_unit() -> None:
    """Three lots for 171.054001: two thirds rounded up, then the rest; the bankrupt account receives no less."""
    world = long_one(2, deposit=9 * E6)
    world.place(4, SELL, 600_000, 1)
    world.place(2, BUY, 600_000, 1)
    penniless(world)
    world.round += 1
    odd = MarkRow(PERP, CRASH * 10**9 + 1_000)
    world.run(SetPrices(round=world.round, underlyings=(UnderlyingRow("BTC", CRASH * 10**9),), marks=(odd,)))
    rows = of(world.clock(), Deleveraged)
    parts = [(row.counterparty.subaccount, row.bankrupt_lots, row.notional_e6) for row in rows]
    assert parts == [(3, -2, 114_036_001), (4, -1, 57_018_000)]
    assert rows[-1].bankrupt.ledger_cash_e6 == 1


@pytest.mark.parametrize(("missing_e6", "givers"), [(0, [3]), (1, [])])
def test_nobody_gives_way_into_debt(missing_e6: int, givers: list[int]) -> None:
    """Account 3 pays 57,018 for what costs 55,000: with just that it ends at nothing, with a unit less it is spared."""
    world = penniless(long_one())
    give(world, 3, 57_018 * E6 - missing_e6)
    rows = of(fall(world, CRASH), Deleveraged)
    assert [row.counterparty.subaccount for row in rows] == givers
    assert [row.counterparty.ledger_cash_e6 for row in rows] == [0] * len(givers)


def test_who_has_just_the_requirement_gives_way() -> None:
    """At the mark, which a rich fund leaves, the account is as healthy behind it as before."""
    world = funded(10**6 * E6)
    give(world, 3, (CRASH + CRASH // 50) * E6)
    (row,) = of(fall(world, CRASH), Deleveraged)
    assert (row.counterparty.subaccount, row.counterparty.ledger_cash_e6) == (3, CRASH // 50 * E6)


def test_whoever_is_liquidated_himself_gives_nothing() -> None:
    """His positions go another way."""
    world = penniless(long_one())
    world.state.accounts[3].is_in_liquidation = True
    assert of(fall(world, CRASH), Deleveraged) == []


def test_the_batch_of_a_loss_shows_what_others_pay() -> None:
    """Its fees are what the fund paid, below zero, its trades the positions that were closed."""
    world = funded(1_000 * E6)
    events = fall(world, CRASH)
    (paid,) = of(events, FundPaid)
    (closed,) = of(events, BatchClosed)
    assert (closed.fee_e6, closed.fill_count) == (-paid.amount_e6, len(of(events, Deleveraged)))


def test_a_full_batch_is_closed_between_two_transfers() -> None:
    """Two legs fit: the second counterparty begins a batch of its own."""
    world = long_one(600)
    world.place(4, SELL, 600_000, 400)
    world.place(2, BUY, 600_000, 400)
    penniless(world).run_cut()
    world.state.config = replace(world.state.config, batch_legs_max=2)
    kinds = [type(event) for event in fall(world, CRASH) if isinstance(event, Deleveraged | BatchClosed)]
    assert kinds == [Deleveraged, BatchClosed, Deleveraged, BatchClosed]


def test_funding_is_charged_before_a_position_is_closed() -> None:
    """Of both sides, and the quote knows of it: nothing is left of the bankrupt account, nothing is due afterwards."""
    world = penniless(long_one())
    funding(world)
    index(world, 60_000, after_ns=5 * SECOND_NS)
    funding(world)
    events = fall(world, CRASH)
    assert [(event.subaccount, event.amount_e6 < 0) for event in of(events, FundingPaid)] == [(2, True), (3, False)]
    (closed,) = of(events, Deleveraged)
    assert 57_018 * E6 < closed.notional_e6 < 57_020 * E6
    assert closed.bankrupt.ledger_cash_e6 == 0


def test_a_debt_beyond_the_price_stays() -> None:
    """A short owes more than it would cost: whoever is long would get nothing, so nobody gives way and it waits."""
    world = long_one()
    join(world, 6, 3_000 * E6)
    world.place(4, BUY, 600_000, 10)
    world.place(6, SELL, 600_000, 10)
    give(penniless(world), 6, -1_000 * E6)
    world.prices(61_000)
    assert of(world.clock(), Deleveraged) == []
    account = world.state.accounts[6]
    assert (account.ledger_cash_e6, account.lots(PERP), account.is_in_liquidation) == (-1_000 * E6, -10, True)
