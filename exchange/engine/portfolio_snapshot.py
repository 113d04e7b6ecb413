"""Kinds of margin and scenario prices as canonical rows and back."""

from typing import Any

import msgspec

from exchange.domain.portfolio import ExpiryTrust, pack_cells, unpack_cells
from exchange.engine.state import State

__all__ = ["load_portfolios", "portfolio_rows"]


def portfolio_rows(state: State) -> list[Any]:
    """Accounts, rounds by underlying, trust by underlying and expiry, (instrument, time, cells), all ascending."""
    table = state.scenarios
    return [
        sorted(table.accounts),
        sorted(table.rounds.items()),
        [(underlying, trust) for (underlying, _), trust in sorted(table.trust.items(), key=lambda row: row[0])],
        [(number, table.set_ns[number], pack_cells(cells)) for number, cells in sorted(table.cells.items())],
    ]


def load_portfolios(state: State, rows: list[Any]) -> None:
    """Inverse of `portfolio_rows`; behind the instruments."""
    accounts, rounds, trust, cells = rows
    table = state.scenarios
    table.version += 1
    table.accounts.update(dict.fromkeys(accounts))
    table.rounds.update(rounds)
    for underlying, row in msgspec.convert(trust, list[tuple[str, ExpiryTrust]]):
        table.trust[underlying, row.expiry_s] = row
    for number, set_ns, packed in cells:
        instrument = state.instruments[number]
        table.cells[number], table.set_ns[number] = unpack_cells(packed), set_ns
        table.derive(number, instrument.underlying, instrument.expiry_s, state.config.portfolio)
