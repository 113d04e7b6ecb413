"""From an order's `display_amount` to the lots an iceberg shows: shape and grid; what can rest is checked here too."""

from typing import Final

from exchange.domain.commands import OrderFlag, TimeInForce
from exchange.domain.instrument import Instrument, OffGrid
from exchange.domain.result_codes import ResultCode
from exchange.wire.decimals import on_grid_value
from exchange.wire.errors import WireError
from exchange.wire.params import EditParams, OrderParams

__all__ = ["display_lots", "refuse_display"]

_FIELD: Final = "display_amount"
_MARKET: Final = int(OrderFlag.MARKET)
_RESTING: Final = (TimeInForce.GTC, TimeInForce.GTD)


def display_lots(
    params: OrderParams, instrument: Instrument, quantity_lots: int, time_in_force: TimeInForce, flags: OrderFlag
) -> int:
    """Lots shown at a time, 0 without a display amount; WireError 20016 for what never rests, else 11012.

    How many slices an order may have is the engine's to say.
    """
    if params.display_amount is None:
        return 0
    if isinstance(params, EditParams):
        refuse_display(params)
    if time_in_force not in _RESTING or int(flags) & _MARKET:
        raise WireError(ResultCode.DISPLAY_NOT_ALLOWED)
    got = {"field": _FIELD, "got": f"{params.display_amount:f}"}
    value, was_cut = on_grid_value(params.display_amount, _FIELD)
    try:
        lots = instrument.quantity_lots(value)
    except OffGrid as error:
        raise WireError(ResultCode.BAD_AMOUNT, {**got, "nearest": list(error.nearest)}) from error
    if was_cut:
        raise WireError(ResultCode.BAD_AMOUNT, {**got, "nearest": [f"{value:f}"]})
    if not instrument.minimum_lots <= lots <= quantity_lots:
        minimum, maximum = instrument.quantity_text(instrument.minimum_lots), instrument.quantity_text(quantity_lots)
        raise WireError(ResultCode.BAD_AMOUNT, {**got, "minimum": minimum, "maximum": maximum})
    return lots


def refuse_display(params: EditParams) -> None:
    """An order keeps its slice for life; WireError -32602 for an edit that names one."""
    if params.display_amount is not None:
        raise WireError.bad_param(_FIELD, "an edit keeps the slice: replace the order")
