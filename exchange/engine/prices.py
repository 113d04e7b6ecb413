"""Rounds of prices: whole or not at all."""

from typing import Final

from exchange.domain.commands import SetPrices, UnderlyingRow
from exchange.domain.events import CommandRefused, PricesSet
from exchange.domain.ids import is_perpetual_id
from exchange.domain.limits import MAX_MONEY_E6
from exchange.domain.result_codes import ResultCode
from exchange.engine import batches
from exchange.engine.expiry import sample
from exchange.engine.funding import accrue_named
from exchange.engine.market_limits import rescale
from exchange.engine.market_state import note_index
from exchange.engine.protection import set_weights
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.waiting import let_go_open, observe, open_price_e9

__all__ = ["set_prices"]

_CONFIDENCE_MAX_PPM: Final = 1_000_000
_PPM: Final = 1_000_000
_BATCH_MOVE_PPM: Final = 2_500
"""Of a perpetual's mark, in one round. An account is asked for 4 % of a position when it opens it, F3 for 1 %."""


def set_prices(state: State, turn: Turn, command: SetPrices) -> None:
    """Take a round: it rises, values are positive (an option's mark may be 0, a halted index is), instruments known."""
    prices = state.prices
    if command.round <= prices.round:
        turn.events.append(CommandRefused(code=ResultCode.PRICE_OUT_OF_ORDER, detail=prices.round))
        return
    if not _is_valid(state, command):
        turn.events.append(CommandRefused(code=ResultCode.PRICE_INVALID, detail=command.round))
        return
    if state.batch.request_count or _moves_much(state, command):
        # Withdrawals and margin are judged on chain at the prices of their batch's beginning: these do not change
        # within it, or not by much.
        batches.close_content(state, turn)
    prices.round = command.round
    prices.timestamp_ns = state.timestamp_ns
    accrue_named(state, {row.underlying for row in command.underlyings})
    for underlying in command.underlyings:
        _take_index(state, underlying)
    for expiry in command.expiries:
        prices.forward_e9[expiry.underlying, expiry.expiry_s] = expiry.forward_e9
    for row in command.marks:
        prices.marks[row.instrument], prices.mark_ns[row.instrument] = row, state.timestamp_ns
        set_weights(state, row.instrument)
    rescale(state)
    state.is_check_due = True
    turn.events.append(PricesSet(prices=command, halted=tuple(sorted(prices.halted))))
    if state.waiting_orders:
        _fire_triggers(state)
        let_go_open(state)


def _moves_much(state: State, command: SetPrices) -> bool:
    """Whether the mark of a perpetual moves by more than one batch may see."""
    marks = state.prices.marks
    for row in command.marks:
        if is_perpetual_id(row.instrument) and row.instrument in marks:
            before_e9 = marks[row.instrument].mark_e9
            if abs(row.mark_e9 - before_e9) * _PPM > before_e9 * _BATCH_MOVE_PPM:
                return True
    return False


def _take_index(state: State, row: UnderlyingRow) -> None:
    """Keep a price; a halt keeps the last one, and its age."""
    note_index(state, row)
    state.prices.confidence_ppm[row.underlying] = row.confidence_ppm
    if not row.is_halted:
        sample(state, row.underlying)
        state.prices.index_ns[row.underlying] = state.timestamp_ns
        state.prices.index_e9[row.underlying] = row.index_e9
        state.index_ranges.note(row.underlying, row.index_e9, state.timestamp_ns)


def _fire_triggers(state: State) -> None:
    """Show all watched prices to the trigger book: a fired order meets the prices of its own round.

    Those of restricted markets fire nothing; what they kept back fires with the round that opens the market, whether
    it names that price or not.
    """
    for key in list(state.triggers.ladders):
        price_e9 = open_price_e9(state, key)
        if price_e9 is not None:
            observe(state, key, price_e9)


def _is_valid(state: State, command: SetPrices) -> bool:
    if not all(0 < row.forward_e9 <= MAX_MONEY_E6 for row in command.expiries):
        return False
    if not all(_is_index_valid(row) for row in command.underlyings):
        return False
    return all(
        row.instrument in state.instruments and is_perpetual_id(row.instrument) <= row.mark_e9 <= MAX_MONEY_E6
        for row in command.marks
    )


def _is_index_valid(row: UnderlyingRow) -> bool:
    if row.is_halted:
        return row.index_e9 == 0 and row.confidence_ppm == 0
    return 0 < row.index_e9 <= MAX_MONEY_E6 and 0 <= row.confidence_ppm <= _CONFIDENCE_MAX_PPM
