"""Oracle rounds: whole or not at all, and always at the beginning of a settlement batch (D-032)."""

from typing import Final

from exchange.domain.events import CommandRefused
from exchange.domain.result_codes import ResultCode
from exchange.domain.rounds import FundingIndexRow, FundingRow, OracleRound, OracleRoundSet
from exchange.engine import batches
from exchange.engine.expiry import are_needed, pay_expired, settle_expiries
from exchange.engine.funding import accrue
from exchange.engine.records import Funding
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["rate_cap_e9", "take_round"]

_PPM_TO_E9: Final = 1_000
_RATE_MAX_E9: Final = 320_000_000
_CAP_FACTOR: Final = 6


def take_round(state: State, turn: Turn, command: OracleRound) -> None:
    """Close the open batch, publish what funding accrued, set new rates, settle and pay what expired.

    Refusals in order: rounds rise (PRICE_OUT_OF_ORDER); funding rows name perpetuals, ascending, with rates inside
    their cap; settlement rows name expiries that passed and have too few samples for an average (both PRICE_INVALID).
    """
    if command.round <= state.oracle_round:
        turn.events.append(CommandRefused(code=ResultCode.PRICE_OUT_OF_ORDER, detail=state.oracle_round))
        return
    if not (_is_valid(state, command.funding) and are_needed(state, command.settlements)):
        turn.events.append(CommandRefused(code=ResultCode.PRICE_INVALID, detail=command.round))
        return
    batches.close_content(state, turn)
    state.oracle_round = command.round
    _publish(state)
    for row in command.funding:
        _set_rate(state, row)
    rows = tuple(
        FundingIndexRow(number, funding.index_e12, funding.rate_e9) for number, funding in sorted(state.funding.items())
    )
    turn.events.append(OracleRoundSet(round=command.round, funding=rows))
    settle_expiries(state, turn, command.settlements)
    pay_expired(state, turn)


def rate_cap_e9(state: State, underlying: str) -> int:
    """Most that a funding rate may be either way: 6 x (initial - maintenance) of the first tier, at most 32 %."""
    tier = state.config.margin.tiers(underlying)[0]
    return min(_RATE_MAX_E9, _CAP_FACTOR * (tier.initial_ppm - tier.maintenance_ppm) * _PPM_TO_E9)


def _is_valid(state: State, rows: tuple[FundingRow, ...]) -> bool:
    before = 0
    for row in rows:
        instrument = state.instruments.get(row.instrument)
        if instrument is None or not instrument.is_perpetual or row.instrument <= before:
            return False
        if abs(row.rate_e9) > rate_cap_e9(state, instrument.underlying):
            return False
        before = row.instrument
    return True


def _publish(state: State) -> None:
    """Charge up to now from here on; equities change with it."""
    has_moved = False
    for funding in state.funding.values():
        accrue(state, funding)
        has_moved |= funding.index_e12 != funding.accrued_e12
        funding.index_e12 = funding.accrued_e12
    if has_moved:
        state.forget_margins()


def _set_rate(state: State, row: FundingRow) -> None:
    funding = state.funding.get(row.instrument)
    if funding is None:
        funding = state.funding[row.instrument] = Funding(instrument=row.instrument, since_ns=state.timestamp_ns)
    funding.rate_e9 = row.rate_e9
