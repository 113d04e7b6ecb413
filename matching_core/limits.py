"""Bounds both books enforce; together they keep every sum of the compiled book inside 64 bits."""

from typing import Final

from matching_core.fills import (
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    STP_DECREMENT_BOTH,
    STP_SHIFT,
)

__all__ = [
    "DEFAULT_ORDER_CAPACITY",
    "FLAGS_KNOWN",
    "ORDER_CAPACITY_MAX",
    "POSITION_MAX_LOTS",
    "PRICE_MAX_TICKS",
    "QUANTITY_MAX_LOTS",
    "SIDE_MAX_LOTS",
    "require_capacity",
    "require_cell",
    "require_instrument",
    "require_price_range",
]

DEFAULT_ORDER_CAPACITY: Final = 1_048_576
ORDER_CAPACITY_MAX: Final = 2**28
QUANTITY_MAX_LOTS: Final = 2**47
SIDE_MAX_LOTS: Final = 2**62
"""Resting quantity of one side of one instrument; an order that could exceed it is refused with CAPACITY."""
PRICE_MAX_TICKS: Final = 2**58
"""Bound of an instrument's band on either side of zero: ten digits of six bits index every band."""
POSITION_MAX_LOTS: Final = 2**61
FLAGS_KNOWN: Final = (
    FLAG_IOC | FLAG_FOK | FLAG_POST_ONLY | FLAG_SLIDE | FLAG_REDUCE_ONLY | STP_DECREMENT_BOTH << STP_SHIFT
)


def require_capacity(order_capacity: int) -> None:
    """Raise ValueError unless a book may hold `order_capacity` orders (1..2**28)."""
    if not 0 < order_capacity <= ORDER_CAPACITY_MAX:
        raise ValueError(f"order capacity {order_capacity} is not in 1..2**28")


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
