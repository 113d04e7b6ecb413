"""Instruments, currencies, tickers and books in the words of the wire (api.md 7)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from exchange.domain.commands import MarkRow
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.views import PricesView
from exchange.wire.decimals import format_e9, format_e12, format_ppm
from exchange.wire.objects import (
    Currency,
    InstrumentObject,
    OptionDetails,
    OptionPricing,
    PerpDetails,
    Ticker,
    TickerStats,
)
from exchange.wire.price_states import OPEN, price_state
from exchange.wire.venue import COLLATERAL, VenueInfo, address_text, asset_kind

__all__ = [
    "currency_object",
    "grouped_levels",
    "hourly_rate",
    "instrument_object",
    "quote_currency_object",
    "risk_universe",
    "ticker_object",
]

_NS_PER_MS: Final = 1_000_000
_NEVER: Final = (1 << 63) - 1
_MANAGERS: Final = {"risk_universe_id": 1, "risk_universe_name": "PRIME", "sm": 1, "pm": 5}
Level = tuple[int, int]


def hourly_rate(rate_e9: int) -> str:
    """A funding rate in 1e-9 per 8 hours as the wire has it, per hour; exact."""
    return format_e12(rate_e9 * 125)


def instrument_object(
    instrument: Instrument,
    venue: VenueInfo,
    now_s: int,
    *,
    rate_e9: int = 0,
    settlement_e9: int | None = None,
    state: str = OPEN,
) -> InstrumentObject:
    """A contract with the asset ids that its signed orders name, its funding rate or the price it was settled at.

    `state` is that of its prices.
    """
    index = f"{instrument.underlying}-USD"
    return InstrumentObject(
        instrument_name=instrument.name,
        instrument_type=asset_kind(instrument),
        is_active=instrument.is_perpetual or now_s < instrument.expiry_s,
        base_currency=instrument.underlying,
        tick_size=format_e9(instrument.tick_e9),
        amount_step=format_e9(instrument.lot_e9),
        minimum_amount=instrument.quantity_text(instrument.minimum_lots),
        maximum_amount=instrument.quantity_text(instrument.maximum_lots),
        maker_fee_rate=format_ppm(instrument.maker_fee_ppm),
        taker_fee_rate=format_ppm(instrument.taker_fee_ppm),
        base_asset_address=address_text(venue.asset(instrument)),
        base_asset_sub_id=str(venue.asset_sub_id(instrument)),
        scheduled_activation=instrument.listed_s,
        scheduled_deactivation=instrument.expiry_s or _NEVER,
        instrument_id=instrument.instrument_id,
        perp_details=PerpDetails(index=index, funding_rate=hourly_rate(rate_e9)) if instrument.is_perpetual else None,
        option_details=_option_details(instrument, index, settlement_e9) if instrument.is_option else None,
        price_state=state,
    )


def currency_object(currency: str, kinds: set[str], venue: VenueInfo, spot_price_e9: int) -> Currency:
    """A traded underlying; `kinds` are the instrument types listed for it."""
    return Currency(
        currency=currency,
        market_type="ALL",
        managers=[dict(_MANAGERS)],
        spot=[],
        perp=_asset(currency, "perp", venue) if "perp" in kinds else None,
        option=_asset(currency, "option", venue) if "option" in kinds else None,
        spot_price=format_e9(spot_price_e9),
        spot_price_24h=None,
    )


def risk_universe(venue: VenueInfo, instruments: Sequence[str], fund_id: int) -> dict[str, Any]:
    """The one universe: its two managers margin all `instruments`; subaccount `fund_id` is the security module."""
    collateral = {
        "name": COLLATERAL,
        "address": address_text(venue.asset_of(COLLATERAL, "erc20")),
        "erc20": {"decimals": 6, "underlying_erc20": address_text(venue.settlement_contract)},
        "im_discount": "1",
        "mm_discount": "1",
        "min_deposit_usd": "1",
    }
    managers = [
        {"manager_id": manager, "margin_type": kind, "collaterals": [collateral], "instruments": [*instruments]}
        for kind, manager in (("SM", _MANAGERS["sm"]), ("PM2", _MANAGERS["pm"]))
    ]
    return {
        "risk_universe_id": _MANAGERS["risk_universe_id"],
        "name": _MANAGERS["risk_universe_name"],
        "description": None,
        "managers": managers,
        "security_module": {
            "cash_asset": address_text(venue.asset_of(COLLATERAL, "erc20")),
            "cash_currency": COLLATERAL,
            "subaccount_id": fund_id,
        },
    }


def quote_currency_object(venue: VenueInfo) -> Currency:
    """The collateral; its spot asset is what withdrawals name."""
    spot = {
        "name": COLLATERAL,
        "address": address_text(venue.asset_of(COLLATERAL, "erc20")),
        "erc20": {"decimals": 6, "underlying_erc20": address_text(venue.settlement_contract)},
        "min_deposit_usd": "1",
        "universes": [],
    }
    return Currency(
        currency=COLLATERAL,
        market_type="SRM_BASE_ONLY",
        managers=[dict(_MANAGERS)],
        spot=[spot],
        perp=None,
        option=None,
        spot_price="1",
        spot_price_24h=None,
    )


def ticker_object(
    instrument: Instrument,
    prices: PricesView,
    *,
    best_bid: Level | None,
    best_ask: Level | None,
    stats: TickerStats,
    timestamp_ms: int,
    auction_end_ms: int | None = None,
    quoted_ivs_e9: tuple[int | None, int | None] = (None, None),
) -> Ticker:
    """The slim ticker; a side without orders is "0", and so is a volatility that best bid or ask do not have."""
    mark = prices.marks.get(instrument.instrument_id)
    mark_text = format_e9(mark.mark_e9) if mark else "0"
    return Ticker(
        t=timestamp_ms,
        a=instrument.price_text(best_ask[0]) if best_ask else "0",
        A=instrument.quantity_text(best_ask[1]) if best_ask else "0",
        b=instrument.price_text(best_bid[0]) if best_bid else "0",
        B=instrument.quantity_text(best_bid[1]) if best_bid else "0",
        I=format_e9(prices.index_e9.get(instrument.underlying, 0)),
        M=mark_text,
        f=hourly_rate(prices.rates_e9.get(instrument.instrument_id, 0)) if instrument.is_perpetual else None,
        minp=instrument.price_text(1),
        maxp=instrument.price_text(instrument.maximum_price_ticks),
        stats=stats,
        option_pricing=_pricing(instrument, mark, prices, quoted_ivs_e9) if mark and instrument.is_option else None,
        auction_end=auction_end_ms,
        price_state=price_state(instrument, prices, timestamp_ms * _NS_PER_MS),
    )


def grouped_levels(
    levels: Iterable[Level], instrument: Instrument, *, group: int, depth: int, upward: bool
) -> list[tuple[str, str]]:
    """Merge best-first levels into `depth` steps of `group` ticks; asks round up, bids down, so no group crosses."""
    merged: dict[int, int] = {}
    for price_ticks, quantity_lots in levels:
        step = -(-price_ticks // group) if upward else price_ticks // group
        if step not in merged and len(merged) == depth:
            break
        merged[step] = merged.get(step, 0) + quantity_lots
    return [(instrument.price_text(step * group), instrument.quantity_text(lots)) for step, lots in merged.items()]


def _option_details(instrument: Instrument, index: str, settlement_e9: int | None) -> OptionDetails:
    return OptionDetails(
        expiry=instrument.expiry_s,
        strike=format_e9(instrument.strike_e9),
        option_type="C" if instrument.kind is InstrumentKind.CALL else "P",
        index=index,
        settlement_price=None if settlement_e9 is None else format_e9(settlement_e9),
    )


def _asset(currency: str, kind: str, venue: VenueInfo) -> dict[str, object]:
    return {
        "name": f"{currency}-{kind.upper()}",
        "address": address_text(venue.asset_of(currency, kind)),
        "universes": [],
    }


def _pricing(
    instrument: Instrument, mark: MarkRow, prices: PricesView, quoted_ivs_e9: tuple[int | None, int | None]
) -> OptionPricing:
    bid_iv_e9, ask_iv_e9 = quoted_ivs_e9
    return OptionPricing(
        d=format_e9(mark.delta_e9),
        g=format_e12(mark.gamma_e12),
        t=format_e9(mark.theta_e9),
        v=format_e9(mark.vega_e9),
        r=format_e9(mark.rho_e9),
        i=format_e9(mark.volatility_e9),
        bi=format_e9(bid_iv_e9 or 0),
        ai=format_e9(ask_iv_e9 or 0),
        m=format_e9(mark.mark_e9),
        f=format_e9(prices.forward_e9.get((instrument.underlying, instrument.expiry_s), 0)),
    )
