"""Accounts in liquidation and the fund's day as canonical rows and back."""

from typing import Any

import msgspec

from exchange.engine.records import Forced, FundDay, Liquidation
from exchange.engine.state import State

__all__ = ["liquidation_rows", "load_liquidations"]


def liquidation_rows(state: State) -> list[Any]:
    """Liquidations by account, the fund's day, whether accounts are to be looked at, the open batch's marks, ranges."""
    return [
        [row for _, row in sorted(state.liquidations.items())],
        state.fund_day,
        state.is_check_due,
        state.forced,
        state.index_ranges.rows(),
    ]


def load_liquidations(state: State, rows: list[Any]) -> None:
    """Inverse of `liquidation_rows`."""
    for row in msgspec.convert(rows[0], list[Liquidation]):
        state.liquidations[row.subaccount] = row
    state.fund_day = msgspec.convert(rows[1], FundDay)
    state.is_check_due = rows[2]
    state.forced = msgspec.convert(rows[3], Forced)
    state.index_ranges.restore(rows[4])
