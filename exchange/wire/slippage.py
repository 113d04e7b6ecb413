"""How much worse than the mark a price was, in basis points."""

from typing import Final

from exchange.domain.commands import Side
from exchange.domain.money import ceil_div
from exchange.wire.decimals import format_e6

__all__ = ["slippage_text"]

_HUNDREDTHS_PER_ONE: Final = 1_000_000
"""Hundredths of a basis point."""


def slippage_text(paid_e9: int, mark_value_e9: int, side: Side) -> str:
    """Value paid (or received, for a sale) against the same size at the mark, which is > 0; both in one unit.

    Positive when worse than the mark, rounded up to 0.01 basis points: never shown better than it was.
    """
    worse_e9 = paid_e9 - mark_value_e9 if side is Side.BUY else mark_value_e9 - paid_e9
    hundredths = ceil_div(worse_e9 * _HUNDREDTHS_PER_ONE, mark_value_e9)
    return format_e6(hundredths * 10_000)
