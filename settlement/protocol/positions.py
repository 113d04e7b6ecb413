"""What an oracle round does to the positions of one account: expiry, funding, worth, closing against the fund.

All amounts are integers in 1e-6 USDC. Divisions round down, against the account; the counterparty takes the exact
opposite, so no unit is made or lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from settlement.protocol.caps import (
    CLOSE_FLOOR_PPM,
    CLOSE_PENALTY_PPM,
    MAX_POSITIONS,
    PERP_BIT,
)
from settlement.protocol.oracle import MarkRow, OracleVector

__all__ = ["Positions", "close_positions", "closing_value_e6", "equity_e6", "may_close", "settle_positions"]

Positions = Mapping[int, tuple[int, int]]
"""Instrument -> (lots, funding index)."""

_MILLION = 1_000_000
_INT64_LIMIT = 1 << 63


def settle_positions(positions: Positions, opening: OracleVector) -> tuple[Positions, int]:
    """Turn settled instruments into cash and pay funding up to the round; return the positions and the cash gained.

    A perpetual that is settled pays its funding first. An instrument without a row stays as it is.
    """
    kept: dict[int, tuple[int, int]] = {}
    gained_e6 = 0
    for instrument, (lots, fund_index) in positions.items():
        row = opening.rows.get(instrument)
        if row is None:
            kept[instrument] = (lots, fund_index)
            continue
        if instrument & PERP_BIT:
            gained_e6 += -lots * (row.fund_index - fund_index) // _MILLION  # floored against the account
        if row.payoff_e12 is not None:
            gained_e6 += lots * row.payoff_e12 // _MILLION  # floored too
        else:
            kept[instrument] = (lots, row.fund_index if instrument & PERP_BIT else 0)
    return kept, gained_e6


def equity_e6(cash_e6: int, positions: Positions, opening: OracleVector) -> int:
    """Cash and positions at mark; an instrument without a row counts 0."""
    return cash_e6 + sum(value for value, _ in _values(positions, opening))


def may_close(cash_e6: int, positions: Positions, opening: OracleVector) -> bool:
    """Tell whether the equity is at least CLOSE_FLOOR_PPM of the gross value at mark, exactly (no division)."""
    gross_e6 = sum(abs(value) for value, _ in _values(positions, opening))
    return equity_e6(cash_e6, positions, opening) * _MILLION >= gross_e6 * CLOSE_FLOOR_PPM


def close_positions(positions: Positions, fund: Positions, opening: OracleVector) -> tuple[Positions, Positions, int]:
    """Move what has a mark to the fund, instruments ascending, as far as the fund has room.

    Returns what the account keeps, what the fund holds then, and the cash that the fund pays (negative: receives).
    """
    kept, held, paid_e6 = dict(positions), dict(fund), 0
    for instrument in sorted(positions):
        row, lots = opening.rows.get(instrument), positions[instrument][0]
        if row is None or not _has_room(held, instrument, lots):
            continue
        paid_e6 += closing_value_e6(lots, row.mark_e6)
        del kept[instrument]
        taken = held.pop(instrument, (0, 0))[0] + lots
        if taken:
            held[instrument] = (taken, _index_of(instrument, row))
    return kept, held, paid_e6


def closing_value_e6(lots: int, mark_e6: int) -> int:
    """Return lots at mark less the penalty, floored against the account."""
    value_e6 = lots * mark_e6
    return (value_e6 * _MILLION - abs(value_e6) * CLOSE_PENALTY_PPM) // _MILLION


def _has_room(fund: Positions, instrument: int, lots: int) -> bool:
    if instrument not in fund:
        return len(fund) < MAX_POSITIONS
    return -_INT64_LIMIT <= fund[instrument][0] + lots < _INT64_LIMIT


def _index_of(instrument: int, row: MarkRow) -> int:
    return row.fund_index if instrument & PERP_BIT else 0


def _values(positions: Positions, opening: OracleVector) -> list[tuple[int, int]]:
    rows = opening.rows
    return [(lots * rows[key].mark_e6, key) for key, (lots, _) in positions.items() if key in rows]
