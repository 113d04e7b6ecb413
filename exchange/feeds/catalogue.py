"""The demo's instruments for a date: two perpetuals, and per underlying calls and puts on 3 expiries x 11 strikes.

An id is a function of what is traded, so a catalogue of another day agrees with this one wherever both name the same
contract: kind 1 bit | strike in steps of the smallest strike 13 bits | weeks since 3 January 2020 11 bits |
underlying 3 bits. Perpetuals have bit 31 and the underlying's number.
"""

from typing import Final

import msgspec

from exchange.domain.ids import PERPETUAL_BIT
from exchange.domain.instrument import Instrument, InstrumentKind, instrument_name
from exchange.feeds.synthetic import START_PRICES_E9

__all__ = ["EXPIRY_COUNT", "STRIKE_COUNT", "demo_catalogue", "expiries_after"]

EXPIRY_COUNT: Final = 3
STRIKE_COUNT: Final = 11
_E9: Final = 10**9
_DAY_S: Final = 86_400
_WEEK_S: Final = 7 * _DAY_S
_FIRST_EXPIRY_S: Final = 1_578_038_400
"""Friday 3 January 2020, 08:00 UTC: every expiry lies a whole number of weeks after it."""
_EXPIRY_WEEKS: Final = (0, 1, 4)
"""Weeks between the first expiry that is at least 7 days out and each of the three."""
_STRIKE_STEPS: Final = (1, 1, 2)
"""Strike distance of each expiry in steps of the underlying: later expiries reach further."""


class _Terms(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    strike_unit_e9: int
    """Id resolution of strikes."""
    strike_step_e9: int
    perpetual_tick_e9: int
    perpetual_lot_e9: int
    option_tick_e9: int
    option_lot_e9: int
    perpetual_maximum_lots: int
    option_maximum_lots: int


_TERMS: Final = {
    "BTC": _Terms(
        number=1,
        strike_unit_e9=500 * _E9,
        strike_step_e9=2_000 * _E9,
        perpetual_tick_e9=_E9 // 10,
        perpetual_lot_e9=_E9 // 1_000,
        option_tick_e9=_E9,
        option_lot_e9=_E9 // 100,
        perpetual_maximum_lots=1_000_000,
        option_maximum_lots=100_000,
    ),
    "ETH": _Terms(
        number=2,
        strike_unit_e9=25 * _E9,
        strike_step_e9=100 * _E9,
        perpetual_tick_e9=_E9 // 100,
        perpetual_lot_e9=_E9 // 100,
        option_tick_e9=_E9 // 10,
        option_lot_e9=_E9 // 10,
        perpetual_maximum_lots=1_000_000,
        option_maximum_lots=100_000,
    ),
}
_PERPETUAL_FEES_PPM: Final = (100, 300)
_OPTION_FEES_PPM: Final = (300, 300)
_HIGHEST_PRICE_FACTOR: Final = 100
"""Highest accepted price: this many times the initial index."""


def demo_catalogue(now_s: int) -> list[Instrument]:
    """Every instrument of the demo on the day of `now_s` (Unix seconds), by ascending id."""
    instruments = [_perpetual(name, now_s) for name in _TERMS]
    for name in _TERMS:
        for place, expiry_s in enumerate(expiries_after(now_s)):
            for strike_e9 in _strikes_e9(name, place):
                kinds = (InstrumentKind.CALL, InstrumentKind.PUT)
                instruments += [_option(name, kind, strike_e9, expiry_s, now_s) for kind in kinds]
    return sorted(instruments, key=lambda instrument: instrument.instrument_id)


def expiries_after(now_s: int) -> list[int]:
    """Fridays 08:00 UTC, the first at least 7 days after `now_s`, then one and four weeks later."""
    weeks = -(-(now_s + _WEEK_S - _FIRST_EXPIRY_S) // _WEEK_S)
    return [_FIRST_EXPIRY_S + (weeks + later) * _WEEK_S for later in _EXPIRY_WEEKS]


def _strikes_e9(name: str, expiry_place: int) -> list[int]:
    step_e9 = _TERMS[name].strike_step_e9 * _STRIKE_STEPS[expiry_place]
    middle = round(START_PRICES_E9[name] / step_e9)
    return [(middle + offset) * step_e9 for offset in range(-(STRIKE_COUNT // 2), STRIKE_COUNT // 2 + 1)]


def _perpetual(name: str, now_s: int) -> Instrument:
    terms = _TERMS[name]
    maker_ppm, taker_ppm = _PERPETUAL_FEES_PPM
    return Instrument(
        instrument_id=PERPETUAL_BIT | terms.number,
        name=instrument_name(underlying=name, kind=InstrumentKind.PERPETUAL),
        kind=InstrumentKind.PERPETUAL,
        underlying=name,
        tick_e9=terms.perpetual_tick_e9,
        lot_e9=terms.perpetual_lot_e9,
        minimum_lots=1,
        maximum_lots=terms.perpetual_maximum_lots,
        maximum_price_ticks=_HIGHEST_PRICE_FACTOR * START_PRICES_E9[name] // terms.perpetual_tick_e9,
        maker_fee_ppm=maker_ppm,
        taker_fee_ppm=taker_ppm,
        listed_s=now_s,
    )


def _option(name: str, kind: InstrumentKind, strike_e9: int, expiry_s: int, now_s: int) -> Instrument:
    terms = _TERMS[name]
    maker_ppm, taker_ppm = _OPTION_FEES_PPM
    return Instrument(
        instrument_id=_option_id(terms, kind, strike_e9, expiry_s),
        name=instrument_name(underlying=name, kind=kind, strike_e9=strike_e9, expiry_s=expiry_s),
        kind=kind,
        underlying=name,
        tick_e9=terms.option_tick_e9,
        lot_e9=terms.option_lot_e9,
        minimum_lots=1,
        maximum_lots=terms.option_maximum_lots,
        maximum_price_ticks=_HIGHEST_PRICE_FACTOR * START_PRICES_E9[name] // terms.option_tick_e9,
        maker_fee_ppm=maker_ppm,
        taker_fee_ppm=taker_ppm,
        strike_e9=strike_e9,
        expiry_s=expiry_s,
        listed_s=now_s,
    )


def _option_id(terms: _Terms, kind: InstrumentKind, strike_e9: int, expiry_s: int) -> int:
    weeks = (expiry_s - _FIRST_EXPIRY_S) // _WEEK_S
    strike_units = strike_e9 // terms.strike_unit_e9
    if not (0 <= weeks < 1 << 11 and 0 < strike_units < 1 << 13):
        raise ValueError(f"no id for strike {strike_e9} and expiry {expiry_s}")
    return terms.number << 25 | weeks << 14 | strike_units << 1 | int(kind is InstrumentKind.CALL)
