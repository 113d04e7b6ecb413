"""Subaccounts, positions and collateral in the words of the wire. Margin signs change here and nowhere else.

Inside, requirements are positive. On the wire a subaccount's own margins are what is left, and the requirements of
positions and open orders are negative numbers (api.md 7).
"""

from collections.abc import Callable

from exchange.domain.instrument import Instrument
from exchange.domain.money import floor_div, truncate_div
from exchange.domain.portfolio import MarginKind
from exchange.domain.safeguards import KeyLimits
from exchange.domain.views import AccountView, PositionView, PricesView, SessionKeyView
from exchange.wire.decimals import format_e6, format_e9, format_e12
from exchange.wire.objects import Collateral, Order, Position, Subaccount
from exchange.wire.scopes import right_names, scope_names
from exchange.wire.venue import VenueInfo, address_text, asset_kind

__all__ = ["MARGIN_TYPES", "collateral_object", "key_row", "position_object", "subaccount_object"]

MARGIN_TYPES = {MarginKind.STANDARD: "SM", MarginKind.PORTFOLIO: "PM2"}
_E9 = 10**9


def position_object(view: PositionView, instrument: Instrument, prices: PricesView) -> Position:
    """One position at its latest mark; display values are rounded toward zero."""
    lots, lot_e9 = view.position_lots, instrument.lot_e9
    size_e9 = lots * lot_e9
    value_e6 = truncate_div(size_e9 * view.mark_e9, 10**12)
    entry_e6 = floor_div(abs(view.cost_e6) * _E9, abs(size_e9)) if size_e9 else 0
    open_pnl_e6 = value_e6 - view.cost_e6
    mark = prices.marks.get(instrument.instrument_id)
    return Position(
        instrument_name=instrument.name,
        instrument_type=asset_kind(instrument),
        amount=instrument.quantity_text(lots),
        amount_step=format_e9(lot_e9),
        average_price=format_e6(entry_e6),
        average_price_excl_fees=format_e6(entry_e6),
        mark_price=format_e9(view.mark_e9),
        mark_value=format_e6(value_e6),
        index_price=format_e9(prices.index_e9.get(instrument.underlying, 0)),
        delta=_greek(size_e9, mark.delta_e9 if mark and instrument.is_option else _E9),
        gamma=format_e12(truncate_div(size_e9 * mark.gamma_e12, _E9)) if mark and instrument.is_option else "0",
        vega=_greek(size_e9, mark.vega_e9 if mark and instrument.is_option else 0),
        theta=_greek(size_e9, mark.theta_e9 if mark and instrument.is_option else 0),
        initial_margin=format_e6(-view.initial_requirement_e6),
        maintenance_margin=format_e6(-view.maintenance_requirement_e6),
        leverage=_leverage(value_e6, view.initial_requirement_e6),
        liquidation_price=instrument.price_text(view.liquidation_ticks) if view.liquidation_ticks else None,
        unrealized_pnl=format_e6(open_pnl_e6),
        unrealized_pnl_excl_fees=format_e6(open_pnl_e6),
        realized_pnl=format_e6(view.realized_pnl_e6 - view.fee_e6),
        realized_pnl_excl_fees=format_e6(view.realized_pnl_e6),
        total_fees=format_e6(view.fee_e6),
        cumulative_funding=format_e6(view.funding_e6),
        pending_funding=format_e6(view.pending_funding_e6),
        adl_rank=view.adl_rank or None,
        creation_timestamp=view.opened_ns // 1_000_000,
    )


def collateral_object(view: AccountView) -> Collateral:
    """The subaccount's USDC."""
    cash = format_e6(view.cash_e6)
    return Collateral(
        amount=cash,
        mark_value=cash,
        initial_margin=cash,
        maintenance_margin=cash,
        creation_timestamp=view.opened_ns // 1_000_000,
    )


def subaccount_object(
    view: AccountView,
    venue: VenueInfo,
    *,
    instrument_of: Callable[[int], Instrument],
    prices: PricesView,
    open_orders: list[Order],
) -> Subaccount:
    """A whole subaccount."""
    initial_left_e6 = view.equity_e6 - view.initial_requirement_e6 - view.open_orders_requirement_e6
    cash = format_e6(view.cash_e6)
    return Subaccount(
        subaccount_id=venue.subaccount_id(view.subaccount),
        margin_type=MARGIN_TYPES[view.margin_kind],
        subaccount_value=format_e6(view.equity_e6),
        initial_margin=format_e6(initial_left_e6),
        maintenance_margin=format_e6(view.equity_e6 - view.maintenance_requirement_e6),
        positions_value=format_e6(view.positions_value_e6),
        positions_initial_margin=format_e6(-view.initial_requirement_e6),
        positions_maintenance_margin=format_e6(-view.maintenance_requirement_e6),
        collaterals_value=cash,
        collaterals_initial_margin=cash,
        collaterals_maintenance_margin=cash,
        open_orders_margin=format_e6(-view.open_orders_requirement_e6),
        collaterals=[collateral_object(view)],
        positions=[position_object(row, instrument_of(row.instrument), prices) for row in view.positions],
        open_orders=open_orders,
        is_under_liquidation=view.is_in_liquidation,
    )


def key_row(key: SessionKeyView, venue: VenueInfo, limits: KeyLimits, instrument_names: list[str]) -> dict[str, object]:
    """Build one row of session_keys; `instruments` (instruments and currencies) and `max_notional` are ours."""
    return {
        "public_session_key": address_text(key.key),
        "expiry_sec": key.valid_to_s,
        "protocol_scopes": scope_names(key.scopes),
        "offchain_scopes": right_names(limits.rights),
        "subaccount_ids": [venue.subaccount_id(account) for account in key.accounts],
        "ip_whitelist": list(limits.ip_whitelist),
        "label": limits.label,
        "registered_sec": key.registered_ns // 1_000_000_000,
        "instruments": instrument_names,
        "max_notional": format_e6(limits.max_notional_e6) if limits.max_notional_e6 else None,
    }


def _greek(size_e9: int, per_unit_e9: int) -> str:
    return format_e9(truncate_div(size_e9 * per_unit_e9, _E9))


def _leverage(value_e6: int, requirement_e6: int) -> str | None:
    return format_e6(abs(value_e6) * 10**6 // requirement_e6) if requirement_e6 > 0 else None
