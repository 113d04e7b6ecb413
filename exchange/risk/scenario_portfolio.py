"""Portfolio Margin of a whole subaccount from plain rows: the numbers that the exchange journals in, requirements out.

What `exchange.risk.portfolio` does for one underlying in any unit is done here in the exchange's own: prices 1e-9 USDC
per unit, amounts signed 1e-9 units, money 1e-18 USDC, parameters over 1e9. The underlyings of an account add up without
offsets. Equity is cash and positions at their latest marks; how they change is read from the scenario prices alone, so
that a mark which moved since they were made moves no loss.

Open orders fill independently. Per scenario every order counts that would lose there, at its limit and with its fee;
its option is discounted as the worse side of the sign rule, which bounds what the fill does to any portfolio: after
whatever fills, at unmoved prices, no less margin is left than the check found.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.domain.money import ceil_div, floor_div
from exchange.risk.parameters import Tier
from exchange.risk.portfolio import (
    ExpiryValues,
    Perpetual,
    PortfolioAccount,
    expiry_values,
    naked_shorts,
    portfolio_margin,
)
from exchange.risk.portfolio_parameters import PortfolioParameters
from exchange.risk.standard import E12, Requirement

__all__ = [
    "FURTHER_CELLS",
    "OpenOrderRow",
    "ScenarioExpiry",
    "ScenarioMarket",
    "ScenarioOption",
    "ScenarioPerpetual",
    "ScenarioPortfolio",
    "UnitChanges",
    "option_changes",
    "perpetual_changes",
    "portfolio_requirement",
    "portfolio_value_e18",
    "required_e18",
]

FURTHER_CELLS: Final = 3
"""Cells of an option behind those of the scenarios: unshocked, forward up, forward down."""
_E9: Final = 10**9


class ScenarioOption(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One option position with its cells."""

    strike_e9: int
    is_call: bool
    amount_e9: int
    mark_e9: int
    cells: tuple[int, ...]


class ScenarioExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """All options of one expiry; multipliers of a value >= 0 and of one below, share of the basis loss, over 1e9."""

    positive_e9: int
    negative_e9: int
    basis_e9: int
    options: tuple[ScenarioOption, ...] = ()


class ScenarioPerpetual(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One perpetual position."""

    amount_e9: int
    mark_e9: int


class UnitChanges(msgspec.Struct, frozen=True, gc=False):
    """What a unit bought or sold at its mark changes by in each scenario and in the basis term, 1e-9 USDC, floored."""

    buy: tuple[int, ...]
    sell: tuple[int, ...]
    buy_basis: int
    sell_basis: int


class OpenOrderRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order that may fill: `gain_e9` of a unit at its limit against the mark, `fee_e18` for all of it."""

    is_buy: bool
    amount_e9: int
    gain_e9: int
    fee_e18: int
    changes: UnitChanges


class ScenarioMarket(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on one underlying."""

    index_e9: int
    perpetuals: tuple[ScenarioPerpetual, ...] = ()
    expiries: tuple[ScenarioExpiry, ...] = ()
    orders: tuple[OpenOrderRow, ...] = ()
    open_sells_e9: int = 0
    """Options offered for sale."""
    open_buys_e9: int = 0
    """Options bid for: they count where the index is in doubt."""
    open_perpetuals_e9: int = 0
    """By how much orders may widen the perpetual positions."""
    tiers: tuple[Tier, ...] = ()
    """Brackets of the perpetuals: the scenarios do not read them, the cash floor does."""
    confidence_e9: int = _E9
    """Of the index. Below the threshold initial margin asks for what is missing, of all amounts at the index (8.3)."""


class ScenarioPortfolio(msgspec.Struct, frozen=True, kw_only=True):
    """A subaccount; `cash_e6` is ledger cash: perpetuals were paid for in it like anything else."""

    cash_e6: int
    markets: tuple[ScenarioMarket, ...] = ()


def option_changes(
    cells: Sequence[int], *, positive_e9: int, negative_e9: int, basis_e9: int, parameters: PortfolioParameters
) -> UnitChanges:
    """Of an option with these cells: bought, its value is discounted as a long one's; sold, as a short one's."""
    flat, up, down = cells[-FURTHER_CELLS:]
    buys, sells = [], []
    for scenario, cell in zip(parameters.scenarios, cells, strict=False):
        low = floor_div(cell * positive_e9, _E9) - flat
        high = ceil_div(cell * negative_e9, _E9) - flat
        if scenario.is_skew:
            # Whichever way the smile bends, and whatever else the expiry holds.
            low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
        buys.append(floor_div(low * scenario.dampening, _E9))
        sells.append(floor_div(-high * scenario.dampening, _E9))
    return UnitChanges(
        tuple(buys),
        tuple(sells),
        floor_div(min(up - flat, down - flat, 0) * basis_e9, _E9),
        floor_div(min(flat - up, flat - down, 0) * basis_e9, _E9),
    )


def perpetual_changes(mark_e9: int, parameters: PortfolioParameters) -> UnitChanges:
    """Of a perpetual: its mark moves with the spot."""
    square = _E9 * _E9
    moves = [(row.spot - _E9) * row.dampening for row in parameters.scenarios]
    return UnitChanges(
        tuple(floor_div(mark_e9 * move, square) for move in moves),
        tuple(floor_div(-mark_e9 * move, square) for move in moves),
        0,
        0,
    )


def portfolio_value_e18(portfolio: ScenarioPortfolio) -> int:
    """Equity: cash and positions at their marks."""
    value = portfolio.cash_e6 * E12
    for market in portfolio.markets:
        value += sum(row.amount_e9 * row.mark_e9 for row in market.perpetuals)
        value += sum(row.amount_e9 * row.mark_e9 for expiry in market.expiries for row in expiry.options)
    return value


def portfolio_requirement(portfolio: ScenarioPortfolio, parameters: PortfolioParameters) -> Requirement:
    """Initial and maintenance requirement in 1e-6 USDC, rounded up; open orders count in the initial one.

    Raises ValueError where cells do not fit the scenarios.
    """
    rows = [required_e18(market, parameters) for market in portfolio.markets]
    return Requirement(
        ceil_div(sum(initial for initial, _ in rows), E12), ceil_div(sum(maintenance for _, maintenance in rows), E12)
    )


def required_e18(market: ScenarioMarket, parameters: PortfolioParameters) -> tuple[int, int]:
    """(initial, maintenance) requirement of one underlying; below 0 never for what cannot gain."""
    found = portfolio_margin(_account(market, parameters), parameters)
    return found.equity - found.initial, found.equity - found.maintenance


def _account(market: ScenarioMarket, parameters: PortfolioParameters) -> PortfolioAccount:
    rows = [Perpetual(amount=row.amount_e9, mark=row.mark_e9 * _E9) for row in market.perpetuals]
    values, basis = _open_losses(market.orders, len(parameters.scenarios))
    return PortfolioAccount(
        cash=0,
        index=market.index_e9 * _E9,
        index_confidence=market.confidence_e9,
        expiries=tuple(_expiry(expiry, len(parameters.scenarios)) for expiry in market.expiries),
        further_perpetuals=tuple(rows),
        open_values=values,
        open_basis=basis,
        open_sells=market.open_sells_e9,
        open_buys=market.open_buys_e9,
        open_perpetuals=market.open_perpetuals_e9,
    )


def _expiry(expiry: ScenarioExpiry, scenarios: int) -> ExpiryValues:
    options = expiry.options
    values = expiry_values([row.amount_e9 for row in options], [row.cells for row in options])
    if len(values) != scenarios + FURTHER_CELLS:
        raise ValueError(f"{len(values)} cells for {scenarios} scenarios")
    flat, up, down = values[-FURTHER_CELLS:]
    return ExpiryValues(
        values=values[:scenarios],
        mark=flat,
        forward_up=up,
        forward_down=down,
        long_discount=expiry.positive_e9,
        short_discount=expiry.negative_e9,
        basis_factor=expiry.basis_e9,
        naked_shorts=naked_shorts((row.strike_e9, row.is_call, row.amount_e9) for row in options),
        gross=sum(abs(row.amount_e9) for row in options),
    )


def _open_losses(orders: Sequence[OpenOrderRow], scenarios: int) -> tuple[tuple[int, ...], int]:
    """What the orders lose that lose, by scenario and in the basis term; exact."""
    losses, basis = [0] * scenarios, 0
    for row in orders:
        changes = row.changes.buy if row.is_buy else row.changes.sell
        moved = row.changes.buy_basis if row.is_buy else row.changes.sell_basis
        for place, change in enumerate(changes):
            losses[place] += min(0, row.amount_e9 * (change + row.gain_e9) - row.fee_e18)
        basis += min(0, row.amount_e9 * (moved + row.gain_e9) - row.fee_e18)
    return tuple(losses), basis
