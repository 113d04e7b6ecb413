"""Funding: accrues per second on the index, moves at rounds, is charged at a touch, and sums to zero to the unit."""

import msgspec
import pytest

from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import ChainRequestKind, SetPrices, UnderlyingRow
from exchange.domain.events import BatchClosed, CashMoved, CommandRefused, Event, RequestApplied, Trade
from exchange.domain.ids import CLEARING_ACCOUNT
from exchange.domain.limits import MAX_FUNDING_INDEX_E12
from exchange.domain.result_codes import ResultCode
from exchange.domain.rounds import FundingPaid, FundingRow, OracleRound
from exchange.domain.views import AccountView, GetAccount
from exchange.engine.funding import fund_index_e12, pending_e18
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SECOND_NS, SELL, World, owner, refusal, trades

RATE_E9 = 28_800_000
"""Per second and 8 hours: 0.0288 / 28,800 = 1e-6 of the index, 0.06 USDC per unit at 60,000."""
STEP_E12 = 60_000_000
"""Of a lot of 0.001 in a second: 0.00006 USDC."""
TICK_NS = 1_000_000


def ready(*, lots: int = 100) -> World:
    """Account 2 is long and 3 short `lots` at the mark; funding runs since the last command."""
    world = World().open(accounts=4)
    world.place(2, BUY, 600_000, lots)
    world.place(3, SELL, 600_000, lots)
    funding(world)
    return world


def funding(world: World, rate_e9: int = RATE_E9, *, after_ns: int = TICK_NS) -> list[Event]:
    """A round with a rate for the perpetual."""
    number = world.state.oracle_round + 1
    return world.run(OracleRound(round=number, funding=(FundingRow(PERP, rate_e9),)), after_ns=after_ns)


def index(world: World, price: int, *, after_ns: int) -> list[Event]:
    """A round of index prices alone."""
    world.round += 1
    row = UnderlyingRow("BTC", price * 10**9)
    return world.run(SetPrices(round=world.round, underlyings=(row,)), after_ns=after_ns)


def paid(events: list[Event]) -> list[tuple[int, int]]:
    """Account and amount of every charge."""
    return [(event.subaccount, event.amount_e6) for event in events if isinstance(event, FundingPaid)]


def view(world: World, account: int) -> AccountView:
    """An account as it is shown."""
    found = answer(world.state, GetAccount(subaccount=account))
    assert isinstance(found, AccountView)
    return found


def test_nothing_accrues_on_a_stale_index() -> None:
    """An index older than ten seconds says nothing about what is owed."""
    world = ready()
    index(world, 60_000, after_ns=11 * SECOND_NS)
    funding(world, after_ns=0)
    assert fund_index_e12(world.state, PERP) == 0


def test_nothing_accrues_over_a_gap_of_more_than_thirty_seconds() -> None:
    """Even where the index would be allowed to be older."""
    config = msgspec.structs.replace(World().state.config, index_life_ns=1 << 62)
    world = World(config=config).open()
    funding(world)
    index(world, 60_000, after_ns=30 * SECOND_NS + 1)
    funding(world, after_ns=0)
    assert fund_index_e12(world.state, PERP) == 0
    index(world, 60_000, after_ns=30 * SECOND_NS)
    funding(world, after_ns=0)
    assert fund_index_e12(world.state, PERP) == 30 * STEP_E12


def test_nothing_accrues_in_a_call_auction() -> None:
    """Nobody can act on a price in a call."""
    world = ready()
    world.run(SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=world.now_ns + 60 * SECOND_NS), after_ns=0)
    funding(world, after_ns=SECOND_NS)
    assert fund_index_e12(world.state, PERP) == 0


def test_an_index_that_would_leave_its_leaf_stands_still() -> None:
    """What a leaf cannot hold does not accrue."""
    world = ready()
    world.state.funding[PERP].accrued_e12 = MAX_FUNDING_INDEX_E12 - STEP_E12 + 1
    funding(world, after_ns=SECOND_NS)
    assert fund_index_e12(world.state, PERP) == MAX_FUNDING_INDEX_E12 - STEP_E12 + 1


@pytest.mark.parametrize(
    ("rate_e9", "after_ns", "index_e12"),
    [
        (RATE_E9, SECOND_NS, STEP_E12),
        (-RATE_E9, SECOND_NS, -STEP_E12),
        (RATE_E9, 1_000, 60),
        (1, 1_000, 0),
        (-1, 1_000, 0),
        (7, 3 * SECOND_NS, 43),
        (-7, 3 * SECOND_NS, -43),
    ],
)
def test_the_index_moves_by_rate_price_and_time(rate_e9: int, after_ns: int, index_e12: int) -> None:
    """rate x index x lot x seconds / 28,800 in 1e-12 USDC, truncated toward zero on both sides."""
    world = World().open()
    funding(world, rate_e9)
    funding(world, 0, after_ns=after_ns)
    assert fund_index_e12(world.state, PERP) == index_e12


def test_each_price_counts_for_as_long_as_it_held() -> None:
    """Two seconds at 60,000 and one at 30,000; a new rate counts from its round on."""
    world = World().open()
    funding(world)
    index(world, 30_000, after_ns=2 * SECOND_NS)
    funding(world, 2 * RATE_E9, after_ns=SECOND_NS)
    assert fund_index_e12(world.state, PERP) == 2 * STEP_E12 + STEP_E12 // 2
    funding(world, 0, after_ns=SECOND_NS)
    assert fund_index_e12(world.state, PERP) == 2 * STEP_E12 + STEP_E12 // 2 + STEP_E12


def test_prices_alone_charge_nobody() -> None:
    """What accrues is due with the next round only."""
    world = ready()
    index(world, 60_000, after_ns=SECOND_NS)
    assert world.state.funding[PERP].accrued_e12 == STEP_E12
    assert pending_e18(world.state, world.state.accounts[2], PERP) == 0
    funding(world, after_ns=0)
    assert pending_e18(world.state, world.state.accounts[2], PERP) == -100 * STEP_E12 * E6


def test_an_untouched_account_owes_and_its_equity_shows_it() -> None:
    """Ledger cash stays, equity and what may be withdrawn count the funding due, the other side's too."""
    world = ready()
    before = [view(world, account) for account in (2, 3)]
    funding(world, after_ns=SECOND_NS)
    after = [view(world, account) for account in (2, 3)]
    assert [row.ledger_cash_e6 for row in after] == [row.ledger_cash_e6 for row in before]
    assert [new.equity_e6 - old.equity_e6 for new, old in zip(after, before, strict=True)] == [-6_000, 6_000]
    assert [row.positions[0].pending_funding_e6 for row in after] == [-6_000, 6_000]
    assert [row.initial_requirement_e6 for row in after] == [row.initial_requirement_e6 for row in before]
    assert [row.open_orders_requirement_e6 for row in after] == [0, 0]


def test_a_fill_charges_both_parties_before_it_is_booked() -> None:
    """On what they held, ahead of the trade, the maker first; the clearing account has the opposite."""
    world = ready()
    world.place(2, SELL, 600_000, 40)
    funding(world, after_ns=SECOND_NS - TICK_NS)
    events = world.place(3, BUY, 600_000, 40)
    kinds = [type(event) for event in events if isinstance(event, FundingPaid | Trade)]
    assert kinds == [FundingPaid, FundingPaid, Trade]
    assert paid(events) == [(2, -6_000), (3, 6_000)]
    assert world.state.accounts[CLEARING_ACCOUNT].ledger_cash_e6 == 0
    (trade,) = trades(events)
    charge = next(event for event in events if isinstance(event, FundingPaid))
    assert (charge.position_lots, charge.index_e12) == (100, fund_index_e12(world.state, PERP))
    assert trade.maker.account_seq == charge.account_seq + 1
    assert view(world, 2).positions[0].funding_e6 == -6_000
    assert view(world, 2).positions[0].pending_funding_e6 == 0


def test_a_second_touch_charges_nothing() -> None:
    """Until the next round."""
    world = ready()
    funding(world, after_ns=SECOND_NS)
    world.place(2, SELL, 600_000, 40)
    assert len(paid(world.place(3, BUY, 600_000, 20))) == 2
    assert paid(world.place(3, BUY, 600_000, 20)) == []


def test_a_position_pays_from_the_last_round_on() -> None:
    """Opened between two rounds it owes nothing for the time before the first."""
    world = ready()
    funding(world, after_ns=SECOND_NS)
    world.place(4, SELL, 600_000, 10)
    assert paid(world.place(5, BUY, 600_000, 10)) == []
    funding(world, after_ns=SECOND_NS - 2 * TICK_NS)
    assert pending_e18(world.state, world.state.accounts[5], PERP) == -10 * STEP_E12 * E6


def test_funding_of_a_closed_position_is_forgotten() -> None:
    """A new position counts its own."""
    world = ready()
    funding(world, after_ns=SECOND_NS)
    world.place(2, SELL, 600_000, 100)
    world.place(3, BUY, 600_000, 100)
    assert view(world, 2).positions == ()
    world.place(2, SELL, 600_000, 5)
    world.place(3, BUY, 600_000, 5)
    assert view(world, 2).positions[0].funding_e6 == 0


def test_rounding_goes_against_whoever_pays_or_gets() -> None:
    """A longest side of odd lots: three charges, and the clearing account keeps what rounding left."""
    world = World().open(accounts=4)
    world.place(2, BUY, 600_000, 1)
    world.place(4, BUY, 600_000, 2)
    world.place(3, SELL, 600_000, 3)
    funding(world, 7)
    funding(world, 0, after_ns=3 * SECOND_NS)
    assert fund_index_e12(world.state, PERP) == 43
    charges = [paid(world.request(ChainRequestKind.CANCEL_ALL, account)) for account in (2, 3, 4)]
    assert charges == [[(2, -1)], [(3, 0)], [(4, -1)]]
    assert world.state.accounts[CLEARING_ACCOUNT].ledger_cash_e6 == 2
    assert sum(account.ledger_cash_e6 for account in world.state.accounts.values()) == world.state.collateral_e6


@pytest.mark.parametrize("kind", [*ChainRequestKind])
def test_every_request_of_the_chain_charges_its_account(kind: ChainRequestKind) -> None:
    """The batch lists it, so the chain charges it too; before the request takes effect."""
    world = ready()
    funding(world, after_ns=SECOND_NS)
    fields = {"amount_e6": 1} if kind in (ChainRequestKind.DEPOSIT, ChainRequestKind.WITHDRAW) else {}
    events = world.request(kind, 2, owner=owner(2), **fields)
    assert paid(events) == [(2, -6_000)]
    assert isinstance(events[0], FundingPaid)
    assert isinstance(next(event for event in reversed(events) if not isinstance(event, BatchClosed)), RequestApplied)


def test_a_refused_request_charges_nobody() -> None:
    """It never happened."""
    world = ready()
    funding(world, after_ns=SECOND_NS)
    events = world.request(ChainRequestKind.DEPOSIT, 2, amount_e6=-1)
    assert [type(event) for event in events] == [CommandRefused]


def test_a_withdrawal_gives_what_is_left_after_funding() -> None:
    """All that account 4 may take out shrinks by what it owes, and no unit more."""
    amounts = []
    for seconds in (0, 9):
        world = World().open(accounts=4)
        world.place(4, BUY, 600_000, 100)
        world.place(3, SELL, 600_000, 100)
        funding(world)
        index(world, 60_000, after_ns=seconds * SECOND_NS + 1)
        funding(world, after_ns=0)
        events = world.request(ChainRequestKind.WITHDRAW, 4, amount_e6=10**15)
        amounts += [event.amount_e6 for event in events if isinstance(event, CashMoved)]
    assert amounts[1] - amounts[0] == 54_000


def accepts(lots: int, *, seconds: int) -> bool:
    """Whether account 4, long 40 units at nearly all its margin, may buy `lots` calls when it owes so much funding."""
    world = World().open()
    world.place(4, BUY, 600_000, 40_000)
    world.place(3, SELL, 600_000, 40_000)
    funding(world)
    index(world, 60_000, after_ns=seconds * SECOND_NS // 2)
    funding(world, after_ns=seconds * SECOND_NS // 2)
    return refusal(world.place(4, BUY, 1, lots, CALL)) is ResultCode.OK


def test_margin_counts_what_is_due() -> None:
    """The largest order that is affordable is refused when its account owes funding (38 USDC)."""
    most, too_many = 0, 1 << 20
    while too_many - most > 1:
        middle = (most + too_many) // 2
        most, too_many = (middle, too_many) if accepts(middle, seconds=0) else (most, middle)
    assert 10_000 < most < 1 << 20
    assert not accepts(most, seconds=16)
    assert accepts(most - 300, seconds=16)


def test_many_rounds_sum_to_zero_to_the_unit() -> None:
    """After every account was touched only rounding is left: less than a unit for each charge."""
    world = ready(lots=77)
    world.place(4, BUY, 600_000, 13)
    world.place(5, SELL, 600_000, 13)
    charges = 0
    for turn in range(12):
        funding(world, (-1) ** turn * (RATE_E9 // 7 + turn), after_ns=SECOND_NS // 3)
        world.place(2 + turn % 2, (BUY, SELL)[turn % 2], 600_000, 3)
        events = world.place(3 - turn % 2, (SELL, BUY)[turn % 2], 600_000, 3)
        charges += len(paid(events))
    world.run_cut()
    for account in (2, 3, 4, 5):
        charges += len(paid(world.request(ChainRequestKind.CANCEL_ALL, account)))
    assert charges > 20
    assert 0 <= world.state.accounts[CLEARING_ACCOUNT].ledger_cash_e6 < charges


def test_a_fill_that_closes_the_batch_charges_in_the_next_one() -> None:
    """BatchClosed comes first: the ledger of the new batch charges the same accounts."""
    config = msgspec.structs.replace(World().state.config, batch_accounts_max=2)
    world = World(config=config).open(accounts=4)
    world.place(2, BUY, 600_000, 10)
    world.place(3, SELL, 600_000, 10)
    funding(world)
    funding(world, after_ns=SECOND_NS)
    world.place(4, BUY, 600_000, 10)
    world.place(5, SELL, 600_000, 10)
    world.place(2, SELL, 600_000, 5)
    kinds = [type(event) for event in world.place(3, BUY, 600_000, 5)]
    wanted = [kind for kind in kinds if kind in (BatchClosed, FundingPaid, Trade)]
    assert wanted == [BatchClosed, FundingPaid, FundingPaid, Trade]


def test_a_snapshot_keeps_what_accrued_and_what_is_due() -> None:
    """Loaded, the state has the same hash and charges the same."""
    world = ready()
    index(world, 61_000, after_ns=SECOND_NS)
    funding(world, after_ns=SECOND_NS)
    index(world, 61_000, after_ns=SECOND_NS)
    again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert state_hash(again) == state_hash(world.state)
    hashes = []
    for state in (world.state, again):
        other = World()
        other.state, other.now_ns, other.requests = state, world.now_ns, world.state.request_index
        other.place(2, SELL, 600_000, 40)
        assert paid(other.place(3, BUY, 600_000, 40)) == [(2, -12_100), (3, 12_100)]
        hashes.append(state_hash(state))
    assert hashes[0] == hashes[1]
