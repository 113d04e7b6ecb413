"""Mutants that no test can notice, each with its reason: they count neither as noticed nor as survived."""

from typing import Final

__all__ = ["EQUIVALENTS"]

_FLAT: Final = "the factor behind it is 0 for a position of 0"
_WHOLE: Final = "a position that is held is never 0, and its amount is a multiple of the lot"
_MEETS: Final = "both lines meet there: the formulas give the same number"
_BOTH: Final = "high and low are written together, and prices are above 0"
_NOBODY: Final = "a long that would get nothing, or pay, has no profit: nobody gives way either way"
_DEALT: Final = "a part of 0 adds 0, and the next one is below 0"

_SHARE: Final = "for a share up to all, a share of the smaller depth, rounded up, is still what is wanted"
_NO_PRICE: Final = "without a price there is no order, whatever stands in the book"
_EMPTY: Final = "all legs of such an account are 0, of whatever unit"
_TAKEN: Final = "only the first six words of the slice are read"
_UNREAD: Final = "worst loss and basis read neither cash nor index"
_BEFORE: Final = "what is 0 was answered above"
_ZERO: Final = "for 0 both sides give 0"
_MULTIPLE: Final = "a requirement is a multiple of 10^24 here"
_TOLD: Final = "the rules of closing read neither the number of the round nor indexes of funding"
_CHANGED: Final = "only whether it changed is asked"
_CAPPED: Final = "a twentieth of either is no less than the most that the venue may set"
_BOUNDS: Final = "the bounds themselves say the same of a long option"
_CANCELS: Final = "cash is part of equity and of margin, so that the requirement has none of it"
_NAMES: Final = "a change of no lots names no instrument"
_NOT_FOUND: Final = "above the maximum is none, however far above"
_SAME: Final = "both lists are built from the same legs"

_DEEP: Final = "deep = ceil_div(wanted * PPM_TO_ONE, adaptive.depth_share_ppm)  # more than this is as good as any"
_UNITS: Final = "units = [gcd(*(leg.amount_e9 for leg in legs)) or 1 for legs in ordered]"
_COUNTS: Final = "[floor_div(leg.amount_e9, unit) for legs, unit in zip(ordered, units, strict=True) for leg in legs],"
_WORDS: Final = (
    "plain_losses(account, grid.view, grid.parameters) if left_over[at] else _losses(words[6 * at : 6 * at + 6])"
)
_SCANNED: Final = "subaccount = PortfolioAccount(cash=0, index=0, expiries=expiries, perpetual=linear)"
_GIVES_WAY: Final = "return exposure.price - offset if exposure.amount > 0 else exposure.price + offset"
_FEE: Final = "return min(floor_div(highest * abs(quote), one), surplus) if surplus > 0 else surplus"
_NUMERATOR: Final = "numerator = level * one if slope > 0 else -level * one"
_FOUND: Final = "found = floor_div(numerator, abs(slope)) if amount < 0 else ceil_div(numerator, abs(slope))"
_LOTS: Final = "return {number: (account.lots(number), 0) for number in account.positions}"
_SIDE: Final = "side = [row for row in rows if (row.lots(number) > 0) is is_long and not row.is_in_liquidation]"
_TIERS: Final = "for tier, ppm in zip(parameters.tiers(underlying), fractions, strict=True)"
_LOSS: Final = "return worse_e9 * lots * instrument.lot_e9 if worse_e9 > 0 else 0"
_ALONE: Final = "return requirement(Portfolio(cash_e6=0, markets=(market,)), state.config.margin)"
_WEIGHED: Final = "if row.lots > 0 and deleveraging_weight(row) and not (spare_hedges and row.is_hedge)"
_GROWN: Final = "return base + floor_div(above * (one - base), upper - lower) if base < one else base"
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
    ("exchange/engine/liquidation_orders.py", _DEEP, "ceil_div"): _SHARE,
    ("exchange/engine/liquidation_orders.py", "return 0", "0"): _NO_PRICE,
    ("exchange/risk/liquidation.py", _GIVES_WAY, "Gt"): _WHOLE,
    ("exchange/risk/liquidation.py", _FEE, "Gt"): _ZERO,
    ("exchange/risk/liquidation.py", _NUMERATOR, "Gt"): _BEFORE,
    ("exchange/risk/liquidation.py", _FOUND, "Lt"): _BEFORE,
    ("exchange/risk/liquidation.py", _FOUND, "0"): _BEFORE,
    ("exchange/risk/liquidation_ticks.py", "if amount_e9 < 0:", "Lt"): _BEFORE,
    ("exchange/risk/liquidation_ticks.py", "if amount_e9 < 0:", "0"): _BEFORE,
    ("exchange/engine/liquidation_terms.py", "if standing.requirement <= 0:", "0"): _MULTIPLE,
    ("exchange/engine/closing.py", "_ANY_ROUND: Final = 1", "1"): _TOLD,
    ("exchange/engine/closing.py", _LOTS, "0"): _TOLD,
    ("exchange/engine/limit_table.py", "serial: int = 0", "0"): _CHANGED,
    ("exchange/engine/limit_table.py", "self.serial += 1", "Add"): _CHANGED,
    ("exchange/engine/limit_table.py", "self.serial += 1", "1"): _CHANGED,
    ("exchange/engine/limit_table.py", "market_cap=row.market_cap_e6 or 20 * MAX_MONEY_E6,", "20"): _CAPPED,
    ("exchange/engine/chain_cover.py", "if lots > 0 and instrument.is_option:", "Gt"): _WHOLE,
    ("exchange/engine/chain_cover.py", "if lots > 0 and instrument.is_option:", "0"): _BOUNDS,
    ("exchange/engine/deleveraging_ranks.py", _SIDE, "Gt"): _WHOLE,
    ("exchange/engine/limit_table.py", _TIERS, "True"): _SAME,
    ("exchange/engine/margin.py", "underlying, expiry_s = str(key[0]), key[-1]", "minus"): "a key of options has two",
    ("exchange/engine/margin.py", _LOSS, "Gt"): _ZERO,
    ("exchange/engine/portfolio_margin.py", "_NOTHING: Final = Change(0, Side.BUY)", "0"): _NAMES,
    ("exchange/engine/valuation.py", _ALONE, "0"): _CANCELS,
    ("exchange/risk/insurance.py", _WEIGHED, "Gt"): _FLAT,
    ("exchange/risk/limits.py", _GROWN, "Lt"): _ZERO,
    ("exchange/risk/liquidation_ticks.py", "low, high = 1, maximum + 1", "1"): _NOT_FOUND,
    ("exchange/risk/scenario_portfolio.py", "cash=0,", "0"): _CANCELS,
    ("exchange/risk/scanning.py", _UNITS, "1"): _EMPTY,
    ("exchange/risk/scanning.py", _COUNTS, "True"): _SAME,
    ("exchange/risk/scanning.py", _WORDS, "6"): _TAKEN,
    ("exchange/risk/scanning.py", _SCANNED, "0"): _UNREAD,
    ("exchange/risk/auction.py", "if elapsed_s < parameters.fast_s:", "Lt"): _MEETS,
    ("exchange/risk/auction.py", "if late_s >= parameters.slow_s:", "GtE"): _MEETS,
    ("exchange/risk/auction.py", "if elapsed_s >= parameters.insolvent_s:", "GtE"): _MEETS,
    ("exchange/risk/standard.py", "if part <= 0:", "LtE"): _DEALT,
    ("exchange/risk/standard.py", "shorts = [row for row in group.options if row.amount_e9 < 0]", "Lt"): _FLAT,
    ("exchange/risk/standard.py", "shorts = [row for row in group.options if row.amount_e9 < 0]", "0"): _FLAT,
}
"""(file, the line without its indentation, what is changed): why nothing changes."""
