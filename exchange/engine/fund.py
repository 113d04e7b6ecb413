"""Positions of the insurance fund, which it takes from accounts that the contract's queue closes (D-051).

The fund is in no batch's list: the chain charges its funding in every batch, and asks that it is worth something at the
marks of one that pays out of it. So what is due is charged in the first batch behind a round, what it may pay is its
worth and not its cash, and while it holds anything no batch gives more fees back than it takes.
"""

from exchange.domain.ids import FUND_ACCOUNT
from exchange.engine.forced import mark_e6
from exchange.engine.funding import fund_index_e12, pay_funding
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["is_due", "is_exposed", "pay_due", "rebate_room_e6", "worth_e6"]


def is_exposed(state: State) -> bool:
    """Whether the fund holds a position."""
    return bool(state.accounts[FUND_ACCOUNT].positions)


def worth_e6(state: State) -> int:
    """Cash and positions at their marks, as a round publishes them (rounded down); 1e-6 USDC, may be negative."""
    fund = state.accounts[FUND_ACCOUNT]
    held = fund.positions
    return fund.ledger_cash_e6 + sum(fund.lots(number) * mark_e6(state, state.instruments[number]) for number in held)


def rebate_room_e6(state: State) -> int:
    """Cash that rebates beyond the taker's fee may come from."""
    return 0 if is_exposed(state) else state.accounts[FUND_ACCOUNT].ledger_cash_e6


def is_due(state: State) -> bool:
    """Whether a round was published since the fund paid funding for what it holds."""
    positions = state.accounts[FUND_ACCOUNT].positions
    return any(positions[number].fund_index_e12 != fund_index_e12(state, number) for number in positions)


def pay_due(state: State, turn: Turn, batch_before: int) -> None:
    """Charge the fund in the command that put the first content into a batch; `batch_before` was open before it."""
    if is_due(state) and (state.batch.has_content or state.batch.number > batch_before):
        pay_funding(state, turn, state.accounts[FUND_ACCOUNT])
