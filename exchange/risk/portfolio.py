"""Portfolio Margin (risk.md 8), one risk underlying per subaccount: sums over the price grid in, margins out.

Integers only. Money has one unit throughout a call, of the caller's choice (1e-18 USDC in the engine); fractions and
amounts are over `one` of the parameters. Products of an amount and a price stay exact; every fraction is rounded where
it is taken, against the account: values and credits down, requirements up. Signs: a `PortfolioMargin` is signed, what
is left of equity after the requirement (requirement = `equity` - margin); losses are negative.

The values of an expiry in the scenarios, V_e(s), are the sums that the engine keeps between commands: `expiry_values`
builds them from the grid, a fill changes one row of it.
"""

from collections.abc import Iterable, Sequence

import msgspec

from exchange.domain.money import ceil_div, floor_div
from exchange.risk.portfolio_parameters import PortfolioParameters, Scenario

__all__ = [
    "Collateral",
    "ExpiryValues",
    "OpenOrder",
    "Perpetual",
    "PortfolioAccount",
    "PortfolioMargin",
    "expiry_values",
    "naked_shorts",
    "open_losses",
    "portfolio_margin",
    "worst_and_basis",
    "worst_loss",
]


class ExpiryValues(msgspec.Struct, frozen=True, kw_only=True):
    """All options of one expiry. Money unless said otherwise; `values` one per scenario, before the sign discounts."""

    values: tuple[int, ...]
    mark: int
    forward_up: int
    forward_down: int
    """Value with the forward moved up and down and volatility unshocked."""
    long_discount: int
    short_discount: int
    """Multipliers of a value that is >= 0, and of one that is below, over `one`."""
    basis_factor: int
    """Share of the basis loss that counts, over `one`."""
    naked_shorts: int = 0
    gross: int = 0
    """Amounts over `one`: short options no other side nets, and the sum of all absolute amounts."""
    confidence: int | None = None
    """Lowest confidence of forward, rate and volatility feeds over `one`; None: full."""


class Perpetual(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The perpetual position. `amount` over `one`, `mark` in money per unit, `profit` = unrealized plus funding."""

    amount: int
    mark: int
    profit: int = 0
    confidence: int | None = None


class Collateral(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`value` = amount x price / stable price. Haircuts over `one`; the initial one is an addition."""

    value: int
    maintenance_haircut: int
    initial_haircut: int
    is_risk_canceling: bool = False
    """Whether it is of the risk underlying, so that it moves with the scenarios."""
    confidence: int | None = None


class PortfolioAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A subaccount. `index` in money per unit, confidences and the stable price over `one`; None: full, or 1."""

    cash: int
    index: int
    index_confidence: int | None = None
    stable: int | None = None
    expiries: tuple[ExpiryValues, ...] = ()
    perpetual: Perpetual | None = None
    further_perpetuals: tuple[Perpetual, ...] = ()
    """Others of the same underlying."""
    collateral: tuple[Collateral, ...] = ()
    open_values: tuple[int, ...] = ()
    """What open orders lose by scenario if the worst of them fill, each <= 0; empty: none (risk.md 9.2)."""
    open_basis: int = 0
    """The same for the basis term."""
    open_sells: int = 0
    """Option amounts offered for sale, counted as naked shorts, over `one`."""
    open_buys: int = 0
    """Option amounts bid for, over `one`; with those offered they count where the index is in doubt."""
    open_perpetuals: int = 0
    """By how much open orders may widen the perpetual positions, over `one`."""

    @property
    def perpetuals(self) -> tuple[Perpetual, ...]:
        """All of them."""
        return self.further_perpetuals if self.perpetual is None else (self.perpetual, *self.further_perpetuals)


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is left of an order: `amount` > 0 over `one`, `limit` and `fee` per unit like the cells of its row."""

    is_buy: bool
    amount: int
    limit: int
    fee: int
    values: tuple[int, ...]


class PortfolioMargin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Signed margins, the equity they are taken from, and its parts; all money."""

    initial: int
    maintenance: int
    equity: int
    option_value: int
    collateral_value: int
    worst: int
    basis: int


def naked_shorts(legs: Iterable[tuple[int, bool, int]]) -> int:
    """Short options of one expiry that no other side nets; legs are (strike, is_call, amount).

    A call and a put of one strike net only when their signs differ, as long as the long side reaches.
    """
    by_strike: dict[int, list[int]] = {}
    for strike, is_call, amount in legs:
        by_strike.setdefault(strike, [0, 0])[is_call] += amount
    total = 0
    for put, call in by_strike.values():
        shorts = -min(put, 0) - min(call, 0)
        total += shorts - min(shorts, max(put, 0) + max(call, 0))
    return total


def expiry_values(amounts: Sequence[int], rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Sum of amount x grid row over the legs of an expiry, column by column; exact."""
    if len(amounts) != len(rows):
        raise ValueError("as many grid rows as amounts")
    return tuple(
        sum(amount * value for amount, value in zip(amounts, column, strict=True)) for column in zip(*rows, strict=True)
    )


def open_losses(orders: Sequence[OpenOrder], parameters: PortfolioParameters) -> tuple[int, ...]:
    """What open orders lose in each scenario if those that lose there fill: `qty x min(0, +-(V - limit) - fee)`; exact.

    Orders fill independently, so in every scenario the worst subset is all that lose (risk.md 9.2). Raises ValueError
    for a row of another width.
    """
    losses = [0] * len(parameters.scenarios)
    for order in orders:
        if len(order.values) != len(losses):
            raise ValueError(f"{len(order.values)} values for {len(losses)} scenarios")
        for place, value in enumerate(order.values):
            gain = value - order.limit if order.is_buy else order.limit - value
            losses[place] += order.amount * min(0, gain - order.fee)
    return tuple(losses)


def worst_loss(account: PortfolioAccount, parameters: PortfolioParameters, *, open_orders: bool = False) -> int:
    """The worst of the basis term and all scenarios (risk.md 8.2), <= 0; with what open orders add, if asked."""
    profits = [_profit(account, parameters, place, row) for place, row in enumerate(parameters.scenarios)]
    if open_orders and account.open_values:
        profits = [profit + loss for profit, loss in zip(profits, account.open_values, strict=True)]
    return min(_basis(account, parameters) + (account.open_basis if open_orders else 0), *profits)


def worst_and_basis(account: PortfolioAccount, parameters: PortfolioParameters) -> tuple[int, int]:
    """(worst loss, basis term) of an account, both <= 0, open orders left out."""
    return worst_loss(account, parameters), _basis(account, parameters)


def portfolio_margin(account: PortfolioAccount, parameters: PortfolioParameters) -> PortfolioMargin:
    """Margins of a subaccount (risk.md 8.3). Raises ValueError when an expiry lacks scenarios."""
    for expiry in account.expiries:
        if len(expiry.values) != len(parameters.scenarios):
            raise ValueError(f"{len(expiry.values)} values for {len(parameters.scenarios)} scenarios")
    option_value = sum(expiry.mark for expiry in account.expiries)
    collateral_value = sum(row.value for row in account.collateral)
    profit = sum(row.profit for row in account.perpetuals)
    equity = account.cash + profit + option_value + collateral_value
    worst = worst_loss(account, parameters)
    worst_open = worst_loss(account, parameters, open_orders=True)
    maintenance, initial = _contingencies(account, parameters)
    one = parameters.one
    factor = parameters.initial_factor + _peg_addition(account, parameters)
    return PortfolioMargin(
        initial=floor_div(worst_open * factor, one) - initial - maintenance + equity,
        maintenance=floor_div(worst * parameters.maintenance_factor, one) - maintenance + equity,
        equity=equity,
        option_value=option_value,
        collateral_value=collateral_value,
        worst=worst,
        basis=_basis(account, parameters),
    )


def _profit(account: PortfolioAccount, parameters: PortfolioParameters, place: int, scenario: Scenario) -> int:
    """Profit of one scenario: options at their sign discount, perpetual and risk-canceling collateral, dampened."""
    one = parameters.one
    scaled = 0
    for expiry in account.expiries:
        value = expiry.values[place]
        change = value * (expiry.long_discount if value >= 0 else expiry.short_discount) - expiry.mark * one
        scaled += -abs(change) if scenario.is_skew else change
    moved = scenario.spot - one
    if moved:
        scaled += sum(floor_div(row.amount * row.mark * moved, one) for row in account.perpetuals)
        scaled += moved * sum(row.value for row in account.collateral if row.is_risk_canceling)
    if scenario.dampening != one:
        scaled = floor_div(scaled, one) * scenario.dampening
    return floor_div(scaled, one)


def _basis(account: PortfolioAccount, parameters: PortfolioParameters) -> int:
    """Loss of every expiry by itself when its forward leaves the others; <= 0, without the sign discounts."""
    scaled = sum(
        min(expiry.forward_up - expiry.mark, expiry.forward_down - expiry.mark, 0) * expiry.basis_factor
        for expiry in account.expiries
    )
    return floor_div(scaled, parameters.one)


def _peg_addition(account: PortfolioAccount, parameters: PortfolioParameters) -> int:
    """Addition to the initial loss factor while the stable coin is below its threshold, over `one`."""
    stable = parameters.one if account.stable is None else account.stable
    return ceil_div(max(0, parameters.peg_threshold - stable) * parameters.peg_factor, parameters.one)


def _contingencies(account: PortfolioAccount, parameters: PortfolioParameters) -> tuple[int, int]:
    """(maintenance, further initial) contingency, both >= 0, each product rounded up."""
    one = parameters.one
    maintenance = sum(ceil_div(row.value * row.maintenance_haircut, one) for row in account.collateral)
    initial = sum(ceil_div(row.value * row.initial_haircut, one) for row in account.collateral)
    exposed = sum(abs(row.amount) for row in account.perpetuals)
    shorts = sum(expiry.naked_shorts for expiry in account.expiries)
    square = one * one
    maintenance += ceil_div(exposed * account.index * parameters.perpetual_maintenance, square)
    maintenance += ceil_div(shorts * account.index * parameters.option_maintenance, square)
    initial += ceil_div(exposed * account.index * parameters.perpetual_initial, square)
    initial += ceil_div(shorts * account.index * parameters.option_initial, square)
    both = parameters.option_maintenance + parameters.option_initial
    initial += ceil_div(account.open_sells * account.index * both, square)
    both = parameters.perpetual_maintenance + parameters.perpetual_initial
    initial += ceil_div(account.open_perpetuals * account.index * both, square)
    return maintenance, initial + _confidence_additions(account, parameters)


def _confidence_additions(account: PortfolioAccount, parameters: PortfolioParameters) -> int:
    one = parameters.one
    spot = one if account.index_confidence is None else account.index_confidence
    total = 0
    held = spot
    for row in account.perpetuals:
        if row.amount:
            held = min(held, _or_full(row.confidence, one))
            total += _confidence_addition(min(spot, held), abs(row.amount) * account.index, parameters)
    for expiry in account.expiries:
        confidence = min(held, _or_full(expiry.confidence, one))
        total += _confidence_addition(confidence, expiry.gross * account.index, parameters)
    for asset in account.collateral:
        confidence = min(spot, _or_full(asset.confidence, one))
        total += _confidence_addition(confidence, asset.value * one, parameters)
    open_amounts = account.open_perpetuals + account.open_sells + account.open_buys
    return total + _confidence_addition(held, open_amounts * account.index, parameters)


def _confidence_addition(confidence: int, scaled_notional: int, parameters: PortfolioParameters) -> int:
    """`(1 - c) x factor x notional` below the threshold; the notional comes multiplied by `one`."""
    if confidence >= parameters.confidence_threshold:
        return 0
    one = parameters.one
    return ceil_div((one - confidence) * parameters.confidence_factor * scaled_notional, one * one * one)


def _or_full(confidence: int | None, one: int) -> int:
    return one if confidence is None else confidence
