"""Kinds of margin and scenario prices as canonical rows and back."""

from typing import Any

import msgspec

from exchange.domain.portfolio import ExpiryTrust
from exchange.engine.state import State

__all__ = ["load_portfolios", "portfolio_rows"]


def portfolio_rows(state: State) -> list[Any]:
    """Accounts, rounds by underlying, trust by underlying and expiry, (instrument, time, cells), all ascending."""
    table = state.scenarios
    return [
        sorted(table.accounts),
        sorted(table.rounds.items()),
        [(underlying, trust) for (underlying, _), trust in sorted(table.trust.items(), key=lambda row: row[0])],
        [(number, table.set_ns[number], cells) for number, cells in sorted(table.packed.items())],
    ]


def load_portfolios(state: State, rows: list[Any]) -> None:
    """Inverse of `portfolio_rows`."""
    accounts, rounds, trust, cells = rows
    table = state.scenarios
    table.accounts.update(dict.fromkeys(accounts))
    table.rounds.update(rounds)
    for underlying, row in msgspec.convert(trust, list[tuple[str, ExpiryTrust]]):
        table.trust[underlying, row.expiry_s] = row
    for number, set_ns, packed in cells:
        table.put(number, packed, set_ns)
