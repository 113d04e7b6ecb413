"""Opening instruments, and taking them off the list when nobody can hold them any more."""

from typing import Final

from exchange.domain.commands import ListInstrument
from exchange.domain.events import CommandRefused, InstrumentListed
from exchange.domain.instrument import Instrument
from exchange.domain.limits import MAX_PRICE_TICKS, MAX_QUANTITY_LOTS
from exchange.domain.result_codes import ResultCode
from exchange.domain.rounds import DelistInstrument, InstrumentDelisted
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["delist_instrument", "list_instrument"]

_SECOND_NS: Final = 1_000_000_000
_PPM: Final = 1_000_000


def list_instrument(state: State, turn: Turn, command: ListInstrument) -> None:
    """Open a book for a new id and name; parameters outside the limits are refused."""
    instrument = command.instrument
    code = ResultCode.OK
    if instrument.instrument_id in state.instruments or instrument.name in state.names:
        code = ResultCode.INSTRUMENT_EXISTS
    elif not _is_valid(state, instrument):
        code = ResultCode.PARAMETER_INVALID
    if code:
        turn.events.append(CommandRefused(code=code, detail=instrument.instrument_id))
        return
    state.instruments[instrument.instrument_id] = instrument
    state.index_instrument(instrument)
    turn.events.append(InstrumentListed(instrument=instrument))


def delist_instrument(state: State, turn: Turn, command: DelistInstrument) -> None:
    """Take an expired instrument off the list.

    Refusals in order: unknown or delisted (INSTRUMENT_NOT_FOUND), not expired (INSTRUMENT_LIVE), held (OPEN_INTEREST).
    """
    number = command.instrument
    code = _check_delisting(state, number)
    if code:
        turn.events.append(CommandRefused(code=code, detail=number))
        return
    state.delisted[number] = None
    turn.events.append(InstrumentDelisted(instrument=number))


def _check_delisting(state: State, number: int) -> ResultCode:
    instrument = state.instruments.get(number)
    if instrument is None or number in state.delisted:
        return ResultCode.INSTRUMENT_NOT_FOUND
    if instrument.is_perpetual or instrument.expiry_s * _SECOND_NS > state.timestamp_ns:
        return ResultCode.INSTRUMENT_LIVE
    return ResultCode.OPEN_INTEREST if state.holders(number) else ResultCode.OK


def _is_valid(state: State, instrument: Instrument) -> bool:
    return (
        0 < instrument.instrument_id < 1 << 32
        and instrument.tick_e9 > 0
        and instrument.lot_e9 > 0
        and 0 < instrument.minimum_lots <= instrument.maximum_lots <= MAX_QUANTITY_LOTS
        and 0 < instrument.maximum_price_ticks <= MAX_PRICE_TICKS
        and -_PPM < instrument.maker_fee_ppm < _PPM
        and 0 <= instrument.taker_fee_ppm < _PPM
        and instrument.maker_fee_ppm + instrument.taker_fee_ppm >= 0
        and (instrument.is_perpetual or _is_valid_option(state, instrument))
    )


def _is_valid_option(state: State, instrument: Instrument) -> bool:
    return instrument.strike_e9 > 0 and instrument.expiry_s * _SECOND_NS > state.timestamp_ns
