"""An account at its marks: equity, requirements of the positions alone, and of each position."""

from typing import Final

import msgspec

from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.money import ceil_div, floor_div
from exchange.engine.doubt import SURE_E9, confidence_e9
from exchange.engine.funding import pending_e18
from exchange.engine.margin import worst_margin_e18
from exchange.engine.market_limits import initial_tiers
from exchange.engine.portfolio_margin import is_portfolio, scenario_portfolio
from exchange.engine.records import Account
from exchange.engine.state import State
from exchange.risk.cash_floor import venue_margin_e18, venue_requirement
from exchange.risk.standard import (
    E12,
    ExpiryGroup,
    Market,
    OptionRow,
    PerpetualRow,
    Portfolio,
    Requirement,
    margin,
    requirement,
)

__all__ = [
    "AccountValue",
    "freed_e6",
    "maintenance_margin_e18",
    "maintenance_without_e6",
    "open_orders_requirement_e6",
    "portfolio_of",
    "position_requirement",
    "value_account",
]

_NOTHING: Final = Requirement(0, 0)


class AccountValue(msgspec.Struct, frozen=True, kw_only=True):
    """Equity and requirements in 1e-6 USDC; values rounded down, requirements and notional up."""

    equity_e6: int
    positions_value_e6: int
    realized_cash_e6: int
    """Ledger cash with every perpetual counted at its mark, its pending funding paid."""
    perpetual_notional_e6: int
    requirement: Requirement


def value_account(state: State, account: Account, *, doubts: bool = True) -> AccountValue:
    """Value all positions at the latest marks with the funding that is due on them, open orders left out.

    Without `doubts` the initial requirement is that of prices which are sure.
    """
    perpetual = total = notional = 0
    for number, position in account.positions.items():
        instrument = state.instruments[number]
        value = position.lots * instrument.lot_e9 * state.prices.marks[number].mark_e9
        total += value
        if instrument.is_perpetual:
            notional += abs(value)
            pending = pending_e18(state, account, number)
            total += pending
            perpetual += value + pending
    return AccountValue(
        equity_e6=account.ledger_cash_e6 + floor_div(total, E12),
        positions_value_e6=floor_div(total, E12),
        realized_cash_e6=account.ledger_cash_e6 + floor_div(perpetual, E12),
        perpetual_notional_e6=ceil_div(notional, E12),
        requirement=_requirement(state, account, doubts=doubts),
    )


def open_orders_requirement_e6(state: State, account: Account) -> int:
    """What open orders reserve beyond the positions, in 1e-6 USDC, rounded up."""
    if is_portfolio(state, account):
        found = scenario_portfolio(state, account)
        alone = venue_margin_e18(found, state.config.portfolio)[0]
    else:
        alone = margin(portfolio_of(state, account), state.config.margin).initial_e18
    alone += sum(pending_e18(state, account, number) for number in account.positions)
    return max(0, ceil_div(alone - worst_margin_e18(state, account), E12))


def maintenance_without_e6(state: State, account: Account, instrument: int) -> int:
    """Maintenance requirement of all positions but one: above that of all where this one hedges others."""
    return _requirement(state, account, without=instrument).maintenance_e6


def freed_e6(state: State, account: Account, instrument: int) -> int:
    """What the maintenance requirement would be lower by without a position, at least 0."""
    with_it = _requirement(state, account).maintenance_e6
    return max(0, with_it - maintenance_without_e6(state, account, instrument))


def maintenance_margin_e18(state: State, account: Account) -> int:
    """Equity less the maintenance requirement, with the funding that is due, in 1e-18 USDC; open orders left out."""
    pending = sum(pending_e18(state, account, number) for number in account.positions)
    if is_portfolio(state, account):
        found = scenario_portfolio(state, account)
        return venue_margin_e18(found, state.config.portfolio)[1] + pending
    return margin(portfolio_of(state, account), state.config.margin).maintenance_e18 + pending


def _requirement(state: State, account: Account, *, without: int = 0, doubts: bool = True) -> Requirement:
    """Of all positions but one, by the account's own kind of margin."""
    if is_portfolio(state, account):
        found = scenario_portfolio(state, account, without=without, doubts=doubts)
        return venue_requirement(found, state.config.portfolio)
    return requirement(portfolio_of(state, account, without=without, doubts=doubts), state.config.margin)


def portfolio_of(state: State, account: Account, *, without: int = 0, doubts: bool = True) -> Portfolio:
    """The account's positions but one in the words of `exchange.risk`, ascending by underlying and instrument."""
    by_underlying: dict[str, list[Instrument]] = {}
    for number in sorted(account.positions.keys() - {without}):
        instrument = state.instruments[number]
        by_underlying.setdefault(instrument.underlying, []).append(instrument)
    markets = tuple(_market(state, account, name, rows, doubts=doubts) for name, rows in sorted(by_underlying.items()))
    return Portfolio(cash_e6=account.ledger_cash_e6, markets=markets)


def position_requirement(state: State, account: Account, instrument: Instrument) -> Requirement:
    """Requirement of one position as if it stood alone."""
    if not account.lots(instrument.instrument_id):
        return _NOTHING
    if is_portfolio(state, account):
        alone = scenario_portfolio(state, account, only=instrument.instrument_id)
        return venue_requirement(alone, state.config.portfolio)
    market = _market(state, account, instrument.underlying, [instrument])
    return requirement(Portfolio(cash_e6=0, markets=(market,)), state.config.margin)


def _market(
    state: State, account: Account, underlying: str, instruments: list[Instrument], *, doubts: bool = True
) -> Market:
    expiries: dict[int, list[OptionRow]] = {}
    perpetuals = []
    for instrument in instruments:
        number = instrument.instrument_id
        amount_e9 = account.lots(number) * instrument.lot_e9
        mark_e9 = state.prices.marks[number].mark_e9
        if instrument.is_perpetual:
            tiers = initial_tiers(state, underlying)
            perpetuals.append(PerpetualRow(amount_e9=amount_e9, mark_e9=mark_e9, tiers=tiers))
            continue
        is_call = instrument.kind is InstrumentKind.CALL
        row = OptionRow(instrument.strike_e9, is_call, amount_e9, mark_e9)
        expiries.setdefault(instrument.expiry_s, []).append(row)
    groups = tuple(
        ExpiryGroup(forward_e9=state.prices.forward(underlying, expiry_s), options=tuple(rows))
        for expiry_s, rows in sorted(expiries.items())
    )
    return Market(
        index_e9=state.prices.index_e9[underlying],
        perpetuals=tuple(perpetuals),
        expiries=groups,
        confidence_e9=confidence_e9(state, underlying) if doubts else SURE_E9,
    )
