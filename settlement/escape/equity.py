"""What an account is worth at the marks of one round: cash, funding, payoffs, positions. Written for the escape."""

from settlement.watch.accounts import WatchedAccount
from settlement.watch.replay import Marks

__all__ = ["equity_e6"]

_PERPETUAL = 1 << 31
_MILLION = 10**6


def equity_e6(account: WatchedAccount, marks: Marks) -> int:
    """Equity in 1e-6 USDC, may be negative. Funding and payoffs are rounded down; what has no row counts 0."""
    worth_e6 = account.cash_e6
    for instrument, (lots, known_index) in account.positions.items():
        row = marks.get(instrument)
        if row is None:
            continue
        if instrument >= _PERPETUAL:
            worth_e6 += -lots * (row.fund_index - known_index) // _MILLION
        worth_e6 += lots * row.mark // _MILLION if row.is_settled else lots * row.mark
    return worth_e6
