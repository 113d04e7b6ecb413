"""Open interest as everybody sees it, counted from events."""

import pytest
from msgspec import structs

from exchange.domain.liquidations import Deleveraged, DeleveragedSide
from exchange.domain.market_limits import GetOpenInterest, OpenInterestView
from exchange.domain.rounds import PositionExpired
from exchange.engine.queries import answer
from exchange.gateway.open_interest import OpenInterest
from tests.unit.exchange.engine.world import BUY, PERP, SELL, World

STEPS = [(3, SELL, 2, BUY, 5), (2, SELL, 4, BUY, 3), (3, BUY, 2, SELL, 4), (4, SELL, 3, BUY, 6)]
"""Maker and its side, taker and its side, lots: openings, a position that changes hands, turns."""


@pytest.mark.parametrize("loaded_at", range(len(STEPS) + 1))
@pytest.mark.parametrize("arrives_at", range(len(STEPS) + 1))
def test_events_add_up_wherever_the_answer_comes(loaded_at: int, arrives_at: int) -> None:
    """The engine answers at one command, the answer arrives behind the events of later ones; nothing counts twice."""
    world, seen, rows = World().open(), OpenInterest(), None
    for number in range(len(STEPS) + 1):
        if number == loaded_at:
            rows = answer(world.state, GetOpenInterest())
        if rows is not None and number >= arrives_at:
            seen.load(rows)
        if number == len(STEPS):
            break
        maker, side, taker, other, lots = STEPS[number]
        for account, direction in ((maker, side), (taker, other)):
            for event in world.place(account, direction, 600_000, lots):
                seen.apply(event, world.state.sequence)
    assert seen.lots == {row.instrument: row.open_lots for row in answer(world.state, GetOpenInterest())}
    assert seen.lots[PERP] == world.state.limits.open_lots[PERP] > 0


def test_without_an_answer_nothing_is_known() -> None:
    """As where public feeds are followed."""
    world, seen = World().open(), OpenInterest()
    world.place(3, SELL, 600_000, 5)
    for event in world.place(2, BUY, 600_000, 5):
        seen.apply(event, world.state.sequence)
    assert seen.lots == {}


def test_deleveraging_and_payoffs_take_off_what_they_close() -> None:
    """Both sides of a deleveraging shrink; each paid position is gone."""
    seen = OpenInterest()
    seen.load((OpenInterestView(instrument=7, sequence=1, open_lots=10, limits=None),))
    party = DeleveragedSide(
        subaccount=2, account_seq=1, realized_pnl_e6=0, position_lots=6, ledger_cash_e6=0, cash_e6=0
    )
    seen.apply(
        Deleveraged(
            trade=1,
            instrument=7,
            bankrupt_lots=-4,
            notional_e6=0,
            mark_e9=1,
            bankrupt=party,
            counterparty=structs.replace(party, position_lots=-2),
        ),
        2,
    )
    assert seen.lots == {7: 6}
    for lots in (6, -6):
        paid = PositionExpired(
            subaccount=2,
            account_seq=2,
            instrument=7,
            position_lots=lots,
            amount_e6=0,
            realized_pnl_e6=0,
            ledger_cash_e6=0,
            cash_e6=0,
        )
        seen.apply(paid, 3)
    assert seen.lots == {7: 0}
