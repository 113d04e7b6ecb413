"""The older shape of three fields, for requests on a path without `/v3` (rule T17)."""

from typing import Any

import msgspec

from exchange.wire.objects import Order, Subaccount

__all__ = ["legacy_result"]


def legacy_result(result: Any) -> Any:
    """`result` with `Order.nonce` as integer, `Subaccount.currency` as text and margin type PM for PM2."""
    if isinstance(result, (Order, Subaccount)):
        return _fields(msgspec.to_builtins(result))
    if isinstance(result, dict):
        return {name: legacy_result(value) for name, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [legacy_result(value) for value in result]
    return result


def _fields(shape: dict[str, Any]) -> dict[str, Any]:
    if "nonce" in shape:
        shape["nonce"] = int(shape["nonce"])
    if "margin_type" in shape:
        shape["margin_type"] = "PM" if shape["margin_type"] == "PM2" else shape["margin_type"]
        shape["currency"] = shape["currency"][0]
        shape["open_orders"] = [_fields(order) for order in shape["open_orders"]]
    return shape
