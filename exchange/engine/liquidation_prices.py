"""Where an account's liquidation begins if the price of one of its perpetuals moves alone: shown, never decided on."""

from exchange.domain.instrument import Instrument
from exchange.engine.portfolio_margin import is_portfolio
from exchange.engine.records import Account
from exchange.engine.state import State
from exchange.risk.liquidation_ticks import liquidation_ticks
from exchange.risk.standard import E12, perpetual_requirement

__all__ = ["liquidation_ticks_after"]


def liquidation_ticks_after(
    state: State, account: Account, instrument: Instrument, margin_e18: int, *, delta_lots: int = 0, paid_e6: int = 0
) -> int:
    """Tick for a position, 0 for none. `margin_e18` is today's; fills would add `delta_lots` and cost `paid_e6`.

    None with Portfolio Margin: its requirement is of the whole, and no price moves alone there.
    """
    if not instrument.is_perpetual or is_portfolio(state, account):
        return 0
    number = instrument.instrument_id
    mark_e9, tiers = state.prices.marks[number].mark_e9, state.config.margin.tiers(instrument.underlying)
    before_e9 = account.lots(number) * instrument.lot_e9
    after_e9 = before_e9 + delta_lots * instrument.lot_e9
    # Perpetuals stand alone in the rules, so a fill changes the value and the requirement of its own row only.
    required = [perpetual_requirement(notional_e18=abs(e9) * mark_e9, tiers=tiers)[1] for e9 in (before_e9, after_e9)]
    moved_e18 = (after_e9 - before_e9) * mark_e9 - paid_e6 * E12 - required[1] + required[0]
    found = liquidation_ticks(
        margin_e18=margin_e18 + moved_e18,
        amount_e9=after_e9,
        mark_e9=mark_e9,
        tiers=tiers,
        tick_e9=instrument.tick_e9,
        maximum_ticks=instrument.maximum_price_ticks,
    )
    return found or 0
