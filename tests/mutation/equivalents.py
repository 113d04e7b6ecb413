"""Mutants that no test can notice, each with its reason: they count neither as noticed nor as survived."""

from typing import Final

__all__ = ["EQUIVALENTS"]

_FLAT: Final = "the factor behind it is 0 for a position of 0"
_WHOLE: Final = "a position that is held is never 0, and its amount is a multiple of the lot"
_MEETS: Final = "both lines meet there: the formulas give the same number"
_BOTH: Final = "high and low are written together, and prices are above 0"
_NOBODY: Final = "a long that would get nothing, or pay, has no profit: nobody gives way either way"
_DEALT: Final = "a part of 0 adds 0, and the next one is below 0"

_WATERFALL: Final = "offsetting = [row for row in orders if row.is_buy == (position_lots < 0) and position_lots]"
_RANGES: Final = (
    "used = [ring[at + 1 : at + _WIDTH] for at in range(0, len(ring), _WIDTH) if ring[at + 1] and ring[at] > oldest]"
)
_CANDIDATES: Final = "if index < FIRST_USER_ACCOUNT or account.is_in_liquidation or lots * held > 0:"

EQUIVALENTS: dict[tuple[str, str, str], str] = {
    ("exchange/risk/waterfall.py", _WATERFALL, "Lt"): _FLAT,
    ("exchange/risk/waterfall.py", _WATERFALL, "0"): _FLAT,
    ("exchange/engine/index_ranges.py", "is_new = ring[at] != slot or not ring[at + 1]", "1"): _BOTH,
    ("exchange/engine/index_ranges.py", _RANGES, "1"): _BOTH,
    ("exchange/engine/deleveraging.py", _CANDIDATES, "Gt"): _WHOLE,
    ("exchange/engine/deleveraging.py", "if quote_e6 * lots < 0:", "Lt"): _NOBODY,
    ("exchange/engine/deleveraging.py", "if quote_e6 * lots < 0:", "0"): _NOBODY,
    ("exchange/engine/deleveraging_ranks.py", "is_long = account.lots(number) > 0", "Gt"): _WHOLE,
    ("exchange/engine/liquidation_orders.py", "side=Side.SELL if exposure.amount > 0 else Side.BUY,", "Gt"): _WHOLE,
    ("exchange/engine/liquidation_orders.py", "side=Side.SELL if exposure.amount > 0 else Side.BUY,", "0"): _WHOLE,
    ("exchange/engine/liquidation_orders.py", "is_sell = exposure.amount > 0", "Gt"): _WHOLE,
    ("exchange/engine/liquidation_orders.py", "is_sell = exposure.amount > 0", "0"): _WHOLE,
    ("exchange/engine/liquidation_orders.py", "side = Side.SELL if exposure.amount > 0 else Side.BUY", "Gt"): _WHOLE,
    ("exchange/engine/liquidation_orders.py", "side = Side.SELL if exposure.amount > 0 else Side.BUY", "0"): _WHOLE,
    ("exchange/risk/auction.py", "if elapsed_s < parameters.fast_s:", "Lt"): _MEETS,
    ("exchange/risk/auction.py", "if late_s >= parameters.slow_s:", "GtE"): _MEETS,
    ("exchange/risk/auction.py", "if elapsed_s >= parameters.insolvent_s:", "GtE"): _MEETS,
    ("exchange/risk/standard.py", "if part <= 0:", "LtE"): _DEALT,
    ("exchange/risk/standard.py", "shorts = [row for row in group.options if row.amount_e9 < 0]", "Lt"): _FLAT,
    ("exchange/risk/standard.py", "shorts = [row for row in group.options if row.amount_e9 < 0]", "0"): _FLAT,
}
"""(file, the line without its indentation, what is changed): why nothing changes."""
