"""Ranks of positions: who would give way first, and what a question may cost."""

import pytest

from exchange.domain.views import AccountView, GetAccount
from exchange.engine import deleveraging_ranks as module
from exchange.engine.deleveraging_ranks import RANKS, deleveraging_ranks
from exchange.engine.queries import answer
from exchange.engine.state_hash import state_hash
from tests.unit.exchange.engine.test_liquidation import fall, join, long_one
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
