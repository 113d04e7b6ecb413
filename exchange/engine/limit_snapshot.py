"""Limits of markets as canonical rows and back."""

from typing import Any

import msgspec

from exchange.domain.market_limits import MarketLimits
from exchange.engine.state import State

__all__ = ["limit_rows", "load_limits"]


def limit_rows(state: State) -> list[Any]:
    """Limits by instrument, grown initial fractions by underlying, both ascending."""
    table = state.limits
    return [[row for _, row in sorted(table.rows.items())], sorted(table.scaled_ppm.items())]


def load_limits(state: State, rows: list[Any]) -> None:
    """Inverse of `limit_rows`."""
    limits, scaled = rows
    for row in msgspec.convert(limits, list[MarketLimits]):
        state.limits.put(row)
    state.limits.scale(state.config.margin, {underlying: tuple(fractions) for underlying, fractions in scaled})
