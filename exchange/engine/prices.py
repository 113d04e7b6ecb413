"""Rounds of prices: whole or not at all."""

from exchange.domain.commands import PriceSource, SetPrices
from exchange.domain.events import CommandRefused, PricesSet
from exchange.domain.ids import is_perpetual_id
from exchange.domain.limits import MAX_MONEY_E6
from exchange.domain.result_codes import ResultCode
from exchange.engine import batches
from exchange.engine.expiry import sample
from exchange.engine.funding import accrue_named
from exchange.engine.protection import set_weights
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.waiting import observe

__all__ = ["set_prices"]


def set_prices(state: State, turn: Turn, command: SetPrices) -> None:
    """Take a round: rounds rise, values are positive (an option's mark may be 0), instruments are known."""
    prices = state.prices
    if command.round <= prices.round:
        turn.events.append(CommandRefused(code=ResultCode.PRICE_OUT_OF_ORDER, detail=prices.round))
        return
    if not _is_valid(state, command):
        turn.events.append(CommandRefused(code=ResultCode.PRICE_INVALID, detail=command.round))
        return
    if state.batch.request_count:
        # A withdrawal is judged on chain at the prices of its batch's beginning: they do not change within it.
        batches.close_content(state, turn)
    prices.round = command.round
    prices.timestamp_ns = state.timestamp_ns
    accrue_named(state, {row.underlying for row in command.underlyings})
    for underlying in command.underlyings:
        sample(state, underlying.underlying)
        prices.index_ns[underlying.underlying] = state.timestamp_ns
        prices.index_e9[underlying.underlying] = underlying.index_e9
        state.index_ranges.note(underlying.underlying, underlying.index_e9, state.timestamp_ns)
    for expiry in command.expiries:
        prices.forward_e9[expiry.underlying, expiry.expiry_s] = expiry.forward_e9
    for row in command.marks:
        prices.marks[row.instrument], prices.mark_ns[row.instrument] = row, state.timestamp_ns
        set_weights(state, row.instrument)
    state.is_check_due = True
    turn.events.append(PricesSet(prices=command))
    if state.waiting_orders:
        _fire_triggers(state, command)


def _fire_triggers(state: State, command: SetPrices) -> None:
    """Show the round to the trigger book, whole: a fired order meets the prices of its own round."""
    for underlying in command.underlyings:
        observe(state, (PriceSource.INDEX, underlying.underlying), underlying.index_e9)
    for row in command.marks:
        observe(state, (PriceSource.MARK, row.instrument), row.mark_e9)


def _is_valid(state: State, command: SetPrices) -> bool:
    values = [row.index_e9 for row in command.underlyings] + [row.forward_e9 for row in command.expiries]
    if not all(0 < value <= MAX_MONEY_E6 for value in values):
        return False
    return all(
        row.instrument in state.instruments and is_perpetual_id(row.instrument) <= row.mark_e9 <= MAX_MONEY_E6
        for row in command.marks
    )
