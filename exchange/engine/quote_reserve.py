"""What quotes reserve: their group's quantity limit at its worst, however many quotes there are (risk.md 9.2).

The limit is priced by the index alone, so a quote must not cost more than that by its own price (D-053).
"""

from typing import Final

from exchange.domain.commands import Side
from exchange.domain.money import ceil_div, floor_div
from exchange.engine.market_limits import initial_tiers
from exchange.engine.records import MmpGroup
from exchange.engine.state import State
from exchange.risk.standard import perpetual_requirement

__all__ = ["costs_more_than_reserved", "group_reserve_e18", "reserve_e18"]

_PPM: Final = 10**6


def reserve_e18(state: State, subaccount: int) -> int:
    """Sum over the account's groups that have a quote in the book, in 1e-18 USDC."""
    groups = state.account_groups[subaccount].values()
    return sum(group_reserve_e18(state, group) for group in groups if state.quote_count(group))


def group_reserve_e18(state: State, group: MmpGroup, quantity_lots: int | None = None) -> int:
    """The limit at the index as a perpetual or as a short option at the money, whichever needs more; rounded up.

    With Portfolio Margin at least what the worst move of the spot takes from a perpetual, and its contingencies.
    """
    lots = group.quantity_lots if quantity_lots is None else quantity_lots
    notional_e18 = lots * group.lot_e9 * state.prices.index_e9.get(group.underlying, 0)
    parameters = state.config.margin
    perpetual, _ = perpetual_requirement(notional_e18=notional_e18, tiers=initial_tiers(state, group.underlying))
    standard = max(perpetual, ceil_div(notional_e18 * parameters.maximum_spot_ppm, _PPM))
    if group.subaccount not in state.scenarios.accounts:
        return standard
    portfolio = state.config.portfolio
    return max(standard, ceil_div(notional_e18 * portfolio.quote_reserve, portfolio.one))


def costs_more_than_reserved(state: State, number: int, side: Side, price_ticks: int) -> bool:
    """Whether a unit quoted at this price may take more from its account than a unit of the limit reserves at least.

    A bid for an option costs its price; any other side what it loses against the mark, a perpetual its lowest initial
    bracket beside. Twin: `is_reserved` of `_quote_call.pxd`.
    """
    instrument, parameters = state.instruments[number], state.config.margin
    index_e9, price_e9 = state.prices.index_e9[instrument.underlying], price_ticks * instrument.tick_e9
    room_ppm = parameters.maximum_spot_ppm
    if instrument.is_perpetual:
        room_ppm -= parameters.tiers(instrument.underlying)[0].initial_ppm
    elif side is Side.BUY:
        return price_e9 > floor_div(index_e9 * room_ppm, _PPM)
    worse_e9 = price_e9 - state.prices.marks[number].mark_e9
    return (worse_e9 if side is Side.BUY else -worse_e9) > floor_div(index_e9 * room_ppm, _PPM)
