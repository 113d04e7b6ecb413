"""Ranks of positions: who would give way first, and what a question may cost."""

import pytest

from exchange.domain.commands import Clock, MarkRow, SetPrices
from exchange.domain.views import AccountView, GetAccount
from exchange.engine import deleveraging_ranks as module
from exchange.engine.deleveraging_ranks import RANKS, deleveraging_ranks
from exchange.engine.funding import pending_e18
from exchange.engine.queries import answer
from exchange.engine.state_hash import state_hash
from tests.unit.exchange.engine.liquidating import fall, join, long_one
from tests.unit.exchange.engine.test_funding import funding, index
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SECOND_NS, SELL, World


def shorts(*deposits: int) -> World:
    """Accounts 6, 7, ... are short a unit each since 60,000, with so much money, and the mark fell."""
    world = long_one()
    for place, amount in enumerate(deposits):
        join(world, 6 + place, amount * E6)
        world.place(4, BUY, 600_000, 1_000)
        world.place(6 + place, SELL, 600_000, 1_000)
    world.prices(59_000)
    return world


def rank(world: World, account: int, instrument: int = PERP) -> int:
    """Rank of a position as the owner reads it."""
    view = answer(world.state, GetAccount(subaccount=account))
    assert isinstance(view, AccountView)
    (found,) = [row.adl_rank for row in view.positions if row.instrument == instrument]
    return found


def test_more_leverage_on_the_winning_side_is_reduced_first() -> None:
    """Four shorts of one size and profit, and account 3 with a million: the poorest has 5, the richest 1."""
    world = shorts(3_000, 10_000, 30_000, 100_000)
    assert [rank(world, account) for account in (6, 7, 8, 9, 3)] == [5, 4, 3, 2, 1]


def test_who_makes_no_profit_is_reduced_last() -> None:
    """Those on the losing side have 1, and a position without profit has none to give."""
    world = shorts(3_000)
    assert rank(world, 2) == rank(world, 4) == 1
    world.prices(61_000)
    world.now_ns += 10 * SECOND_NS
    world.clock()
    assert rank(world, 6) == 1


def test_an_account_in_liquidation_has_the_last_rank() -> None:
    """It gives way in another line, and nobody is compared with it."""
    world = shorts(3_000)
    fall(world)
    assert world.state.accounts[2].is_in_liquidation
    assert rank(world, 2) == 1


def test_a_rank_is_as_old_as_the_table_at_most() -> None:
    """Others' weights are kept for five seconds of journaled time, one's own is of the moment."""
    world = shorts(3_000, 100_000)
    assert (rank(world, 6), rank(world, 7)) == (5, 4)
    world.run_cut()
    world.deposit(6, 10**7 * E6)
    assert (rank(world, 6), rank(world, 7)) == (2, 4)
    world.clock(5)
    assert (rank(world, 6), rank(world, 7)) == (2, 5)


def test_a_question_takes_few_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one question leaves over is unknown (0) until the next."""
    monkeypatch.setattr(module, "_TABLES_PER_QUESTION", 2)
    world = long_one()
    for instrument, price in ((CALL, 1_500), (PUT, 800)):
        world.place(4, SELL, price, 10, instrument)
        world.place(3, BUY, price, 10, instrument)
    first = deleveraging_ranks(world.state, world.state.accounts[3])
    assert [first[number] > 0 for number in sorted(first)] == [True, True, False]
    assert all(0 < row <= RANKS for row in deleveraging_ranks(world.state, world.state.accounts[3]).values())


def test_a_large_side_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of five: the ranks are of three at most, and the heaviest still knows that he is."""
    monkeypatch.setattr(module, "_SAMPLE", 2)
    world = shorts(3_000, 10_000, 30_000, 100_000)
    assert rank(world, 6) == 5
    (table,) = world.state.rank_tables.values()
    assert [index for index, _ in table.weights] == [3, 8]


def test_questions_leave_the_state_as_it_was() -> None:
    """The tables are a cache: the hash does not know them."""
    world = shorts(3_000)
    before = state_hash(world.state)
    rank(world, 6)
    assert world.state.rank_tables
    assert state_hash(world.state) == before


def test_weights_are_exact() -> None:
    """1,000 lots x profit / equity, a thousandth of a unit above 59,000, funding counted; both rounded down."""
    world = shorts(3_000)
    funding(world)
    index(world, 59_000, after_ns=5 * SECOND_NS)
    funding(world)
    world.round += 1
    world.run(SetPrices(round=world.round, marks=(MarkRow(PERP, 59_000 * 10**9 + 1),)))
    rank(world, 6)
    due_e6 = pending_e18(world.state, world.state.accounts[6], PERP) // 10**12
    assert due_e6 > 0
    table = world.state.rank_tables[PERP, False]
    # Taken since 60,000 for a fee of 18; the mark's last digit takes a unit from profit and equity.
    profit_e6, equity_e6 = 1_000 * E6 - 1, 3_982 * E6 + due_e6 - 1
    assert dict(table.weights)[6] == 1_000 * profit_e6 * 10**18 // equity_e6


def test_the_first_user_is_compared_too() -> None:
    """Above 60,000 accounts 2 and 4 win: the one with 3,000 gives way before the one with a million."""
    world = shorts(3_000)
    world.prices(61_000)
    assert [rank(world, account) for account in (2, 4)] == [5, 3]


def test_one_lot_has_a_side() -> None:
    """It stands in the table of the longs."""
    world = long_one(1)
    world.prices(61_000)
    assert rank(world, 2) == 5
    assert [index for index, _ in world.state.rank_tables[PERP, True].weights] == [2]
    assert rank(world, 3) == 1
    assert [index for index, _ in world.state.rank_tables[PERP, False].weights] == [3]


def test_a_table_of_five_seconds_is_taken_again() -> None:
    """To the nanosecond; one nanosecond earlier it is the same."""
    world = shorts(3_000)
    rank(world, 6)
    first = world.state.rank_tables[PERP, False]
    world.run(Clock(), after_ns=5 * SECOND_NS - 1)
    rank(world, 6)
    assert world.state.rank_tables[PERP, False] is first
    world.run(Clock(), after_ns=1)
    rank(world, 6)
    assert world.state.rank_tables[PERP, False].taken_ns == first.taken_ns + 5 * SECOND_NS
