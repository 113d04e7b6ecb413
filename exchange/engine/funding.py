"""Funding of perpetuals (risk.md 4.1): an index per lot grows with time, a round publishes it, a touch charges it.

What a lot held long pays accrues at the journaled rate on the index price that held, truncated toward zero, in
1e-12 USDC; not in a call auction, and not on a stale index. An account pays for all its perpetuals at its first touch
behind a round (a fill or a request of the chain), rounded down; the clearing account takes the opposite, so cash sums
to the collateral at any time and what rounding leaves stays there. Until then equity counts what is due.
"""

from collections.abc import Set as AbstractSet
from typing import Final

from exchange.domain.ids import CLEARING_ACCOUNT
from exchange.domain.limits import MAX_FUNDING_INDEX_E12
from exchange.domain.rounds import FundingPaid
from exchange.engine.market_state import is_index_open
from exchange.engine.records import Account, Funding, Position
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.risk.funding import LONGEST_STEP_S, funding_payment, index_step

__all__ = ["accrue", "accrue_named", "fund_index_e12", "pay_funding", "pending_e18"]

_E6: Final = 10**6
_SECOND_NS: Final = 1_000_000_000
_STEP_EXPONENT: Final = -24
"""Rate, index, lot and time are 1e-9 each; the index per lot is 1e-12."""


def accrue_named(state: State, underlyings: AbstractSet[str]) -> None:
    """Let time pass for the perpetuals of `underlyings`, whose index price is about to change."""
    for number, funding in state.funding.items():
        if state.instruments[number].underlying in underlyings:
            accrue(state, funding)


def accrue(state: State, funding: Funding) -> None:
    """Let time pass for one perpetual, at the rate and the index price that held since the last time."""
    elapsed_ns = state.timestamp_ns - funding.since_ns
    funding.since_ns = state.timestamp_ns
    instrument = state.instruments[funding.instrument]
    if elapsed_ns > LONGEST_STEP_S * _SECOND_NS or not _runs(state, funding.instrument, instrument.underlying):
        return
    notional = state.prices.index_e9[instrument.underlying] * instrument.lot_e9
    step = index_step(rate=funding.rate_e9, price=notional, seconds=elapsed_ns, exponent=_STEP_EXPONENT)
    if abs(funding.accrued_e12 + step) <= MAX_FUNDING_INDEX_E12:
        funding.accrued_e12 += step


def fund_index_e12(state: State, instrument: int) -> int:
    """Published index of an instrument; 0 for options and for perpetuals that never had a rate."""
    funding = state.funding.get(instrument)
    return 0 if funding is None else funding.index_e12


def pending_e18(state: State, account: Account, instrument: int) -> int:
    """Funding due on a position (negative: to pay), exact, in 1e-18 USDC."""
    funding, position = state.funding.get(instrument), account.positions.get(instrument)
    if funding is None or position is None:
        return 0
    return -position.lots * (funding.index_e12 - position.fund_index_e12) * _E6


def pay_funding(state: State, turn: Turn, account: Account) -> None:
    """Charge what is due on an account's perpetuals, ascending."""
    if not state.funding:
        return
    for number in sorted(account.positions):
        position = account.positions[number]
        if position.fund_index_e12 != fund_index_e12(state, number):
            _pay(state, turn, account, number, position)


def _runs(state: State, instrument: int, underlying: str) -> bool:
    """Whether funding accrues: no call auction, and the index price has been neither halted nor stale."""
    return instrument not in state.auctions and is_index_open(state, underlying)


def _pay(state: State, turn: Turn, account: Account, instrument: int, position: Position) -> None:
    index_e12 = fund_index_e12(state, instrument)
    amount_e6 = funding_payment(
        amount=position.lots, index_change=index_e12 - position.fund_index_e12, one=_E6
    )  # rounded against the account, whichever side it is on
    position.fund_index_e12 = index_e12
    position.funding_e6 += amount_e6
    account.ledger_cash_e6 += amount_e6
    state.accounts[CLEARING_ACCOUNT].ledger_cash_e6 -= amount_e6
    turn.moved_cash = True
    state.forget_margin(account.index, instrument)
    turn.events.append(
        FundingPaid(
            subaccount=account.index,
            account_seq=account.next_seq(),
            instrument=instrument,
            amount_e6=amount_e6,
            position_lots=position.lots,
            index_e12=index_e12,
            ledger_cash_e6=account.ledger_cash_e6,
            cash_e6=account.cash_e6,
        )
    )
