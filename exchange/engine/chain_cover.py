"""What the contract takes for free in an account, whatever the exchange's own margin says (settlement.md 5.4, F5)."""

from typing import Final

from exchange.domain.money import floor_div
from exchange.engine.records import Account
from exchange.engine.state import State
from settlement.protocol.linear_bounds import LARGE_CAP, LONG_OPTION_HIGH_E6, MAJOR, BoundTerms, high_e6, worth_e6

__all__ = ["covered_e6"]

_E3: Final = 10**3
_E9: Final = 10**9
_E12: Final = 10**12


def covered_e6(state: State, account: Account) -> int:
    """Cash and worth of the positions less the contract's upper bound of each, at the latest marks; 1e-6 USDC."""
    return account.ledger_cash_e6 + sum(_weigh_e6(state, number, account.lots(number)) for number in account.positions)


def _weigh_e6(state: State, number: int, lots: int) -> int:
    instrument = state.instruments[number]
    if lots > 0 and instrument.is_option:
        return -LONG_OPTION_HIGH_E6
    terms = BoundTerms(
        is_perpetual=instrument.is_perpetual,
        lot_e18=instrument.lot_e9 * _E9,
        factor_class=LARGE_CAP if instrument.underlying in state.config.margin.large_caps else MAJOR,
    )
    # Rounded down, as the vectors of a round have them.
    mark_e6 = floor_div(state.prices.marks[number].mark_e9 * instrument.lot_e9, _E12)
    index_e6 = floor_div(state.prices.index_e9[instrument.underlying], _E3)
    worth = worth_e6(is_perpetual=terms.is_perpetual, lots=lots, mark_e6=mark_e6)
    return worth - high_e6(terms, lots, mark_e6, index_e6)
