"""A whole option chain in the words of the wire (api.md 10.5): what cannot be computed is null and says why."""

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from exchange.domain.commands import MarkRow
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.money import floor_div
from exchange.wire.decimals import format_e9, format_e12
from exchange.wire.params import Params, Text

__all__ = ["ChainExpiry", "ChainRow", "OptionChain", "OptionChainParams", "QuotedOption", "chain_expiry", "chain_row"]

MODEL: Final = "black76"
_YEAR_S: Final = 31_536_000
_NS_PER_MS: Final = 1_000_000
Level = tuple[int, int]


class OptionChainParams(Params):
    """public/get_option_chain; the date as YYYYMMDD."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("currency",)
    currency: str | None = None
    expiry_date: Text | None = None


class QuotedOption(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an option: best levels (ticks, lots), their volatilities in 1e-9, its mark, lots of the day."""

    instrument: Instrument
    bid: Level | None
    ask: Level | None
    bid_iv_e9: int | None
    ask_iv_e9: int | None
    mark: MarkRow | None
    volume_24h: str


class ChainExpiry(msgspec.Struct, kw_only=True):
    """Header of an expiry. Years of 365 days to nine digits, rounded down."""

    expiry: int
    tenor_years: str
    forward: str | None
    discount: str
    atm_iv: str | None
    surface_age_ms: int | None
    svi: dict[str, str] | None
    null_reasons: dict[str, str]


class ChainRow(msgspec.Struct, kw_only=True, gc=False):
    """One option. Greeks in the units of risk.md 5.2."""

    instrument_name: str
    expiry: int
    strike: str
    option_type: str
    bid_price: str | None
    bid_amount: str | None
    ask_price: str | None
    ask_amount: str | None
    bid_iv: str | None
    ask_iv: str | None
    mark_price: str | None
    mark_iv: str | None
    delta: str | None
    gamma: str | None
    vega: str | None
    theta: str | None
    rho: str | None
    open_interest: str | None
    volume_24h: str
    min_price: str
    max_price: str
    null_reasons: dict[str, str]


class OptionChain(msgspec.Struct, kw_only=True):
    """All expiries of a currency, or one."""

    currency: str
    timestamp: int
    index_price: str | None
    model: str
    expiries: list[ChainExpiry]
    rows: list[ChainRow]
    null_reasons: dict[str, str]


def chain_expiry(
    expiry_s: int, options: Sequence[QuotedOption], *, forward_e9: int | None, priced_ns: int | None, now_ns: int
) -> ChainExpiry:
    """The header over `options`; the volatility at the money is interpolated between the marks around the forward."""
    atm_e9 = None if forward_e9 is None else _at_money_e9(options, forward_e9)
    age_ms = None if priced_ns is None else max(now_ns - priced_ns, 0) // _NS_PER_MS
    reasons = {"svi": "not_journaled"}
    if forward_e9 is None:
        reasons["forward"] = "not_priced"
    if atm_e9 is None:
        reasons["atm_iv"] = "not_priced" if forward_e9 is None else "no_marks_around_forward"
    if age_ms is None:
        reasons["surface_age_ms"] = "no_round_seen"
    return ChainExpiry(
        expiry=expiry_s,
        tenor_years=format_e9(floor_div(max(expiry_s * 10**9 - now_ns, 0), _YEAR_S)),
        forward=None if forward_e9 is None else format_e9(forward_e9),
        discount="1",
        atm_iv=None if atm_e9 is None else format_e9(atm_e9),
        surface_age_ms=age_ms,
        svi=None,
        null_reasons=reasons,
    )


def chain_row(option: QuotedOption) -> ChainRow:
    """One row, with a reason for each null."""
    row, mark, reasons = option.instrument, option.mark, {"open_interest": "not_counted"}
    for side, level, volatility in (("bid", option.bid, option.bid_iv_e9), ("ask", option.ask, option.ask_iv_e9)):
        if level is None:
            reasons |= dict.fromkeys((f"{side}_price", f"{side}_amount", f"{side}_iv"), f"no_{side}")
        elif volatility is None:
            reasons[f"{side}_iv"] = "no_volatility_at_this_price"
    if mark is None:
        names = ("mark_price", "mark_iv", "delta", "gamma", "vega", "theta", "rho")
        reasons |= dict.fromkeys(names, "not_priced")
    return ChainRow(
        instrument_name=row.name,
        expiry=row.expiry_s,
        strike=format_e9(row.strike_e9),
        option_type="C" if row.kind is InstrumentKind.CALL else "P",
        bid_price=row.price_text(option.bid[0]) if option.bid else None,
        bid_amount=row.quantity_text(option.bid[1]) if option.bid else None,
        ask_price=row.price_text(option.ask[0]) if option.ask else None,
        ask_amount=row.quantity_text(option.ask[1]) if option.ask else None,
        bid_iv=_text_e9(option.bid_iv_e9),
        ask_iv=_text_e9(option.ask_iv_e9),
        mark_price=format_e9(mark.mark_e9) if mark else None,
        mark_iv=format_e9(mark.volatility_e9) if mark else None,
        delta=format_e9(mark.delta_e9) if mark else None,
        gamma=format_e12(mark.gamma_e12) if mark else None,
        vega=format_e9(mark.vega_e9) if mark else None,
        theta=format_e9(mark.theta_e9) if mark else None,
        rho=format_e9(mark.rho_e9) if mark else None,
        open_interest=None,
        volume_24h=option.volume_24h,
        min_price=row.price_text(1),
        max_price=row.price_text(row.maximum_price_ticks),
        null_reasons=reasons,
    )


def _text_e9(value_e9: int | None) -> str | None:
    return None if value_e9 is None else format_e9(value_e9)


def _at_money_e9(options: Sequence[QuotedOption], forward_e9: int) -> int | None:
    """Mark volatility at the forward, on the line between the strikes around it, rounded down; None outside of them."""
    known = sorted({
        (option.instrument.strike_e9, option.mark.volatility_e9)
        for option in options
        if option.mark is not None and (option.instrument.kind is InstrumentKind.CALL) is (
            option.instrument.strike_e9 >= forward_e9
        )
    })  # fmt: skip
    below = [row for row in known if row[0] <= forward_e9]
    above = [row for row in known if row[0] >= forward_e9]
    if not below or not above:
        return None
    (low, low_e9), (high, high_e9) = below[-1], above[0]
    if low == high:
        return low_e9
    return low_e9 + floor_div((high_e9 - low_e9) * (forward_e9 - low), high - low)
