"""Decimal numbers of the vectors as exact integers and back; no rule lives here."""

from decimal import Decimal, localcontext
from typing import Any, Final

__all__ = ["E9", "E12", "E18", "SECONDS_PER_YEAR", "is_call", "scaled", "unscaled"]

E9: Final = 10**9
E12: Final = 10**12
E18: Final = 10**18
SECONDS_PER_YEAR: Final = 31_536_000


def scaled(value: Any, unit: int = E18) -> int:
    """The number as it is written (int, float or text) times `unit`, to the nearest integer."""
    with localcontext() as context:
        context.prec = 100
        return int((Decimal(str(value)) * unit).to_integral_value())


def unscaled(value: int, unit: int = E18) -> float:
    """The nearest float."""
    return value / unit


def is_call(inputs: dict[str, Any]) -> bool:
    """Every spelling of the type: 1/-1, "Call"/"Put", "c"/"p"."""
    return str(inputs.get("type", inputs.get("q", 1))).lower() in ("1", "1.0", "call", "c")
