"""What a crash cost, counted from the engine's events alone; money in 1e-6 USDC."""

from collections import Counter
from typing import Any, Final

import msgspec

from exchange.domain.events import FillSide, Trade
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import (
    Deleveraged,
    FundPaid,
    LiquidationStage,
    LiquidationStarted,
    is_liquidation_order,
)
from exchange.engine.state import State
from exchange.engine.valuation import value_account

__all__ = ["CrashCosts", "Tally", "at_mark_e6", "haircut_e6"]

_E12: Final = 10**12
_BPS: Final = 10**4


class CrashCosts(msgspec.Struct, kw_only=True):
    """Figures of one engine on one path."""

    liquidated: int = 0
    """Accounts that came below maintenance."""
    emptied: int = 0
    """Those of them that hold nothing at the end."""
    bankrupt: int = 0
    """Those that were worth less than nothing."""
    book_lots: int = 0
    book_e6: int = 0
    """Closed on the book, at the prices it had."""
    book_at_mark_e6: int = 0
    shared_lots: int = 0
    shared_e6: int = 0
    """Closed against the other side, at the mark."""
    fund_e6: int = 0
    """Paid by the fund."""
    haircut_e6: int = 0
    """What the other side got less than the mark."""
    owed_e6: int = 0
    """Left below zero at the end."""
    fee_e6: int = 0
    """Paid to the fund by what was closed on the book."""
    impact_e6: int = 0
    """What fills on the book brought less than the mark at their time."""
    worst_impact_bps: int = 0
    """Of one fill, rounded down."""
    mark_gap_bps: int = 0
    """Most that the mark was away from the index, rounded down."""
    equity_before_e6: int = 0
    equity_after_e6: int = 0
    """Of the liquidated accounts: at the start, and at the end (what is below zero counts as zero)."""

    @property
    def bad_debt_e6(self) -> int:
        """What bankrupt accounts could not pay, whoever paid it."""
        return self.fund_e6 + self.haircut_e6 + self.owed_e6

    @property
    def impact_bps_e2(self) -> int:
        """Average over all lots closed on the book, in hundredths of a basis point, rounded down."""
        return self.impact_e6 * _BPS * 100 // self.book_at_mark_e6 if self.book_at_mark_e6 else 0


class Tally:
    """Takes the events of each command; `close` when the path is over."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._begun: dict[int, None] = {}
        self._broke: dict[int, None] = {}
        self._before_e6: dict[int, int] = {}
        self.costs = CrashCosts()

    def open(self, state: State, *, holders: list[int]) -> None:
        """Everybody has what he begins with."""
        self._before_e6 = {account: value_account(state, state.accounts[account]).equity_e6 for account in holders}

    def note_prices(self, index_e9: int, mark_e9: int) -> None:
        """Look how far the mark is from the index."""
        gap_bps = abs(mark_e9 - index_e9) * _BPS // index_e9
        self.costs.mark_gap_bps = max(self.costs.mark_gap_bps, gap_bps)

    def take(self, events: list[Any]) -> dict[int, int]:
        """Count; returns lots taken from makers, by account."""
        taken = Counter[int]()
        for event in events:
            if isinstance(event, Trade):
                taken[event.maker.subaccount] += event.quantity_lots
                if is_liquidation_order(event.taker.order):
                    self._take_fill(event, event.taker)
            elif isinstance(event, Deleveraged):
                self._take_share(event)
            elif isinstance(event, FundPaid):
                self.costs.fund_e6 += event.amount_e6
            elif isinstance(event, LiquidationStarted):
                self._begun[event.subaccount] = None
                if event.stage is LiquidationStage.INSOLVENT:
                    self._broke[event.subaccount] = None
        return taken

    def close(self, state: State) -> None:
        """Look at the accounts when all is over."""
        costs = self.costs
        costs.liquidated, costs.bankrupt = len(self._begun), len(self._broke)
        for account in self._begun:
            row = state.accounts[account]
            equity_e6 = value_account(state, row).equity_e6
            costs.emptied += not row.positions
            costs.owed_e6 += max(0, -equity_e6)
            costs.equity_before_e6 += self._before_e6.get(account, 0)
            costs.equity_after_e6 += max(0, equity_e6)

    def _take_fill(self, trade: Trade, side: FillSide) -> None:
        costs, lots = self.costs, trade.quantity_lots
        got_e6 = self._instrument.notional_e6(price_ticks=trade.price_ticks, quantity_lots=lots)
        worth_e6 = at_mark_e6(self._instrument, trade.mark_e9, lots)
        lost_e6 = (worth_e6 - got_e6) * (1 if trade.taker_side else -1)
        costs.book_lots += lots
        costs.book_e6 += got_e6
        costs.book_at_mark_e6 += worth_e6
        costs.fee_e6 += side.fee_e6
        costs.impact_e6 += lost_e6
        costs.worst_impact_bps = max(costs.worst_impact_bps, lost_e6 * _BPS // worth_e6)

    def _take_share(self, event: Deleveraged) -> None:
        costs, lots = self.costs, abs(event.bankrupt_lots)
        costs.shared_lots += lots
        costs.shared_e6 += at_mark_e6(self._instrument, event.mark_e9, lots)
        costs.haircut_e6 += haircut_e6(self._instrument, event)


def at_mark_e6(instrument: Instrument, mark_e9: int, lots: int) -> int:
    """Value of lots at a mark, rounded down."""
    return mark_e9 * instrument.lot_e9 * lots // _E12


def haircut_e6(instrument: Instrument, event: Deleveraged) -> int:
    """What the other side of a deleveraging got less than the mark: a short bought above it, a long sold below it."""
    worth_e6 = at_mark_e6(instrument, event.mark_e9, abs(event.bankrupt_lots))
    return (event.notional_e6 - worth_e6) * (1 if event.bankrupt_lots < 0 else -1)
