"""What an order would do and what other positions would need, on the wire: order_quote, simulate, get_margin."""

from typing import Any

import msgspec

from exchange.domain.commands import Side
from exchange.domain.instrument import Instrument
from exchange.domain.money import ceil_div, floor_div
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import PreviewView, SimulationView
from exchange.wire.account_shapes import MARGIN_TYPES
from exchange.wire.decimals import format_e6, format_e18
from exchange.wire.errors import WireError
from exchange.wire.order_shapes import ORDER_STATUSES
from exchange.wire.slippage import slippage_text

__all__ = ["OrderQuote", "margins", "order_quote", "simulation", "suggested_fee_cap_e18"]

_E9_PER_PPM = 1_000
_SIX_DIGITS_E18 = 10**12


class OrderQuote(msgspec.Struct, kw_only=True):
    """Margins are what is left after the worst fill of everything open, as `get_subaccount` shows `initial_margin`."""

    suggested_max_fee: str
    """USDC per unit: twice the taker's fee at today's index, so that the order outlives a doubling."""
    estimated_fee: str
    estimated_fill_amount: str
    estimated_fill_price: str
    estimated_order_status: str
    estimated_realized_pnl: str
    estimated_realized_pnl_excl_fees: str
    pre_initial_margin: str
    post_initial_margin: str
    post_liquidation_price: str | None
    """Of a perpetual, after the fills, if only its price moves; null where no price would do it."""
    max_amount: str | None = None
    is_valid: bool
    invalid_reason: str | None
    fills: list[tuple[str, str]]
    """[price, amount], best first."""
    slippage_bps: str | None
    """Average price against the mark, positive when worse, rounded up to 0.01; null without fills."""


def suggested_fee_cap_e18(instrument: Instrument, index_e9: int) -> int:
    """Twice the taker's fee per unit, rounded up to six digits."""
    due_e18 = 2 * max(index_e9 * instrument.taker_fee_ppm * _E9_PER_PPM, 0)
    return ceil_div(due_e18, _SIX_DIGITS_E18) * _SIX_DIGITS_E18


def order_quote(view: PreviewView, instrument: Instrument, side: Side, *, mark_e9: int, fee_cap_e18: int) -> OrderQuote:
    """Build the object; the average price is rounded down to 1e-6, for display only."""
    lots = sum(size for _, size in view.fills)
    value_e9 = sum(price * size for price, size in view.fills) * instrument.tick_e9
    return OrderQuote(
        suggested_max_fee=format_e18(fee_cap_e18),
        estimated_fee=format_e6(view.fee_e6),
        estimated_fill_amount=instrument.quantity_text(lots),
        estimated_fill_price=format_e6(floor_div(value_e9, lots * 1_000)) if lots else "0",
        estimated_order_status=ORDER_STATUSES[view.status],
        estimated_realized_pnl=format_e6(view.realized_pnl_e6 - view.fee_e6),
        estimated_realized_pnl_excl_fees=format_e6(view.realized_pnl_e6),
        pre_initial_margin=format_e6(view.margin_e6),
        post_initial_margin=format_e6(view.margin_after_e6),
        post_liquidation_price=instrument.price_text(view.liquidation_ticks) if view.liquidation_ticks else None,
        is_valid=view.code is ResultCode.OK,
        invalid_reason=None if view.code is ResultCode.OK else WireError(view.code).message,
        fills=[(instrument.price_text(price), instrument.quantity_text(size)) for price, size in view.fills],
        slippage_bps=slippage_text(value_e9, lots * mark_e9, side) if lots and mark_e9 else None,
    )


def simulation(view: SimulationView, subaccount_id: int) -> dict[str, Any]:
    """Margins as what is left, requirements as positive numbers; `inputs` in exact integers, for `margin_of`."""
    return {
        "subaccount_id": subaccount_id,
        "subaccount_value": format_e6(view.equity_e6),
        "initial_margin": format_e6(_initial_left_e6(view)),
        "maintenance_margin": format_e6(view.equity_e6 - view.maintenance_requirement_e6),
        "positions_initial_requirement": format_e6(view.initial_requirement_e6),
        "positions_maintenance_requirement": format_e6(view.maintenance_requirement_e6),
        "open_orders_requirement": format_e6(view.open_orders_requirement_e6),
        "inputs": {
            "portfolio": view.portfolio,
            "parameters": view.parameters,
            "pending_funding_e18": str(view.pending_funding_e18),
            "margin_type": MARGIN_TYPES[view.margin_kind],
        },
    }


def margins(before: SimulationView, after: SimulationView, subaccount_id: int) -> dict[str, Any]:
    """A change is valid that leaves initial margin, or that does not lower it."""
    left_e6 = [_initial_left_e6(view) for view in (before, after)]
    kept_e6 = [view.equity_e6 - view.maintenance_requirement_e6 for view in (before, after)]
    return {
        "subaccount_id": subaccount_id,
        "is_valid_trade": left_e6[1] >= min(0, left_e6[0]),
        "pre_initial_margin": format_e6(left_e6[0]),
        "post_initial_margin": format_e6(left_e6[1]),
        "pre_maintenance_margin": format_e6(kept_e6[0]),
        "post_maintenance_margin": format_e6(kept_e6[1]),
    }


def _initial_left_e6(view: SimulationView) -> int:
    return view.equity_e6 - view.initial_requirement_e6 - view.open_orders_requirement_e6
