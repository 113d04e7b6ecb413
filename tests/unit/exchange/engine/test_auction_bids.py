"""Bids for an auctioned portfolio: what is refused, what a share costs as time goes, who pays for an insolvent one."""

from typing import Any

import pytest
from msgspec.structs import replace

from exchange.domain.auction_bids import BidInAuction
from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import ChainRequestKind
from exchange.domain.events import BatchClosed, Event, OrderClosed
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.liquidations import (
    AuctionTaken,
    Deleveraged,
    FundPaid,
    LiquidationEnded,
    LiquidationStage,
    LiquidationStarted,
)
from exchange.domain.packing import pack_command, unpack_commands
from exchange.domain.quotes import MassQuote, QuoteLine
from exchange.domain.result_codes import OrderStatus, ResultCode
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from exchange.engine.valuation import value_account
from matching_core import OrderBook
from tests.unit.exchange.engine.liquidating import long_one, of
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SECOND_NS, SELL, World, owner, refusal, trades

BIDDER = 5
POOR = 6
"""Short 0.03 calls, sold at 1,500 with 300 USDC: 344.46 with the fee off, less what the calls are worth."""
WORTH, OWED = 134_460_000, 75_540_000
"""With the calls at 7,000 and at 14,000."""
LOW, HIGH = 1, 1_000_000


def auctioned(call: int = 7_000, *, fund: int = 0, lots: int = 3) -> World:
    """Account 6 is offered; at 7,000 for a call it is worth 134.46 USDC, at 14,000 it owes 75.54."""
    world = long_one(deposit=10**5 * E6)
    for account, amount in ((FUND_ACCOUNT, fund), (POOR, 100 * lots)):
        world.run_cut()
        if amount:
            world.request(ChainRequestKind.DEPOSIT, account, amount_e6=amount * E6, owner=owner(account))
    world.run_cut()
    world.place(4, BUY, 1_500, lots, CALL)
    world.place(POOR, SELL, 1_500, lots, CALL)
    world.prices(call=call)
    world.clock()
    return world


def offer(world: World, **fields: Any) -> BidInAuction:
    """Account 5 bids for all of it, whatever it costs; `lines` and `account` go into the signed call."""
    account = fields.pop("account", BIDDER)
    call = MassQuote(
        subaccount=account,
        mmp_group=0,
        lines=fields.pop("lines", (QuoteLine(CALL, 0, 0, LOW, 3),)),
        nonce=world.now_ns + 1,
        expiry_s=world.now_ns // SECOND_NS + 3_600,
        signer=owner(fields.pop("signer", account)),
        max_fee_e18=1_000 * 10**18,
        digest=b"\x0d" * 32,
        signature=b"\x05" * 65,
    )
    (row,) = world.state.liquidations.values()
    values = {"auction": row.auction, "share_ppm": 10**6, "price_limit_e6": 10**12, **fields}
    return BidInAuction(call=call, **values)


def buy(world: World, **fields: Any) -> list[Event]:
    """Send such a bid."""
    return world.run(offer(world, **fields))


def wait(world: World, seconds: int, call: int = 7_000) -> None:
    """Let time pass without a price getting stale."""
    for _ in range(seconds):
        world.prices(call=call)
        world.clock(1)


def pays(world: World, lots: int, equity_e6: int) -> None:
    """Account 6 has so many lots left and so much equity."""
    account = world.state.accounts[POOR]
    assert account.lots(CALL) == lots
    assert value_account(world.state, account).equity_e6 == equity_e6


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"signer": 9}, ResultCode.SIGNER_UNKNOWN),
        ({"account": 99}, ResultCode.SUBACCOUNT_NOT_FOUND),
        ({"lines": ()}, ResultCode.PARAMETER_INVALID),
        ({"lines": (QuoteLine(CALL, 0, 0, 1, 3), QuoteLine(CALL, 0, 0, 1, 3))}, ResultCode.PARAMETER_INVALID),
        ({"share_ppm": 0}, ResultCode.BAD_AMOUNT),
        ({"share_ppm": 10**6 + 1}, ResultCode.BAD_AMOUNT),
        ({"auction": 1}, ResultCode.AUCTION_NOT_FOUND),
        ({"account": POOR}, ResultCode.IN_LIQUIDATION),
        ({"last_seen_seq": 1}, ResultCode.AUCTION_CHANGED),
        ({"price_limit_e6": E6}, ResultCode.AUCTION_PRICE_TOO_HIGH),
        ({"lines": (QuoteLine(PERP, 1, 1, 2, 1),)}, ResultCode.AUCTION_LEG_NOT_COVERED),
        ({"lines": (QuoteLine(CALL, 0, 0, LOW, 0),)}, ResultCode.AUCTION_LEG_NOT_COVERED),
        ({"lines": (QuoteLine(CALL, 0, 0, 7_225, 3),)}, ResultCode.AUCTION_LEG_NOT_COVERED),
        ({"lines": (QuoteLine(CALL, HIGH, 3, 0, 0),)}, ResultCode.AUCTION_LEG_NOT_COVERED),
    ],
)
def test_a_bid_that_is_not_in_order_takes_nothing(fields: dict[str, Any], code: ResultCode) -> None:
    """Each with its code, and the portfolio stays as it was."""
    world = auctioned()
    assert refusal(buy(world, **fields)) is code
    pays(world, -3, WORTH)


def test_an_owner_does_not_bid_for_his_own_account() -> None:
    """Nor does another account of the same wallet; it is the venue's money that would come to him."""
    world = auctioned()
    world.run_cut()
    world.request(ChainRequestKind.DEPOSIT, 7, amount_e6=10**6 * E6, owner=owner(POOR))
    assert refusal(buy(world, account=7, signer=POOR)) is ResultCode.AUCTION_OF_OWN_ACCOUNT


def test_a_bidder_needs_margin_for_what_he_takes() -> None:
    """Ten dollars do not carry a short call."""
    world = auctioned()
    world.run_cut()
    world.deposit(7, 10 * E6)
    assert refusal(buy(world, account=7)) is ResultCode.INSUFFICIENT_MARGIN


def test_a_bid_is_good_once() -> None:
    """The nonce is spent by the bid that took something, as by one that was refused."""
    world = auctioned()
    command = offer(world)
    assert refusal(world.run(command)) is ResultCode.OK
    assert refusal(world.run(command)) is ResultCode.NONCE_USED


def test_nothing_is_sold_in_a_call_or_on_a_stale_price() -> None:
    """The auction waits as other steps do."""
    world = auctioned()
    world.run(SetPhase(instrument=CALL, phase=Phase.AUCTION, deadline_ns=world.now_ns + 60 * SECOND_NS))
    assert refusal(buy(world)) is ResultCode.IN_AUCTION
    world = auctioned()
    world.clock(11)
    assert refusal(buy(world)) is ResultCode.MARKET_REDUCE_ONLY


def test_a_portfolio_that_recovered_is_not_sold() -> None:
    """Prices came back and the next step has not let it go yet."""
    world = auctioned()
    world.prices(call=1_500)
    assert refusal(buy(world)) is ResultCode.AUCTION_CHANGED


def test_a_book_liquidation_is_no_auction() -> None:
    """A perpetual that goes to the book is not for sale beside it."""
    world = long_one()
    world.prices(58_100)
    world.clock()
    assert refusal(buy(world, lines=(QuoteLine(PERP, HIGH, 1_000, 0, 0),))) is ResultCode.AUCTION_NOT_FOUND


@pytest.mark.parametrize(("seconds", "price_ticks"), [(0, 7_224), (4, 7_298), (6, 7_336), (30, 7_350), (300, 7_350)])
def test_the_price_gives_way_with_time_down_to_what_the_chain_takes(seconds: int, price_ticks: int) -> None:
    """0.05 of the equity at once, another 0.25 in a minute; never more than 5 % of the mark of 7,000."""
    world = auctioned()
    wait(world, seconds)
    (trade,) = trades(buy(world, share_ppm=400_000))
    assert (trade.instrument, trade.price_ticks, trade.quantity_lots) == (CALL, price_ticks, 1)
    assert (trade.maker.subaccount, trade.taker.subaccount, trade.taker_side) == (BIDDER, POOR, BUY)
    assert trade.maker.fee_e6 == trade.taker.fee_e6 == 0


def test_a_share_is_what_restores_the_account_at_most() -> None:
    """All is asked for; the account is let go with the rest, and its owner keeps what the bidder did not pay for."""
    world = auctioned()
    events = buy(world)
    (taken,) = of(events, AuctionTaken)
    assert (taken.bidder, taken.subaccount, taken.stage) == (BIDDER, POOR, LiquidationStage.AUCTION)
    assert 0 < taken.share_ppm < 10**6
    (trade,) = trades(events)
    assert trade.quantity_lots == -(-3 * taken.share_ppm // 10**6)
    assert taken.advantage_e6 == trade.quantity_lots * 224 * 10**4
    assert taken.equity_e6 == WORTH - taken.advantage_e6
    assert taken.price_e6 == -(-WORTH * taken.share_ppm // 10**6) - taken.advantage_e6
    assert bool(of(events, LiquidationEnded)) == (taken.equity_e6 >= taken.maintenance_requirement_e6)
    assert {(row.status, row.unfilled_lots) for row in of(events, OrderClosed)} == {(OrderStatus.FILLED, 0)}


def test_a_bid_is_no_last_price() -> None:
    """Nobody else could have traded at it: no trigger and no chart hears of it."""
    world = auctioned()
    last = world.state.prices.last_ticks[CALL]
    buy(world)
    assert world.state.prices.last_ticks[CALL] == last


def test_what_bidders_paid_is_not_discounted_again() -> None:
    """A second share at the same second costs the same per lot, though the account is worth more beside it."""
    world = auctioned(lots=300)
    lines = (QuoteLine(CALL, 0, 0, LOW, 300),)
    found = [trades(buy(world, share_ppm=10_000, lines=lines)) for _ in range(2)]
    assert [[(row.price_ticks, row.quantity_lots) for row in rows] for rows in found] == [[(7_224, 3)], [(7_224, 3)]]
    (row,) = world.state.liquidations.values()
    assert 0 < row.reserved_e6 < 2 * WORTH


def test_every_leg_is_cut_alike() -> None:
    """A perpetual and a call, a third of both; a leg without a line refuses all of it."""
    world = long_one(deposit=3_000 * E6)
    world.place(4, BUY, 1_500, 3, CALL)
    world.place(2, SELL, 1_500, 3, CALL)
    world.prices(58_100)
    world.clock()
    lines = (QuoteLine(CALL, 0, 0, LOW, 3), QuoteLine(PERP, HIGH, 1_000, 0, 0))
    assert refusal(buy(world, lines=lines[:1])) is ResultCode.AUCTION_LEG_NOT_COVERED
    world_lots = world.state.accounts[2].lots(PERP)
    events = buy(world, lines=lines, share_ppm=334_000)
    (taken,) = of(events, AuctionTaken)
    assert [(row.instrument, row.quantity_lots) for row in trades(events)] == [
        (CALL, -(-3 * taken.share_ppm // 10**6)),
        (PERP, -(-world_lots * taken.share_ppm // 10**6)),
    ]
    assert trades(events)[1].price_ticks <= 581_000


@pytest.mark.parametrize("seconds", [0, 100, 299])
def test_the_fund_pays_for_what_an_insolvent_portfolio_owes(seconds: int) -> None:
    """75 USDC at once, and as time goes up to 5 % of the calls' marks beside; the bidder has it in his price."""
    world = auctioned(14_000, fund=10_000)
    wait(world, seconds, 14_000)
    assert not world.state.forced.accounts
    pays(world, -3, -OWED)
    events = buy(world)
    (taken,), (paid,) = of(events, AuctionTaken), of(events, FundPaid)
    assert taken.stage is LiquidationStage.INSOLVENT
    assert paid.amount_e6 == -taken.price_e6 == OWED + taken.advantage_e6
    assert 0 <= taken.advantage_e6 <= 21 * E6
    assert (taken.advantage_e6 > 0) == (seconds > 0)
    pays(world, 0, 0)
    assert of(events, LiquidationEnded)
    assert of(events, BatchClosed)[-1].fee_e6 == -paid.amount_e6


def test_the_fund_pays_no_more_than_it_may_of_one_event() -> None:
    """What is left of the day is a third of the deficit: so much of the portfolio goes, up to a whole lot."""
    world = auctioned(14_000, fund=10_000)
    world.state.fund_day.start_e6 = 10_000 * E6
    world.state.fund_day.day = world.now_ns // (86_400 * SECOND_NS)
    world.state.fund_day.taken_e6 = 4_000 * E6 - 26 * E6
    events = buy(world)
    (taken,), (paid,) = of(events, AuctionTaken), of(events, FundPaid)
    assert 26 * E6 - 100 <= paid.amount_e6 <= 26 * E6
    assert taken.share_ppm == 26 * E6 * 10**6 // OWED
    assert world.state.accounts[POOR].lots(CALL) == -1


def test_nobody_waits_for_bids_that_the_fund_could_not_pay_for() -> None:
    """Its cap per event is below the deficit: the fund pays its part and others give way at once."""
    world = auctioned(14_000, fund=300)
    assert world.state.accounts[POOR].lots(CALL) == 0


def test_without_bids_others_pay_at_the_end_of_the_curve() -> None:
    """Five minutes later the fund pays the deficit, and the other side closes what is left."""
    world = auctioned(14_000, fund=10_000)
    wait(world, 299, 14_000)
    world.prices(call=14_000)
    events = world.clock(1)
    assert [event.amount_e6 for event in of(events, FundPaid)] == [OWED]
    assert of(events, Deleveraged)
    pays(world, 0, 0)


def test_two_auctions_of_one_command_have_names_of_their_own() -> None:
    """Bidders tell them apart, and no number is an account's."""
    world = long_one(deposit=3_000 * E6)
    world.run_cut()
    world.deposit(POOR, 3_000 * E6)
    world.run_cut()
    world.place(3, SELL, 600_000, 1_000)
    world.place(POOR, BUY, 600_000, 1_000)
    world.prices(58_100)
    events = world.clock()
    assert {event.subaccount for event in of(events, LiquidationStarted)} == {2, POOR}
    names = {row.auction for row in world.state.liquidations.values()}
    assert names == {world.state.sequence * 256, world.state.sequence * 256 + 1}


def test_a_restart_in_an_auction_changes_nothing() -> None:
    """What was paid and when it began come back; the same bid then does the same."""
    world = auctioned(lots=300)
    lines = (QuoteLine(CALL, 0, 0, LOW, 300),)
    assert trades(buy(world, share_ppm=10_000, lines=lines))
    again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert state_hash(again) == state_hash(world.state)
    other = World()
    other.state, other.now_ns, other.round, other.requests = again, world.now_ns, world.round, world.requests
    first, second = (buy(one, share_ppm=10_000, lines=lines) for one in (world, other))
    assert trades(first)
    assert first == second
    assert state_hash(again) == state_hash(world.state)


@pytest.mark.parametrize("seconds", [11, 70])
def test_behind_a_restart_nothing_is_sold_until_prices_are_fresh(seconds: int) -> None:
    """The auction's time goes on, its steps and bids wait; then both states sell at the same price."""
    world = auctioned(14_000, fund=10_000)
    again = World(config=world.state.config)
    again.state = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    again.now_ns, again.round, again.requests = world.now_ns, world.round, world.requests
    sold = []
    for one in (world, again):
        assert of(one.clock(seconds), FundPaid | Deleveraged | LiquidationEnded) == []
        assert refusal(buy(one)) is ResultCode.MARKET_REDUCE_ONLY
        for _ in range(3):
            one.prices(call=14_000)
        sold.append(buy(one))
        assert of(sold[-1], AuctionTaken)
    assert sold[0] == sold[1]
    assert state_hash(again.state) == state_hash(world.state)


def test_a_bid_comes_back_from_its_record() -> None:
    """With a fee cap beyond 64 bits and a limit below zero."""
    command = replace(offer(auctioned()), price_limit_e6=-7, last_seen_seq=9)
    assert list(unpack_commands(*pack_command(command))) == [command]
