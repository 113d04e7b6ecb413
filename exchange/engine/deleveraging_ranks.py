"""Where a position stands in line for deleveraging: one of five, by position x profit / equity; nothing hangs on it.

Weights of a side are those of a sample of its holders at the marks, kept for some seconds of journaled time, and a
question makes few new ones: whoever holds everything may not keep the engine from trading. Answers to questions are not
journaled, so a replay need not have the same cache.
"""

from typing import Final

from exchange.domain.ids import FIRST_USER_ACCOUNT
from exchange.domain.instrument import Instrument
from exchange.domain.money import ceil_div, floor_div
from exchange.engine.funding import pending_e18
from exchange.engine.rank_table import RankTable
from exchange.engine.records import Account
from exchange.engine.state import State
from exchange.risk.insurance import Candidate, deleveraging_weight, rank_among

__all__ = ["RANKS", "deleveraging_ranks"]

RANKS: Final = 5
_SAMPLE: Final = 32
_TABLES_PER_QUESTION: Final = 8
_LIFE_NS: Final = 5_000_000_000
_E12: Final = 10**12


def deleveraging_ranks(state: State, account: Account) -> dict[int, int]:
    """Rank of each position, 1 (last) to RANKS (first); 0 where no weights are known and too many were taken already.

    An account in liquidation has 1: it gives way in another line.
    """
    own_e18 = _equity_e18(state, account)
    left, ranks = _TABLES_PER_QUESTION, {}
    for number in sorted(account.positions):
        is_long = account.lots(number) > 0
        table = state.rank_tables.get((number, is_long))
        if left and (table is None or state.timestamp_ns - table.taken_ns >= _LIFE_NS):
            left -= 1
            table = state.rank_tables[number, is_long] = _table(state, number, is_long=is_long)
        ranks[number] = 0 if table is None else _rank(state, account, state.instruments[number], own_e18, table)
    return ranks


def _rank(state: State, account: Account, instrument: Instrument, equity_e18: int, table: RankTable) -> int:
    weight = 0 if account.is_in_liquidation else _weight(state, account, instrument, equity_e18)
    others = (row for index, row in table.weights if index != account.index)
    return rank_among(weight, (*others, weight), buckets=RANKS)


def _table(state: State, number: int, *, is_long: bool) -> RankTable:
    """Weights of up to _SAMPLE holders of a side, evenly out of all, ascending by account."""
    users = [index for index in state.holders(number) if index >= FIRST_USER_ACCOUNT]
    rows = [state.accounts[index] for index in users]
    side = [row for row in rows if (row.lots(number) > 0) is is_long and not row.is_in_liquidation]
    step, instrument = max(1, ceil_div(len(side), _SAMPLE)), state.instruments[number]
    weights = ((row.index, _weight(state, row, instrument, _equity_e18(state, row))) for row in side[::step])
    return RankTable(state.timestamp_ns, tuple(weights))


def _weight(state: State, account: Account, instrument: Instrument, equity_e18: int) -> int:
    number = instrument.instrument_id
    position = account.positions[number]
    value_e18 = position.lots * instrument.lot_e9 * state.prices.marks[number].mark_e9
    candidate = Candidate(
        account=account.index,
        lots=abs(position.lots),
        profit=floor_div(value_e18, _E12) - position.cost_e6,
        equity=floor_div(equity_e18, _E12),
    )
    return deleveraging_weight(candidate)


def _equity_e18(state: State, account: Account) -> int:
    """Cash and positions at the marks with the funding that is due, exact; no requirement is computed for it."""
    total = account.ledger_cash_e6 * _E12
    for number, position in account.positions.items():
        total += position.lots * state.instruments[number].lot_e9 * state.prices.marks[number].mark_e9
        total += pending_e18(state, account, number)
    return total
