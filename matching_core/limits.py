"""Bounds both books enforce; together they keep every sum of the compiled book inside 64 bits."""

from typing import Final

from matching_core.fills import (
    FLAG_EXTENDED,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    STP_DECREMENT_BOTH,
    STP_SHIFT,
)

__all__ = [
    "DEFAULT_CELL_CAPACITY",
    "DEFAULT_GUARD_CAPACITY",
    "DEFAULT_INSTRUMENT_CAPACITY",
    "DEFAULT_ORDER_CAPACITY",
    "FLAGS_KNOWN",
    "GUARD_LIMIT_MAX",
    "ICEBERG_SLICES_MAX",
    "ORDER_CAPACITY_MAX",
    "POSITION_MAX_LOTS",
    "PRICE_MAX_TICKS",
    "QUANTITY_MAX_LOTS",
    "QUOTE_FLAGS_KNOWN",
    "QUOTE_LINES_MAX",
    "SIDE_MAX_LOTS",
    "require_capacities",
    "require_cell",
    "require_guard",
    "require_instrument",
    "require_now",
    "require_price_range",
    "require_weights",
    "require_window",
]

DEFAULT_ORDER_CAPACITY: Final = 1_048_576
DEFAULT_INSTRUMENT_CAPACITY: Final = 65_536
DEFAULT_CELL_CAPACITY: Final = 4_194_304
DEFAULT_GUARD_CAPACITY: Final = 65_536
ORDER_CAPACITY_MAX: Final = 2**28
"""Also the bound of the other capacities."""
QUANTITY_MAX_LOTS: Final = 2**47
SIDE_MAX_LOTS: Final = 2**62
"""Resting quantity of one side of one instrument; an order that could exceed it is refused with CAPACITY."""
PRICE_MAX_TICKS: Final = 2**58
"""Bound of an instrument's band on either side of zero: ten digits of six bits index every band."""
POSITION_MAX_LOTS: Final = 2**61
ICEBERG_SLICES_MAX: Final = 100
"""An iceberg's quantity over its slice: bounds the refills, and so the events, of one order."""
QUOTE_LINES_MAX: Final = 64
GUARD_LIMIT_MAX: Final = 2**62
"""Bound of a guard's limits, of its sums (which stay there instead of growing further) and of the weights."""
QUOTE_FLAGS_KNOWN: Final = FLAG_POST_ONLY | FLAG_SLIDE | STP_DECREMENT_BOTH << STP_SHIFT
FLAGS_KNOWN: Final = QUOTE_FLAGS_KNOWN | FLAG_IOC | FLAG_FOK | FLAG_REDUCE_ONLY | FLAG_EXTENDED


def require_capacities(**capacities: int) -> None:
    """Raise ValueError unless each named capacity is in 1..2**28."""
    for name, capacity in capacities.items():
        if not 0 < capacity <= ORDER_CAPACITY_MAX:
            raise ValueError(f"{name} capacity {capacity} is not in 1..2**28")


def require_instrument(instrument: int) -> None:
    """Raise ValueError unless the id is an unsigned 32-bit integer."""
    if not 0 <= instrument < 2**32:
        raise ValueError(f"instrument {instrument} is not in 0..2**32-1")


def require_price_range(price_min_ticks: int, price_max_ticks: int) -> None:
    """Raise ValueError unless -2**58 <= price_min_ticks <= price_max_ticks <= 2**58."""
    if not -PRICE_MAX_TICKS <= price_min_ticks <= price_max_ticks <= PRICE_MAX_TICKS:
        raise ValueError(f"price range {price_min_ticks}..{price_max_ticks} is empty or beyond +-2**58 ticks")


def require_cell(cell: int, position_lots: int) -> None:
    """Raise ValueError unless cell is 1..2**32-1 and the position within +-2**61 lots."""
    if not 0 < cell < 2**32:
        raise ValueError(f"cell {cell} is not in 1..2**32-1")
    if not -POSITION_MAX_LOTS <= position_lots <= POSITION_MAX_LOTS:
        raise ValueError(f"position {position_lots} is beyond +-2**61 lots")


def require_now(now_ns: int) -> None:
    """Raise ValueError unless the time is 0..2**63-1 nanoseconds."""
    if not 0 <= now_ns < 2**63:
        raise ValueError(f"time {now_ns} ns is not in 0..2**63-1")


def require_guard(guard: int, **limits: int) -> None:
    """Raise ValueError unless guard is 1..2**32-1 and each limit (the interval too) 0..2**62."""
    if not 0 < guard < 2**32:
        raise ValueError(f"guard {guard} is not in 1..2**32-1")
    for name, limit in limits.items():
        if not 0 <= limit <= GUARD_LIMIT_MAX:
            raise ValueError(f"guard limit {name} {limit} is not in 0..2**62")


def require_weights(delta_e9: int, vega_e9: int) -> None:
    """Raise ValueError unless both weights are within +-2**62."""
    for weight in (delta_e9, vega_e9):
        if not -GUARD_LIMIT_MAX <= weight <= GUARD_LIMIT_MAX:
            raise ValueError(f"weight {weight} is beyond +-2**62")


def require_window(start_ns: int, quantity_lots: int, delta_e9: int, vega_e9: int, fills: int) -> None:
    """Raise ValueError unless time, quantity and fills are 0..2**62 and both sums within +-2**62."""
    require_now(start_ns)
    require_weights(delta_e9, vega_e9)
    require_guard(1, quantity_lots=quantity_lots, fills=fills)
