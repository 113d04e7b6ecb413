"""CLOSE_ALL of the contract's queue: what waits, what is left alone, what the fund takes and what that costs it."""

import pytest

from exchange.domain.commands import ChainRequestKind, SetPrices, UnderlyingRow
from exchange.domain.events import BatchClosed, CommandRefused, Event, RequestApplied
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.result_codes import ResultCode
from exchange.domain.rounds import AccountTakenOver, FundingPaid, FundingRow, OracleRound
from exchange.engine import fund
from exchange.engine.funding import pending_e18
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SELL, World, owner, refusal, trades

CLOSE_ALL = ChainRequestKind.CLOSE_ALL
LONG, SHORT, OTHER = 2, 3, 4


def ready(*, lots: int = 100, calls: int = 0, deposit: int = 100_000 * E6) -> World:
    """Account 2 is long and 3 short `lots` of the perpetual (0.001 BTC each); account 3 sold `calls` to 2."""
    world = World().open(accounts=4, deposit=deposit)
    world.place(LONG, BUY, 600_000, lots)
    world.place(SHORT, SELL, 600_000, lots)
    if calls:
        world.place(LONG, BUY, 1_500, calls, CALL)
        world.place(SHORT, SELL, 1_500, calls, CALL)
    funding_round(world)
    return world


def funding_round(world: World) -> list[Event]:
    """A round: a rate for the perpetual, and everything that accrued is published."""
    number = world.state.oracle_round + 1
    return world.run(OracleRound(round=number, funding=(FundingRow(PERP, 28_800_000),)))


def taken_over(events: list[Event]) -> AccountTakenOver:
    """The one report."""
    (found,) = (event for event in events if isinstance(event, AccountTakenOver))
    return found


def names(events: list[Event]) -> list[str]:
    """Kinds of events, in order."""
    return [type(event).__name__ for event in events]


def halted(world: World) -> None:
    """The index has no price."""
    world.round += 1
    row = UnderlyingRow("BTC", 0, 0, is_halted=True)
    world.run(SetPrices(round=world.round, underlyings=(row,)))


@pytest.mark.parametrize("reason", ["no round", "halted", "stale"])
def test_nobody_closes_without_a_fresh_price(reason: str) -> None:
    """The request is refused, nothing is consumed, and with prices the same request is taken."""
    world = World().open() if reason == "no round" else ready()
    if reason == "halted":
        halted(world)
    elif reason == "stale":
        world.clock(10_000)
    before = world.state.request_index
    world.run_cut()
    (refused,) = (event for event in world.request(CLOSE_ALL, LONG) if isinstance(event, CommandRefused))
    assert (refused.code, refused.detail) == (ResultCode.REQUEST_WAITS_FOR_PRICES, LONG)
    assert world.state.request_index == before
    world.prices()
    world.later(60)
    funding_round(world)
    assert not [event for event in world.request(CLOSE_ALL, LONG) if isinstance(event, CommandRefused)]


def test_an_account_with_too_little_equity_is_left_to_liquidation() -> None:
    """Below 2 % of the gross value at the marks it keeps all; the marks are told, because the chain judges by them."""
    world = ready(lots=2_000, deposit=12_000 * E6)
    world.prices(54_600)
    world.run_cut()
    event = taken_over(world.request(CLOSE_ALL, LONG))
    assert (event.taken, event.amount_e6) == ((), 0)
    assert event.marks == ((PERP, 54_600_000),)
    assert world.state.accounts[LONG].lots(PERP) == 2_000
    assert world.state.accounts[LONG].is_close_all_requested


def test_the_fund_takes_everything_at_the_marks_less_one_percent() -> None:
    """A long gets 1 % less, a short pays 1 % more; cash and positions move to the fund, orders are canceled."""
    world = ready(calls=10)
    world.place(LONG, BUY, 500_000, 1)
    world.prices(61_000, call=1_600)
    world.run_cut()
    long_cash, fund_cash = world.state.accounts[LONG].ledger_cash_e6, world.state.accounts[FUND_ACCOUNT].ledger_cash_e6
    event = taken_over(world.request(CLOSE_ALL, LONG))
    got = {row.instrument: (row.position_lots, row.amount_e6) for row in event.taken}
    unit = world.state.instruments[CALL].lot_e9
    assert got == {CALL: (10, 1_600 * unit * 10 * 99 // 10**5), PERP: (100, 6_039 * E6)}
    assert world.state.accounts[LONG].ledger_cash_e6 - long_cash == event.amount_e6
    assert fund_cash - world.state.accounts[FUND_ACCOUNT].ledger_cash_e6 == event.amount_e6
    assert not world.state.accounts[LONG].positions
    assert not world.state.live_orders(LONG)
    assert world.state.accounts[FUND_ACCOUNT].lots(PERP) == 100
    world.run_cut()
    shorts = taken_over(world.request(CLOSE_ALL, SHORT))
    assert sum(row.amount_e6 for row in shorts.taken if row.instrument == PERP) == -6_161 * E6
    assert not world.state.accounts[FUND_ACCOUNT].positions  # one closed against the other


def test_a_closing_is_a_batch_alone() -> None:
    """What came before is another batch, and so is what comes next: a batch takes one, at the marks of its round."""
    world = ready()
    world.run_cut()
    world.deposit(OTHER, 5 * E6)
    events = world.request(CLOSE_ALL, LONG)
    kinds = [name for name in names(events) if name in {"BatchClosed", "RequestApplied", "AccountTakenOver"}]
    assert kinds == ["BatchClosed", "AccountTakenOver", "RequestApplied", "BatchClosed"]
    assert not world.state.batch.has_content


def test_an_account_without_positions_is_closed_too() -> None:
    """There is nothing to take; the queue goes on."""
    world = ready()
    world.run_cut()
    events = world.request(CLOSE_ALL, OTHER)
    assert taken_over(events).taken == ()
    assert [event.index for event in events if isinstance(event, RequestApplied)] == [world.state.request_index]


def test_the_fund_pays_funding_with_the_first_content_behind_a_round() -> None:
    """The chain charges it in every batch: not before there is one, and not twice."""
    world = ready()
    world.run_cut()
    world.request(CLOSE_ALL, LONG)
    world.later(60)
    world.prices()
    assert not [event for event in funding_round(world) if isinstance(event, FundingPaid)]
    assert fund.is_due(world.state)
    world.place(OTHER, BUY, 600_000, 1)
    events = world.place(SHORT, SELL, 600_000, 1)
    assert trades(events)
    assert FUND_ACCOUNT in [event.subaccount for event in events if isinstance(event, FundingPaid)]
    assert not fund.is_due(world.state)
    assert pending_e18(world.state, world.state.accounts[FUND_ACCOUNT], PERP) == 0


def test_one_position_that_owes_funding_is_enough() -> None:
    """Options owe none, and do not hide it; who closes the other side meets a fund that has paid."""
    world = ready(calls=3)
    world.run_cut()
    world.request(CLOSE_ALL, LONG)
    assert {PERP, CALL} <= set(world.state.accounts[FUND_ACCOUNT].positions)
    assert not fund.is_due(world.state)
    world.later(60)
    funding_round(world)
    assert fund.is_due(world.state)
    events = world.request(CLOSE_ALL, SHORT)
    paid = [event.subaccount for event in events if isinstance(event, FundingPaid)]
    assert paid.count(FUND_ACCOUNT) == 1
    assert names(events).index("FundingPaid") < names(events).index("AccountTakenOver")


def test_what_the_fund_may_pay_is_its_worth() -> None:
    """Cash that belongs to a position is not there for others, and no rebate is paid out of it."""
    world = ready()
    world.run_cut()
    world.request(ChainRequestKind.DEPOSIT, FUND_ACCOUNT, amount_e6=50_000 * E6, owner=owner(FUND_ACCOUNT))
    assert fund.rebate_room_e6(world.state) >= 50_000 * E6
    world.run_cut()
    world.request(CLOSE_ALL, SHORT)
    cash = world.state.accounts[FUND_ACCOUNT].ledger_cash_e6
    assert cash > 55_000 * E6  # it got what the short owed
    assert fund.worth_e6(world.state) == cash - 6_000 * E6
    assert fund.rebate_room_e6(world.state) == 0
    world.prices(61_000)
    assert fund.worth_e6(world.state) == cash - 6_100 * E6


def test_a_restart_knows_what_the_fund_holds() -> None:
    """Snapshot and hash have it like anybody's position."""
    world = ready(calls=3)
    world.run_cut()
    world.request(CLOSE_ALL, LONG)
    restored = load(dump(world.state), OrderBook)
    assert state_hash(restored) == state_hash(world.state)
    assert restored.accounts[FUND_ACCOUNT].lots(CALL) == 3


def test_orders_older_than_the_request_are_refused() -> None:
    """As with CANCEL_ALL: the chain takes no fill of them."""
    world = ready()
    old = world.now_ns
    world.run_cut()
    assert [event for event in world.request(CLOSE_ALL, LONG) if isinstance(event, BatchClosed)]
    assert refusal(world.place(LONG, BUY, 500_000, 1, nonce=old)) is ResultCode.NONCE_OUTSIDE_WINDOW
