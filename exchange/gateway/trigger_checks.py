"""From an order's trigger members to its `Trigger`: presence and shape; sides, limits and ties are the engine's."""

from decimal import Decimal
from typing import Final, TypeVar

from exchange.domain.commands import PriceSource, Trigger, TriggerKind
from exchange.domain.limits import MAX_MONEY_E6
from exchange.wire.decimals import fee_cap_e18
from exchange.wire.errors import WireError
from exchange.wire.order_ids import OrderIds
from exchange.wire.params import EditParams, OrderParams, required

__all__ = ["new_trigger_e9", "order_number", "price_e9", "trigger_of"]

_Value = TypeVar("_Value")
_KINDS: Final = {
    "stoploss": TriggerKind.STOP,
    "takeprofit": TriggerKind.TAKE_PROFIT,
    "trailing": TriggerKind.TRAILING,
}
_SOURCES: Final = {"mark": PriceSource.MARK, "index": PriceSource.INDEX, "last": PriceSource.LAST}
_MEMBERS: Final = (
    "trigger_price",
    "trigger_price_type",
    "trailing_offset",
    "trailing_percent",
    "parent_order_id",
    "oco_order_id",
)
_E9_TO_E18: Final = 10**9
_PERCENT_PPM_E18: Final = 10**14


def trigger_of(params: OrderParams, ids: OrderIds) -> Trigger | None:
    """What an order waits for, None for one that does not; WireError -32602, 11006 or 11013."""
    if params.trigger_type is None:
        named = next((name for name in _MEMBERS if getattr(params, name) is not None), None)
        if named is not None:
            raise WireError.bad_param("trigger_type", f"is required with {named}")
        return None
    kind = _of(_KINDS, params.trigger_type, "trigger_type")
    is_trailing = kind is TriggerKind.TRAILING
    return Trigger(
        kind=kind,
        source=_of(_SOURCES, params.trigger_price_type or "mark", "trigger_price_type"),
        price_e9=0 if is_trailing else price_e9(required(params.trigger_price, "trigger_price"), "trigger_price"),
        parent=order_number(params.parent_order_id, ids),
        partner=order_number(params.oco_order_id, ids),
        **(_offset(params) if is_trailing else {}),
    )


def price_e9(price: Decimal, field: str) -> int:
    """A trigger price or offset in 1e-9 USDC; WireError 11013 unless positive and no finer."""
    value_e18 = fee_cap_e18(price, field)
    value_e9, rest = divmod(value_e18, _E9_TO_E18)
    if rest or not 0 < value_e9 <= MAX_MONEY_E6:
        raise WireError(11013, {"field": field, "got": f"{price:f}", "reason": "positive, at most 9 decimals"})
    return value_e9


def order_number(order_id: str | None, ids: OrderIds) -> int:
    """Number of a named order, 0 for none; WireError 11006 for an id of another venue."""
    if order_id is None:
        return 0
    number = ids.number(order_id)
    if number is None:
        raise WireError(11006, {"order_id": order_id[:64], "reason": "not an id of this venue"})
    return number


def _offset(params: OrderParams) -> dict[str, int]:
    if params.trailing_percent is None:
        offset = required(params.trailing_offset, "trailing_offset")
        return {"offset_e9": price_e9(offset, "trailing_offset")}
    if params.trailing_offset is not None:
        raise WireError.bad_param("trailing_percent", "either an offset or a percentage")
    offset_ppm, rest = divmod(fee_cap_e18(params.trailing_percent, "trailing_percent"), _PERCENT_PPM_E18)
    if rest or not 0 < offset_ppm < 1_000_000:
        raise WireError.bad_param("trailing_percent", "above 0, below 100, at most 4 decimals")
    return {"offset_ppm": offset_ppm}


def _of(table: dict[str, _Value], text: str, field: str) -> _Value:
    found = table.get(text.lower())
    if found is None:
        raise WireError.bad_param(field, f"must be one of {', '.join(table)}")
    return found


def new_trigger_e9(params: EditParams) -> int:
    """New trigger price, or new offset of a trailing order; 0 when neither is named."""
    for value, field in ((params.trigger_price, "trigger_price"), (params.trailing_offset, "trailing_offset")):
        if value is not None:
            return price_e9(value, field)
    return 0
