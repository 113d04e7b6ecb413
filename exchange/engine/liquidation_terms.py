"""What a liquidation's sizes, prices and fees are computed from: an account's standing in the units of `exchange.risk`.

Amounts are 1e-9 units of the underlying, prices 1e-9 USDC, money 1e-6 USDC, fractions over `ONE`: amount x price / ONE
is money.
"""

from typing import Final

from exchange.domain.commands import Side
from exchange.domain.instrument import Instrument
from exchange.domain.money import ceil_div
from exchange.engine.market_state import is_restricted_for
from exchange.engine.portfolio_margin import is_portfolio
from exchange.engine.records import Account, Order
from exchange.engine.state import State
from exchange.engine.valuation import AccountValue, freed_e6, value_account
from exchange.risk.liquidation import Exposure, Standing, bankruptcy_quote, fund_fee
from exchange.risk.standard import E12, perpetual_requirement

__all__ = ["ONE", "PPM_TO_ONE", "exposure_of", "is_fresh", "liquidation_fee_e6", "standing_of"]

ONE: Final = 10**12
PPM_TO_ONE: Final = 10**6


def is_fresh(state: State, account: Account) -> bool:
    """Whether no market that an account holds is restricted: nothing is liquidated on a stale or halted price."""
    return not any(is_restricted_for(state, account.index, number) for number in account.positions)


def standing_of(value: AccountValue) -> Standing:
    """Net collateral and maintenance requirement, scaled."""
    scale = ONE * ONE
    return Standing(net_collateral=value.equity_e6 * scale, requirement=value.requirement.maintenance_e6 * scale)


def exposure_of(state: State, account: Account, instrument: Instrument) -> Exposure:
    """A perpetual position at its mark; its maintenance fraction is that of its whole notional, rounded up.

    With Portfolio Margin it is what the account's requirement would be lower by without the position, 0 for a hedge.
    """
    amount = account.lots(instrument.instrument_id) * instrument.lot_e9
    price = state.prices.marks[instrument.instrument_id].mark_e9
    notional_e18 = abs(amount) * price
    if is_portfolio(state, account):
        maintenance_e18 = freed_e6(state, account, instrument.instrument_id) * E12
    else:
        tiers = state.config.margin.tiers(instrument.underlying)
        _, maintenance_e18 = perpetual_requirement(notional_e18=notional_e18, tiers=tiers)
    fraction = ceil_div(maintenance_e18 * ONE, notional_e18) if notional_e18 else 0
    return Exposure(amount=amount, price=price, maintenance=fraction)


def liquidation_fee_e6(state: State, order: Order, *, price_ticks: int, lots: int) -> int:
    """What the fund takes of a fill: what it brought above its bankruptcy quote, at most a part of it, at least 0."""
    account, instrument = state.accounts[order.place.subaccount], state.instruments[order.place.instrument]
    standing = standing_of(value_account(state, account))
    if standing.requirement <= 0:
        return 0
    sign = -1 if order.place.side is Side.SELL else 1
    quote = -sign * instrument.notional_e6(price_ticks=price_ticks, quantity_lots=lots)
    bankruptcy = bankruptcy_quote(
        exposure_of(state, account, instrument), standing, change=sign * lots * instrument.lot_e9, one=ONE
    )
    highest = state.config.liquidation.fee_ppm * PPM_TO_ONE
    return max(0, fund_fee(quote=quote, bankruptcy=bankruptcy, highest=highest, one=ONE))
