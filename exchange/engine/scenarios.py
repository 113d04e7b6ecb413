"""Scenario prices: whole or not at all, like every round of prices."""

from typing import Final

from exchange.domain.events import CommandRefused
from exchange.domain.portfolio import ExpiryTrust, ScenarioRow, ScenariosSet, SetScenarios
from exchange.domain.result_codes import ResultCode
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.risk.scenario_portfolio import FURTHER_CELLS

__all__ = ["is_scenario_stale", "set_scenarios"]

_CELL_BYTES: Final = 8
_CELL_MAX: Final = 9 * 10**15
"""9.0e6 USDC: what a double holds exactly in 1e-9."""
_TRUST_MAX: Final = 1 << 32
_EXPIRY_MAX_S: Final = 1 << 32


def set_scenarios(state: State, turn: Turn, command: SetScenarios) -> None:
    """Take a round of one underlying: it rises, every row is a listed option of a known expiry with cells in range."""
    table = state.scenarios
    last = table.rounds.get(command.underlying, 0)
    if command.round <= last:
        turn.events.append(CommandRefused(code=ResultCode.PRICE_OUT_OF_ORDER, detail=last))
        return
    if not _is_valid(state, command):
        turn.events.append(CommandRefused(code=ResultCode.PRICE_INVALID, detail=command.round))
        return
    table.rounds[command.underlying] = command.round
    for trust in command.expiries:
        table.trust[command.underlying, trust.expiry_s] = trust
        for number in state.chains.get((command.underlying, trust.expiry_s), ()):
            if number in table.packed:
                table.forget_changes(number)
    for row in command.rows:
        table.put(row.instrument, row.cells, state.timestamp_ns)
    state.is_check_due = True
    turn.events.append(ScenariosSet(underlying=command.underlying, round=command.round, instruments=len(command.rows)))


def is_scenario_stale(state: State, number: int) -> bool:
    """Whether an option's cells are missing, or older than an option's mark may be."""
    set_ns = state.scenarios.set_ns.get(number)
    return set_ns is None or state.timestamp_ns - set_ns > state.config.option_mark_life_ns


def _is_valid(state: State, command: SetScenarios) -> bool:
    if command.underlying not in state.prices.index_e9 or not all(map(_is_trust_valid, command.expiries)):
        return False
    known = {row.expiry_s for row in command.expiries}
    known |= {expiry_s for underlying, expiry_s in state.scenarios.trust if underlying == command.underlying}
    width = len(state.config.portfolio.scenarios) + FURTHER_CELLS
    return all(_is_row_valid(state, command.underlying, row, known, width) for row in command.rows)


def _is_trust_valid(trust: ExpiryTrust) -> bool:
    """A gain never counts for more than a loss: what the check of open orders rests on."""
    ordered = 0 <= trust.positive_e9 <= trust.negative_e9 < _TRUST_MAX
    return ordered and 0 <= trust.basis_e9 < _TRUST_MAX and 0 < trust.expiry_s < _EXPIRY_MAX_S


def _is_row_valid(state: State, underlying: str, row: ScenarioRow, known: set[int], width: int) -> bool:
    instrument = state.instruments.get(row.instrument)
    if instrument is None or not instrument.is_option or instrument.underlying != underlying:
        return False
    if instrument.expiry_s not in known or len(row.cells) != width * _CELL_BYTES:
        return False
    cells = row.values()
    return min(cells) >= 0 and max(cells) <= _CELL_MAX
