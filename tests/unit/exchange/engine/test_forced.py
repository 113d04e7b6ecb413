"""Batches in which accounts are closed without their signature: what is in them, and by which marks they are judged."""

from collections.abc import Iterator

import pytest

from exchange.domain.commands import BatchCut, MarkRow, SetPrices
from exchange.domain.events import BatchClosed, Event, Trade
from exchange.domain.limits import LIQUIDATION_PRICE_PPM
from exchange.domain.liquidations import Deleveraged, FundPaid, LiquidationMarks
from exchange.engine import forced
from exchange.engine.config import EngineConfig
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from settlement.protocol.forced import FEE_BOUND_PPM, HIGH_PPM, PRICE_BOUND_PPM
from tests.unit.exchange.engine.liquidating import FALLEN, fall, long_one, of
from tests.unit.exchange.engine.test_deleveraging import CRASH, funded
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SELL, World


def batches_of(events: list[Event]) -> Iterator[list[Event]]:
    """What happened before each end of a batch, and what happened behind the last one."""
    content: list[Event] = []
    for event in events:
        if isinstance(event, BatchClosed):
            yield content
            content = []
        else:
            content.append(event)
    yield content


def falling() -> tuple[World, list[Event]]:
    """Account 2 was closed in part on the book, behind a trade of others in the open batch."""
    world = long_one()
    world.run_cut()
    world.prices(FALLEN)
    world.place(5, SELL, 1_500, 1, CALL)
    world.place(4, BUY, 1_500, 1, CALL)
    world.place(4, BUY, FALLEN * 10, 100)
    return world, world.clock(1)


def test_a_step_on_the_book_begins_a_batch_with_its_marks() -> None:
    """The trade before it is another batch's; the marks stand before the fills."""
    world, events = falling()
    before, behind = batches_of(events)
    assert of(before, Trade) == []
    assert [type(event) for event in behind if isinstance(event, LiquidationMarks | Trade)] == [LiquidationMarks, Trade]
    (marks,) = of(behind, LiquidationMarks)
    assert (marks.subaccount, marks.marks) == (2, ((PERP, FALLEN * 1_000),))
    assert world.state.batch.fill_count == 1


def test_steps_of_one_price_round_share_a_batch_and_the_next_round_begins_another() -> None:
    """Others may trade in it meanwhile; with other marks the leaves would be judged wrongly."""
    world, _ = falling()
    number = world.state.batch.number
    world.place(5, SELL, 1_500, 1, CALL)
    world.place(4, BUY, 1_500, 1, CALL)
    world.place(4, BUY, FALLEN * 10, 1)
    world.clock(1)
    assert world.state.batch.number == number
    assert world.state.batch.fill_count == 3
    world.place(4, BUY, FALLEN * 10 - 10, 1)
    world.prices(FALLEN - 1)
    world.clock(1)
    assert world.state.batch.number == number + 1


def test_a_step_behind_a_deposit_begins_a_batch() -> None:
    """The account's leaf before the batch would not have it; behind fills no request is taken at all."""
    world = long_one()
    world.run_cut()
    world.place(4, BUY, FALLEN * 10, 100)
    world.prices(FALLEN)
    world.deposit(2, E6)
    before, behind = batches_of(world.clock(1))
    assert (len(of(before, Trade)), len(of(behind, Trade))) == (0, 1)


def test_what_a_restored_account_does_next_is_the_next_batch_s() -> None:
    """An order of its own beside a liquidation could not be told apart by the chain."""
    world = long_one()
    world.run_cut()
    world.place(4, BUY, FALLEN * 10, 1_000)
    before, behind = batches_of(fall(world))
    assert len(of(before, Trade)) == 1
    assert of(behind, Trade) == []
    assert not world.state.accounts[2].is_in_liquidation


@pytest.mark.parametrize("money", [0, 10**6 * E6])
def test_what_others_pay_for_is_alone_in_its_batch(money: int) -> None:
    """Neither the trades before nor those behind; where nothing was paid, nothing is left of it either."""
    world = funded(money)
    world.prices(CRASH)
    world.place(5, SELL, 1_500, 1, CALL)
    world.place(4, BUY, 1_500, 1, CALL)
    before, paid, behind = batches_of(world.clock(1))
    assert of(before, Deleveraged | FundPaid) == []
    assert {type(event) for event in paid} >= {Deleveraged}
    assert of(behind, Deleveraged | FundPaid) == []
    assert not world.state.batch.has_content


def test_trades_do_not_join_a_batch_that_nobody_paid_into() -> None:
    """Losers are spared: nobody gives way, and a second later the trades of others are cut off first."""
    world = funded()
    world.state.accounts[3].positions[PERP].cost_e6 = -1_000 * 40_000 * 1_000
    world.state.accounts[3].perpetual_cost_e6 = -1_000 * 40_000 * 1_000
    fall(world, CRASH)
    assert world.state.forced.batch == 0


def test_the_shipped_rules_lie_within_what_the_chain_allows() -> None:
    """A bracket above the chain's bound would stop the settler at the first honest liquidation."""
    config = EngineConfig()
    brackets = [*config.margin.large_cap_tiers, *config.margin.major_tiers]
    assert max(row.maintenance_ppm for row in brackets) < HIGH_PPM
    assert config.liquidation.fee_ppm < FEE_BOUND_PPM
    assert LIQUIDATION_PRICE_PPM == PRICE_BOUND_PPM


def test_the_worst_price_is_rounded_toward_the_mark() -> None:
    """5 % of 58,100 USDC, in ticks of 0.1; the chain would refuse the next tick."""
    world, _ = falling()
    instrument = world.state.instruments[PERP]
    lowest, highest = (forced.worst_ticks(world.state, instrument, is_sell=is_sell) for is_sell in (True, False))
    assert (lowest, highest) == (551_950, 610_050)


def test_the_open_batch_s_marks_survive_a_restart() -> None:
    """A step after it goes into the same batch as without it."""
    world, _ = falling()
    again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert again.forced == world.state.forced
    assert again.forced.accounts == [2]
    assert state_hash(again) == state_hash(world.state)
    world.run(BatchCut())


@pytest.mark.parametrize(
    ("mark_e9", "mark_e6", "lowest", "highest"),
    [
        (60_000_000_000_000, 60_000_000, 570_000, 630_000),
        (60_000_000_000_999, 60_000_000, 570_000, 630_000),
        (60_000_100_000_000, 60_000_100, 570_001, 630_001),  # 570,000.95 and 630,001.05
        (59_999_999_999_999, 59_999_999, 570_000, 629_999),
    ],
)
def test_marks_are_rounded_down_and_worst_prices_toward_them(
    mark_e9: int, mark_e6: int, lowest: int, highest: int
) -> None:
    """As a round publishes them; no tick is beyond what the chain takes."""
    world = World().open()
    world.run(SetPrices(round=world.round + 1, underlyings=(), marks=(MarkRow(PERP, mark_e9),)))
    perpetual = world.state.instruments[PERP]
    assert forced.mark_e6(world.state, perpetual) == mark_e6
    assert forced.worst_ticks(world.state, perpetual, is_sell=True) == lowest
    assert forced.worst_ticks(world.state, perpetual, is_sell=False) == highest
