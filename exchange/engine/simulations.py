"""An account with other positions than it has: what margin it would need, with every number that goes into it."""

from typing import NamedTuple

import msgspec

from exchange.domain.money import ceil_div, floor_div
from exchange.domain.views import SimulateAccount, SimulationView
from exchange.engine.exposure import GroupKey
from exchange.engine.funding import fund_index_e12, pending_e18
from exchange.engine.margin import group_margin
from exchange.engine.margin_kinds import kind_of
from exchange.engine.portfolio_margin import is_portfolio, scenario_portfolio
from exchange.engine.portfolio_margin import worst_margin_e18 as portfolio_worst_e18
from exchange.engine.quote_reserve import reserve_e18
from exchange.engine.records import Account, Position
from exchange.engine.state import State
from exchange.engine.valuation import portfolio_of
from exchange.risk.cash_floor import venue_margin_e18
from exchange.risk.parameters import StandardParameters
from exchange.risk.portfolio_parameters import PortfolioParameters
from exchange.risk.scenario_portfolio import ScenarioPortfolio, portfolio_value_e18
from exchange.risk.standard import E12, Portfolio, margin

__all__ = ["simulate_account"]


class _Judged(NamedTuple):
    """An account's rows and parameters; its value, and what the two requirements leave of it, in 1e-18 USDC."""

    portfolio: Portfolio | ScenarioPortfolio
    parameters: StandardParameters | PortfolioParameters
    value_e18: int
    initial_e18: int
    maintenance_e18: int


def simulate_account(state: State, query: SimulateAccount) -> SimulationView | None:
    """The account's positions plus the changes, at the latest marks.

    Raises KeyError for what has no mark, or no scenario prices where they are needed.
    """
    account = state.accounts.get(query.subaccount)
    if account is None:
        return None
    changed = _changed(state, account, query.changes)
    judged = _judged(state, changed)
    due_e18 = sum(pending_e18(state, account, number) for number in account.positions)
    return SimulationView(
        portfolio=msgspec.to_builtins(judged.portfolio),
        parameters=msgspec.to_builtins(judged.parameters),
        pending_funding_e18=due_e18,
        open_orders_requirement_e6=max(0, ceil_div(judged.initial_e18 - _worst_e18(state, changed), E12)),
        equity_e6=floor_div(judged.value_e18 + due_e18, E12),
        initial_requirement_e6=ceil_div(judged.value_e18 - judged.initial_e18, E12),
        maintenance_requirement_e6=ceil_div(judged.value_e18 - judged.maintenance_e18, E12),
        margin_kind=kind_of(state, account.index),
    )


def _judged(state: State, account: Account) -> _Judged:
    """The positions under the account's kind of margin."""
    if is_portfolio(state, account):
        rows, numbers = scenario_portfolio(state, account), state.config.portfolio
        return _Judged(rows, numbers, portfolio_value_e18(rows), *venue_margin_e18(rows, numbers))
    portfolio, parameters = portfolio_of(state, account), state.config.margin
    alone = margin(portfolio, parameters)
    return _Judged(portfolio, parameters, alone.value_e18, alone.initial_e18, alone.maintenance_e18)


def _worst_e18(state: State, changed: Account) -> int:
    """Signed margin after the worst fill of the account's open orders, had it these positions; no funding."""
    if is_portfolio(state, changed):
        return portfolio_worst_e18(state, changed) - reserve_e18(state, changed.index)
    held: dict[GroupKey, list[int]] = {key: [] for key in state.margin_cache(changed.index).members}
    for number in changed.positions:
        held.setdefault(state.group_of[number], []).append(number)
    margins = sum(group_margin(state, changed, key, held=numbers) for key, numbers in held.items())
    return changed.ledger_cash_e6 * E12 - reserve_e18(state, changed.index) + margins


def _changed(state: State, account: Account, changes: tuple[tuple[int, int, int], ...]) -> Account:
    """A copy with its own positions, nothing due on them; what is bought is paid in ledger cash, rounded down."""
    lots = {number: position.lots for number, position in account.positions.items()}
    cash_e18 = account.ledger_cash_e6 * E12
    for number, delta, price_ticks in changes:
        instrument = state.instruments[number]
        price_e9 = price_ticks * instrument.tick_e9 or state.prices.marks[number].mark_e9
        lots[number] = lots.get(number, 0) + delta
        cash_e18 -= delta * instrument.lot_e9 * price_e9
    positions = {
        number: Position(lots=size, fund_index_e12=fund_index_e12(state, number))
        for number, size in lots.items()
        if size
    }
    cash_e6 = floor_div(cash_e18, E12)
    return Account(index=account.index, owner=account.owner, opened_ns=0, ledger_cash_e6=cash_e6, positions=positions)
