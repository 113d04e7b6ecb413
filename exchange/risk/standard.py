"""Standard Margin (risk.md 7), cross per subaccount: positions and prices in, requirements out; integers only (D-001).

Prices are 1e-9 USDC per unit (`_e9`), amounts signed 1e-9 units of the underlying (`_e9`), so every value is exact in
1e-18 USDC (`_e18`); a fraction rounds against the account, and results are rounded once more, up, to 1e-6 USDC.
A `Margin` is signed: what is left of equity after the requirement. A `Requirement` is positive: equity minus margin.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.domain.money import ceil_div, floor_div
from exchange.risk.parameters import StandardParameters, Tier

__all__ = [
    "E12",
    "ExpiryGroup",
    "Margin",
    "Market",
    "OptionRow",
    "PerpetualRow",
    "Portfolio",
    "Requirement",
    "confidence_add_on",
    "expiry_margin",
    "margin",
    "perpetual_requirement",
    "requirement",
    "withdrawable",
]

E12: Final = 10**12
_PPM: Final = 10**6
_E9: Final = 10**9
_WITHDRAWAL_PERPETUAL_PPM: Final = 100_000


class Margin(msgspec.Struct, frozen=True, gc=False):
    """Signed margins in 1e-18 USDC, and the value of the same things at their marks."""

    initial_e18: int
    maintenance_e18: int
    value_e18: int

    def plus(self, other: "Margin") -> "Margin":
        """Sum, field by field."""
        return Margin(
            self.initial_e18 + other.initial_e18,
            self.maintenance_e18 + other.maintenance_e18,
            self.value_e18 + other.value_e18,
        )


class Requirement(msgspec.Struct, frozen=True, gc=False):
    """Requirements in 1e-6 USDC, rounded up; an account is healthy iff its equity reaches them."""

    initial_e6: int
    maintenance_e6: int


class OptionRow(msgspec.Struct, frozen=True, gc=False):
    """One option leg of an expiry."""

    strike_e9: int
    is_call: bool
    amount_e9: int
    mark_e9: int


class ExpiryGroup(msgspec.Struct, frozen=True, kw_only=True):
    """All options of one underlying and expiry. `confidence_e9`: lowest of its feeds."""

    forward_e9: int
    options: tuple[OptionRow, ...]
    confidence_e9: int = _E9


class PerpetualRow(msgspec.Struct, frozen=True, kw_only=True):
    """A perpetual position. `cost_e18`: what was paid for it, when the portfolio's cash leaves that out, else 0."""

    amount_e9: int
    mark_e9: int
    tiers: tuple[Tier, ...]
    cost_e18: int = 0
    confidence_e9: int = _E9


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on one underlying; `base_amount_e9` of it itself is collateral at `base_factor_ppm` of its value."""

    index_e9: int
    perpetuals: tuple[PerpetualRow, ...] = ()
    expiries: tuple[ExpiryGroup, ...] = ()
    confidence_e9: int = _E9
    base_amount_e9: int = 0
    base_factor_ppm: int = 0
    base_initial_scale_ppm: int = _PPM


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """A subaccount. `cash_e6` is ledger cash: perpetuals were paid for in it like anything else."""

    cash_e6: int
    markets: tuple[Market, ...] = ()
    stable_ppm: int = _PPM
    """Price of USDC."""


def perpetual_requirement(*, notional_e18: int, tiers: Sequence[Tier]) -> tuple[int, int]:
    """(initial, maintenance) requirement of an unsigned notional in 1e-18 USDC, bracket by bracket, rounded up."""
    initial = maintenance = lower = 0
    for tier in tiers:
        upper = tier.upper_e6 * E12
        part = (notional_e18 if not upper else min(notional_e18, upper)) - lower
        if part <= 0:
            break
        initial += part * tier.initial_ppm
        maintenance += part * tier.maintenance_ppm
        lower = upper
    return ceil_div(initial, _PPM), ceil_div(maintenance, _PPM)


def expiry_margin(index_e9: int, group: ExpiryGroup, parameters: StandardParameters) -> Margin:
    """Better of the isolated sum and the maximum loss, for initial and maintenance (risk.md 7.2); both are <= 0."""
    shorts = [row for row in group.options if row.amount_e9 < 0]
    value = sum(row.mark_e9 * row.amount_e9 for row in group.options)
    if not shorts:
        return Margin(0, 0, value)
    isolated = [_isolated_short(index_e9, row, parameters) for row in shorts]
    loss = _maximum_loss(group.options)
    net_calls_e9 = min(0, sum(row.amount_e9 for row in group.options if row.is_call))
    unpaired = group.forward_e9 * net_calls_e9
    return Margin(
        max(sum(row[0] for row in isolated), loss + floor_div(unpaired * parameters.unpaired_initial_ppm, _PPM)),
        max(sum(row[1] for row in isolated), loss + floor_div(unpaired * parameters.unpaired_maintenance_ppm, _PPM)),
        value,
    )


def margin(portfolio: Portfolio, parameters: StandardParameters) -> Margin:
    """Signed margins and equity of a portfolio in 1e-18 USDC."""
    cash = portfolio.cash_e6 * E12
    total = Margin(cash, cash, cash)
    for market in portfolio.markets:
        total = total.plus(_market_margin(market, parameters, portfolio.stable_ppm))
    return total


def requirement(portfolio: Portfolio, parameters: StandardParameters) -> Requirement:
    """Requirements of a portfolio, rounded up: healthy iff equity, rounded down, reaches them."""
    result = margin(portfolio, parameters)
    return Requirement(
        ceil_div(result.value_e18 - result.initial_e18, E12),
        ceil_div(result.value_e18 - result.maintenance_e18, E12),
    )


def withdrawable(*, cash_e6: int, equity_e6: int, initial_requirement_e6: int, perpetual_notional_e6: int) -> int:
    """What may leave: the lower of cash (perpetuals realized) and equity less what must stay (risk.md 4.2); >= 0."""
    stays = max(initial_requirement_e6, ceil_div(perpetual_notional_e6 * _WITHDRAWAL_PERPETUAL_PPM, _PPM))
    return max(0, min(cash_e6, equity_e6 - stays))


def _market_margin(market: Market, parameters: StandardParameters, stable_ppm: int) -> Margin:
    total = _base_margin(market, parameters, stable_ppm) if market.base_amount_e9 else Margin(0, 0, 0)
    exposed_e9 = 0
    for row in market.perpetuals:
        exposed_e9 += abs(row.amount_e9)
        total = total.plus(_perpetual_margin(market, row, parameters))
    for group in market.expiries:
        shorts_e9 = -sum(min(0, row.amount_e9) for row in group.options)
        exposed_e9 += shorts_e9
        confidence = min(market.confidence_e9, group.confidence_e9)
        add_on = confidence_add_on(confidence, shorts_e9 * market.index_e9, parameters)
        total = total.plus(expiry_margin(market.index_e9, group, parameters)).plus(Margin(-add_on, 0, 0))
    depeg_ppm = max(0, parameters.depeg_threshold_ppm - stable_ppm)
    depeg = ceil_div(exposed_e9 * market.index_e9 * depeg_ppm * parameters.depeg_factor_ppm, _PPM * _PPM)
    return total.plus(Margin(-depeg, 0, 0))


def _base_margin(market: Market, parameters: StandardParameters, stable_ppm: int) -> Margin:
    worth = market.base_amount_e9 * market.index_e9
    credit = floor_div(worth * market.base_factor_ppm, _PPM)
    add_on = confidence_add_on(market.confidence_e9, worth, parameters)
    initial = floor_div(credit * market.base_initial_scale_ppm, _PPM) - add_on
    return Margin(initial, credit, floor_div(worth * _PPM, stable_ppm))


def _perpetual_margin(market: Market, row: PerpetualRow, parameters: StandardParameters) -> Margin:
    value = row.amount_e9 * row.mark_e9 - row.cost_e18
    initial, maintenance = perpetual_requirement(notional_e18=abs(row.amount_e9) * row.mark_e9, tiers=row.tiers)
    confidence = min(market.confidence_e9, row.confidence_e9)
    add_on = confidence_add_on(confidence, abs(row.amount_e9) * market.index_e9, parameters)
    return Margin(value - initial - add_on, value - maintenance, value)


def confidence_add_on(confidence_e9: int, exposed_e18: int, parameters: StandardParameters) -> int:
    """What initial margin asks for beside, on a price below the threshold of confidence (1e-9); 1e-18, rounded up."""
    if not exposed_e18 or confidence_e9 >= parameters.confidence_threshold_ppm * 1_000:
        return 0
    return ceil_div(exposed_e18 * (_E9 - confidence_e9) * parameters.confidence_factor_ppm, _E9 * _PPM)


def _isolated_short(index_e9: int, row: OptionRow, parameters: StandardParameters) -> tuple[int, int]:
    """(initial, maintenance) signed margin of one short leg alone (risk.md 7.1), rounded down."""
    mark_value = row.mark_e9 * row.amount_e9
    out_of_money_e9 = max(0, row.strike_e9 - index_e9 if row.is_call else index_e9 - row.strike_e9)
    per_unit = max(
        parameters.maximum_spot_ppm * index_e9 - out_of_money_e9 * _PPM, parameters.minimum_spot_ppm * index_e9
    )
    initial = floor_div(per_unit * row.amount_e9, _PPM) + mark_value
    if row.is_call:
        return initial, floor_div(parameters.call_maintenance_ppm * index_e9 * row.amount_e9, _PPM) + mark_value
    spot_part = floor_div(parameters.put_maintenance_ppm * index_e9 * row.amount_e9, _PPM)
    mark_part = floor_div(parameters.put_maintenance_mark_ppm * mark_value, _PPM)
    maintenance = min(spot_part, mark_part) + mark_value
    return min(initial, floor_div(maintenance * parameters.put_offset_ppm, _PPM)), maintenance


def _maximum_loss(options: Sequence[OptionRow]) -> int:
    """Lowest payoff of the legs at expiry over price 0 and every strike, at most 0, in 1e-18 USDC."""
    return min(0, *(_payoff(options, price) for price in sorted({0, *(row.strike_e9 for row in options)})))


def _payoff(options: Sequence[OptionRow], price_e9: int) -> int:
    return sum(
        row.amount_e9 * max(0, price_e9 - row.strike_e9 if row.is_call else row.strike_e9 - price_e9) for row in options
    )
