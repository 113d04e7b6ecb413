"""Average cost, realized profit, shown and ledger cash."""

import pytest
from msgspec.structs import replace

from exchange.domain.commands import ListInstrument
from exchange.engine.booking import move_position
from exchange.engine.records import Position
from tests.unit.exchange.engine.world import BUY, E6, PERP, SELL, World, instruments, trades

# position lots, cost   trade lots, notional   then lots, cost, realized
MOVES = [
    ((0, 0), (3, 300), (3, 300, 0)),
    ((3, 300), (2, 260), (5, 560, 0)),
    ((3, 300), (-1, -120), (2, 200, 20)),
    ((3, 100), (-1, -40), (2, 66, 6)),
    ((-3, -100), (1, 30), (-2, -67, 3)),
    ((3, 300), (-3, -240), (0, 0, -60)),
    ((3, 300), (-5, -500), (-2, -200, 0)),
    ((-2, -200), (4, 480), (2, 240, -40)),
]


@pytest.mark.parametrize(("before", "trade", "after"), MOVES)
def test_moves_at_average_cost(before: tuple[int, int], trade: tuple[int, int], after: tuple[int, int, int]) -> None:
    """A reduction realizes its part of the cost, an odd part rounds against the account, a turn starts anew."""
    position = Position(lots=before[0], cost_e6=before[1])
    realized = move_position(position, delta_lots=trade[0], notional_e6=trade[1])
    assert (position.lots, position.cost_e6, realized) == after


def test_round_trip_in_printed_numbers() -> None:
    """Buy 0.1 BTC at 60,000, sell it at 61,000: 100 profit, fees 0.6 as maker and 1.8 as taker, cash agrees."""
    world = World().open()
    world.place(2, BUY, 600_000, 100)
    bought = trades(world.place(3, SELL, 600_000, 100))[0]
    assert (bought.maker.ledger_cash_e6, bought.maker.cash_e6) == (93_999_400_000, 99_999_400_000)
    world.place(4, BUY, 610_000, 100)
    sold = trades(world.place(2, SELL, 610_000, 100))[0]
    assert (sold.taker.realized_pnl_e6, sold.taker.fee_e6, sold.taker.position_lots) == (100 * E6, 1_800_000, 0)
    assert sold.taker.cash_e6 == sold.taker.ledger_cash_e6 == 100_000 * E6 + 100 * E6 - 600_000 - 1_800_000
    assert PERP not in world.state.accounts[2].positions
    assert world.state.accounts[0].ledger_cash_e6 == 4_800_000


def test_a_position_that_turns_is_a_new_one() -> None:
    """Its age starts with the trade that took it through zero."""
    world = World().open()
    world.place(2, BUY, 600_000, 100)
    world.place(3, SELL, 600_000, 100)
    opened_ns = world.now_ns
    world.place(4, BUY, 600_000, 150)
    world.place(2, SELL, 600_000, 50)
    assert world.state.accounts[2].positions[PERP].opened_ns == opened_ns
    world.place(2, SELL, 600_000, 100)
    position = world.state.accounts[2].positions[PERP]
    assert (position.lots, position.opened_ns) == (-50, world.now_ns)


def test_a_rebate_never_passes_what_the_fund_holds() -> None:
    """The fund pays rebates out of fees; a taker whose signature allows no fee leaves nothing to pay with."""
    world = World()
    for instrument in instruments():
        world.run(ListInstrument(instrument=replace(instrument, maker_fee_ppm=-100)))
    world.prices()
    for account in (2, 3):
        world.deposit(account, 100_000 * E6)
    world.place(2, BUY, 600_000, 100)
    unpaid = trades(world.place(3, SELL, 600_000, 50, max_fee_e18=0))[0]
    assert (unpaid.maker.fee_e6, unpaid.taker.fee_e6) == (0, 0)
    paid = trades(world.place(3, SELL, 600_000, 50))[0]
    assert (paid.maker.fee_e6, paid.taker.fee_e6) == (-300_000, 900_000)
    assert world.state.accounts[0].ledger_cash_e6 == 600_000
