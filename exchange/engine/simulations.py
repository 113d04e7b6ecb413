"""An account with other positions than it has: what margin it would need, with every number that goes into it."""

import msgspec

from exchange.domain.money import floor_div
from exchange.domain.views import SimulateAccount, SimulationView
from exchange.engine.funding import pending_e18
from exchange.engine.margin_kinds import kind_of
from exchange.engine.portfolio_margin import is_portfolio, scenario_portfolio
from exchange.engine.records import Account, Position
from exchange.engine.state import State
from exchange.engine.valuation import open_orders_requirement_e6, portfolio_of
from exchange.risk.parameters import StandardParameters
from exchange.risk.portfolio_parameters import PortfolioParameters
from exchange.risk.scenario_portfolio import ScenarioPortfolio, portfolio_requirement, portfolio_value_e18
from exchange.risk.standard import E12, Portfolio, Requirement, margin, requirement

__all__ = ["simulate_account"]

_Portfolio = Portfolio | ScenarioPortfolio
_Parameters = StandardParameters | PortfolioParameters


def simulate_account(state: State, query: SimulateAccount) -> SimulationView | None:
    """The account's positions plus the changes, at the latest marks.

    Raises KeyError for what has no mark, or no scenario prices where they are needed.
    """
    account = state.accounts.get(query.subaccount)
    if account is None:
        return None
    changed = _changed(state, account, query.changes)
    portfolio, parameters, needed, value_e18 = _judged(state, changed)
    due_e18 = sum(pending_e18(state, account, number) for number in account.positions)
    return SimulationView(
        portfolio=msgspec.to_builtins(portfolio),
        parameters=msgspec.to_builtins(parameters),
        pending_funding_e18=due_e18,
        open_orders_requirement_e6=open_orders_requirement_e6(state, account),
        equity_e6=floor_div(value_e18 + due_e18, E12),
        initial_requirement_e6=needed.initial_e6,
        maintenance_requirement_e6=needed.maintenance_e6,
        margin_kind=kind_of(state, account.index),
    )


def _judged(state: State, account: Account) -> tuple[_Portfolio, _Parameters, Requirement, int]:
    """The account's rows, the parameters of its kind of margin, what they require, and the value in 1e-18 USDC."""
    if is_portfolio(state, account):
        rows, numbers = scenario_portfolio(state, account), state.config.portfolio
        return rows, numbers, portfolio_requirement(rows, numbers), portfolio_value_e18(rows)
    portfolio, parameters = portfolio_of(state, account), state.config.margin
    return portfolio, parameters, requirement(portfolio, parameters), margin(portfolio, parameters).value_e18


def _changed(state: State, account: Account, changes: tuple[tuple[int, int, int], ...]) -> Account:
    """A copy with its own positions; what is bought is paid in ledger cash, rounded down."""
    lots = {number: position.lots for number, position in account.positions.items()}
    cash_e18 = account.ledger_cash_e6 * E12
    for number, delta, price_ticks in changes:
        instrument = state.instruments[number]
        price_e9 = price_ticks * instrument.tick_e9 or state.prices.marks[number].mark_e9
        lots[number] = lots.get(number, 0) + delta
        cash_e18 -= delta * instrument.lot_e9 * price_e9
    positions = {number: Position(lots=size) for number, size in lots.items() if size}
    cash_e6 = floor_div(cash_e18, E12)
    return Account(index=account.index, owner=account.owner, opened_ns=0, ledger_cash_e6=cash_e6, positions=positions)
