"""Batches in which the engine acts for accounts that signed nothing, cut so that the chain can judge them (D-036).

What an account loses by liquidation is judged on chain by its leaf before the batch and by the marks that the batch
begins with. So such a batch begins with the step, its marks are those that the step uses, and the account has nothing
else in it. Payments of the fund and deleveraging, which others pay for, share a batch with nothing else at all.
"""

from bisect import insort
from typing import Final

from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.instrument import Instrument
from exchange.domain.limits import LIQUIDATION_PRICE_PPM
from exchange.domain.liquidations import LiquidationMarks
from exchange.domain.money import ceil_div, floor_div
from exchange.engine import batches
from exchange.engine.records import Account, Forced
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["begin", "finish", "leave", "mark_e6", "note", "worst_ticks"]

_PPM: Final = 1_000_000
_E12: Final = 10**12


def begin(state: State, turn: Turn, account: Account, *, is_paid_by_others: bool) -> None:
    """Announce the marks of what `account` holds; close the open batch first if it cannot take the step's leaves."""
    forced = state.forced
    fits = (
        forced.batch == state.batch.number
        and forced.price_round == state.prices.round
        and forced.is_paid_by_others == is_paid_by_others
        and (account.index in forced.accounts or account.index not in state.batch.cash_e6)
    )
    if not fits:
        batches.close_content(state, turn)
        state.forced = _opened(state, is_paid_by_others=is_paid_by_others)
    # Who is paid by the fund is paid out of its worth at these marks.
    numbers = {*account.positions, *(state.accounts[FUND_ACCOUNT].positions if is_paid_by_others else ())}
    marks = tuple((number, mark_e6(state, state.instruments[number])) for number in sorted(numbers))
    turn.events.append(LiquidationMarks(subaccount=account.index, marks=marks))


def note(state: State, index: int) -> None:
    """Remember that the open batch has a leaf of the account that it did not sign; a cap may just have begun it."""
    if state.forced.batch != state.batch.number:
        state.forced = _opened(state, is_paid_by_others=state.forced.is_paid_by_others)
    if index not in state.forced.accounts:
        insort(state.forced.accounts, index)


def leave(state: State, turn: Turn, index: int) -> None:
    """Close the open batch if it has such a leaf of the account: what the account does next is another batch's."""
    if state.forced.batch == state.batch.number and index in state.forced.accounts:
        batches.close_content(state, turn)


def finish(state: State, turn: Turn) -> None:
    """Close what others pay for: nothing follows in its batch, not even where nothing was paid in the end."""
    if state.forced.is_paid_by_others:
        if state.forced.batch == state.batch.number:
            batches.close_content(state, turn)
        state.forced = Forced(accounts=[])


def mark_e6(state: State, instrument: Instrument) -> int:
    """Mark of one lot in 1e-6 USDC as a round publishes it, rounded down."""
    return floor_div(state.prices.marks[instrument.instrument_id].mark_e9 * instrument.lot_e9, _E12)


def worst_ticks(state: State, instrument: Instrument, *, is_sell: bool) -> int:
    """Worst price that the chain takes for a liquidation, LIQUIDATION_PRICE_PPM from the mark; rounded toward it."""
    mark = mark_e6(state, instrument)
    if is_sell:
        return ceil_div(mark * (_PPM - LIQUIDATION_PRICE_PPM), instrument.unit_e6 * _PPM)
    return floor_div(mark * (_PPM + LIQUIDATION_PRICE_PPM), instrument.unit_e6 * _PPM)


def _opened(state: State, *, is_paid_by_others: bool) -> Forced:
    return Forced(
        batch=state.batch.number,
        price_round=state.prices.round,
        is_paid_by_others=is_paid_by_others,
        accounts=[],
    )
