"""Markets whose prices cannot be trusted now take only what reduces (risk.md 3.1, 3.3; D-042).

An instrument is restricted while its index is halted, or while its index or its mark is older than its life at the
command's own time: journaled integers, so every replay restricts the same commands. A restriction has no beginning to
be noticed and needs no command; it ends with a price.
"""

from exchange.domain.commands import Place, Side, UnderlyingRow
from exchange.domain.result_codes import ResultCode
from exchange.engine.flags import REDUCE_ONLY
from exchange.engine.scenarios import is_scenario_stale
from exchange.engine.state import State

__all__ = ["check_market", "is_index_open", "is_restricted", "is_restricted_for", "note_index"]


def is_index_open(state: State, underlying: str) -> bool:
    """Whether an underlying has an index that is neither halted nor stale."""
    set_ns = state.prices.index_ns.get(underlying)
    if set_ns is None or underlying in state.prices.halted:
        return False
    return state.timestamp_ns - set_ns <= state.config.index_life_ns


def is_restricted(state: State, number: int) -> bool:
    """Whether a priced instrument's index is not open, or its mark is stale."""
    instrument, config = state.instruments[number], state.config
    life_ns = config.option_mark_life_ns if instrument.is_option else config.index_life_ns
    is_old = state.timestamp_ns - state.prices.mark_ns[number] > life_ns
    return is_old or not is_index_open(state, instrument.underlying)


def is_restricted_for(state: State, subaccount: int, number: int) -> bool:
    """The same for one account: with Portfolio Margin an option also needs fresh scenario prices."""
    if is_restricted(state, number):
        return True
    by_scenarios = subaccount in state.scenarios.accounts and number in state.scenarios.packed
    return by_scenarios and is_scenario_stale(state, number)


def check_market(state: State, place: Place, *, freed_lots: int = 0) -> ResultCode:
    """A restricted market takes an order only when it closes part of a position, together with those that already do.

    `freed_lots` of the account's open orders on that side are about to make room for it.
    """
    if int(place.flags) & REDUCE_ONLY or not is_restricted_for(state, place.subaccount, place.instrument):
        return ResultCode.OK
    position = state.accounts[place.subaccount].lots(place.instrument)
    if position == 0 or (position > 0) == (place.side is Side.BUY):
        return ResultCode.MARKET_REDUCE_ONLY
    row = state.exposures[place.subaccount].get(place.instrument)
    waiting = 0 if row is None else row.buy_lots if place.side is Side.BUY else row.sell_lots
    is_within = waiting - freed_lots + place.quantity_lots <= abs(position)
    return ResultCode.OK if is_within else ResultCode.MARKET_REDUCE_ONLY


def note_index(state: State, row: UnderlyingRow) -> None:
    """Count what a row says: a halt begins at once, and ends with the last of some good prices in a row.

    A price that comes after a long silence begins a halt too. Called before the row's price is kept.
    """
    prices, config = state.prices, state.config
    if row.is_halted:
        prices.halted[row.underlying] = 0
        return
    set_ns = prices.index_ns.get(row.underlying)
    is_late = set_ns is not None and state.timestamp_ns - set_ns > config.halt_after_ns
    if row.underlying not in prices.halted and not is_late:
        return
    good = prices.halted.get(row.underlying, 0) + 1
    if is_late:
        good = 1
    prices.halted[row.underlying] = good
    if good >= config.halt_good_rows:
        del prices.halted[row.underlying]
