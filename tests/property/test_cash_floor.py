"""Whoever may add risk under Portfolio Margin is above the contract's floor by its slack, whatever fills (D-053)."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest

from exchange.domain.commands import OrderFlag, Place, Side
from exchange.domain.money import floor_div
from exchange.domain.result_codes import ResultCode
from exchange.engine import cash_floor, portfolio_margin
from exchange.engine.changes import fees_e18
from exchange.engine.margin import worst_margin_e18
from exchange.engine.records import Order
from exchange.engine.state import State
from exchange.risk.cash_floor import CashFloor
from settlement.protocol.floors import standing
from settlement.protocol.linear_bounds import LARGE_CAP, MAJOR, BoundTerms, ListedTerms
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.state_tree import Account
from tests.property.margin_accounts import LOTS, PER_WORLD, TICKS, Accounts
from tests.unit.exchange.engine.world import E6, World, refusal

E9: Final = 10**9
E12: Final = 10**12
SUBSETS: Final = 12
MOVE_E9: Final = 25_000_000
"""A batch ends with a move of 0.25 % in a round, and names marks at least every ten rounds (D-043)."""
SLACK_PPM: Final = {LARGE_CAP: 30_000, MAJOR: 75_000}
"""Lowest initial bracket less the contract's share, of the notional of perpetuals."""


class BelowSlack(AssertionError):
    """An account that the engine let add risk may come too near to the contract's floor."""


class Floors(Accounts):
    """Accounts with Portfolio Margin that send one order each; of those accepted, any subset of what is open fills."""

    factor_class = LARGE_CAP

    def __init__(self, seed: int) -> None:
        """Everything is a function of `seed`."""
        super().__init__(seed, portfolio_share=1.0)

    def _rest(self, index: int) -> None:
        """Orders of both sides at prices better and worse than the mark."""
        for _ in range(self.random.randrange(6)):
            instrument, side = self.random.choice(sorted(TICKS)), Side(self.random.randrange(2))
            price = max(1, self.ticks(instrument) * self.random.randrange(80, 121) // 100)
            self.place(index, side, price, self.random.randrange(1, LOTS[instrument]), instrument)

    def _compare(self, index: int, order: Place) -> None:
        if refusal(self.run(order)) is not ResultCode.OK:
            return
        if worst_margin_e18(self.state, self.state.accounts[index]) < 0:
            self._check_reduction(index, order)
            return
        self.counts["accepted"] += 1
        orders = [row for _, row in sorted(self.state.account_orders[index].items())]
        orders = [row for row in orders if not int(row.place.flags) & (OrderFlag.REDUCE_ONLY | OrderFlag.QUOTE)]
        subsets = [orders, [], [row for row in orders if row.place.side is Side.BUY]]
        subsets += [[row for row in orders if self.random.random() < 0.5] for _ in range(SUBSETS)]
        for filled in subsets:
            self._check(index, filled)

    def _check_reduction(self, index: int, order: Place) -> None:
        """Taken in spite of missing margin: it closes what is there, no more."""
        held = self.state.accounts[index].lots(order.instrument) * (1 if order.side is Side.SELL else -1)
        if held < 0 and not int(order.flags) & OrderFlag.REDUCE_ONLY:
            raise BelowSlack(f"{order} adds risk without margin")
        self.counts["reductions"] += 1

    def _check(self, index: int, filled: list[Order]) -> None:
        """At the engine's marks by the whole slack; where the chain's perpetuals are 2.5 % away, not below at all."""
        leaf, terms = filled_leaf(self.state, index, filled), terms_of(self.state, self.factor_class)
        slack_e6 = sum(
            abs(lots) * marked_e6(self.state, number, 0) * SLACK_PPM[self.factor_class] // 10**6
            for number, (lots, _) in leaf.positions.items()
            if terms[number].bounds.is_perpetual
        )
        for move_e9 in (-MOVE_E9, 0, MOVE_E9):
            at = standing(leaf, vector_of(self.state, move_e9), terms)
            room_e6 = 0 if move_e9 else -slack_e6
            if at.is_below(room_e6):
                raise BelowSlack(f"account {index}, {len(filled)} orders filled, {move_e9}: {at}, slack {slack_e6}")
            self.counts["tight"] += not move_e9 and at.is_below(-slack_e6 * 2 - 100 * E6)


def filled_leaf(state: State, index: int, orders: list[Order]) -> Account:
    """The account's leaf behind complete fills at the limits, fees paid."""
    account = state.accounts[index]
    lots, cash_e18 = {number: row.lots for number, row in account.positions.items()}, account.ledger_cash_e6 * E12
    for order in orders:
        instrument, side = state.instruments[order.place.instrument], order.place.side
        delta = order.remaining_lots if side is Side.BUY else -order.remaining_lots
        lots[order.place.instrument] = lots.get(order.place.instrument, 0) + delta
        cash_e18 -= delta * instrument.lot_e9 * order.price_ticks * instrument.tick_e9
        cash_e18 -= fees_e18(state, instrument, order.remaining_lots, legs=1)
    held = {number: (size, 0) for number, size in lots.items() if size}
    return Account(owner=account.owner, cash_e6=floor_div(cash_e18, E12), positions=held)


def marked_e6(state: State, number: int, move_e9: int) -> int:
    """A mark per lot as a vector has it, rounded down; of a perpetual, moved."""
    instrument = state.instruments[number]
    moved = move_e9 if instrument.is_perpetual else 0
    return state.prices.marks[number].mark_e9 * instrument.lot_e9 * (E9 + moved) // (E12 * E9)


def vector_of(state: State, move_e9: int) -> OracleVector:
    """A round of the engine's marks, those of perpetuals moved."""
    rows = {number: MarkRow(mark_e6=marked_e6(state, number, move_e9)) for number in state.prices.marks}
    return OracleVector(round_number=1, rows=rows, index_e6={1: state.prices.index_e9["BTC"] // 1_000})


def terms_of(state: State, factor_class: int) -> Mapping[int, ListedTerms]:
    """What the contract knows of the instruments."""
    return {
        number: ListedTerms(
            bounds=BoundTerms(is_perpetual=row.is_perpetual, lot_e18=row.lot_e9 * E9, factor_class=factor_class),
            underlying=1,
        )
        for number, row in state.instruments.items()
    }


class MajorFloors(Floors):
    """The same where the underlying is no large cap: 10 % on the exchange, 2.5 % on chain."""

    state_class = State
    factor_class = MAJOR

    def open(self, *, accounts: int = 3, deposit: int = 0) -> World:
        """With other brackets."""
        margin = msgspec.structs.replace(self.state.config.margin, large_caps=())
        self.state.config = msgspec.structs.replace(self.state.config, margin=margin)
        return super().open(accounts=accounts, deposit=deposit)


def draw(kind: type[Floors], seed: int, accounts: int) -> Counter[str]:
    """So many accounts, a hundred to a market; raises BelowSlack at the first that comes too near."""
    counts = Counter[str]()
    for first in range(0, accounts, PER_WORLD):
        world = kind(seed * 10**9 + first)
        for index in range(min(PER_WORLD, accounts - first)):
            world.draw(3 + index)
        counts += world.counts
    return counts


def test_whoever_added_risk_is_above_the_floor_by_its_slack() -> None:
    """Three percent of the perpetuals, whichever of the open orders fill; some accounts are just above it."""
    counts = draw(Floors, 11, 600)
    assert counts["accepted"] > 100
    assert counts["reductions"] > 5
    assert counts["tight"] > 10


def test_of_majors_the_slack_is_larger() -> None:
    """Seven and a half percent."""
    counts = draw(MajorFloors, 12, 200)
    assert counts["accepted"] > 30
    assert counts["tight"] > 5


@pytest.mark.parametrize("field", ["premiums_e18", "perpetuals"])
def test_a_floor_that_forgets_a_part_is_found(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """The twin without what bids cost, or without the perpetuals' brackets."""

    def forgets(*args: Any) -> CashFloor:
        found = cash_floor.cash_floor(*args)
        if field != "perpetuals":
            return msgspec.structs.replace(found, **{field: 0})
        rows = tuple(msgspec.structs.replace(row, tiers=()) for row in found.perpetuals)
        return msgspec.structs.replace(found, perpetuals=rows)

    monkeypatch.setattr(portfolio_margin, "cash_floor", forgets)
    monkeypatch.setattr(Floors, "state_class", State)
    with pytest.raises(BelowSlack):
        draw(Floors, 11, 1_000)


def test_scenarios_alone_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portfolio Margin as it was before the floor convicts at once."""
    monkeypatch.setattr(portfolio_margin, "floor_margin_e18", lambda *_: 10**40)
    monkeypatch.setattr(Floors, "state_class", State)
    with pytest.raises(BelowSlack):
        draw(Floors, 11, 1_000)
