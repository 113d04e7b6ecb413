"""Hypotheses about an account's orders that a margin check is asked about, and what a fill of them costs in fees."""

from typing import Final

from exchange.domain.commands import Side
from exchange.domain.instrument import Instrument
from exchange.domain.money import ceil_div
from exchange.engine.state import State

__all__ = ["Change", "fees_e18", "is_strict_reduction"]

_PPM: Final = 10**6


class Change:
    """A hypothesis about one instrument: so many lots have filled, so many more rest at `price_ticks`."""

    __slots__ = ("filled_lots", "instrument", "price_ticks", "resting_lots", "side")

    def __init__(
        self, instrument: int, side: Side, *, filled_lots: int = 0, resting_lots: int = 0, price_ticks: int = 0
    ) -> None:
        self.instrument = instrument
        self.side = side
        self.filled_lots = filled_lots
        self.resting_lots = resting_lots
        self.price_ticks = price_ticks

    @property
    def delta_lots(self) -> int:
        """What the fills add to the position."""
        return self.filled_lots if self.side is Side.BUY else -self.filled_lots


def fees_e18(state: State, instrument: Instrument, lots: int, *, legs: int) -> int:
    """Fees of `lots` at the worst rate of the instrument, so many times over, rounded up."""
    if not lots:
        return 0
    ppm = max(0, instrument.maker_fee_ppm, instrument.taker_fee_ppm) * legs
    return ceil_div(state.prices.index_e9[instrument.underlying] * lots * instrument.lot_e9 * ppm, _PPM)


def is_strict_reduction(state: State, subaccount: int, change: Change, lots: int) -> bool:
    """Closes part of a perpetual or buys back part of a short option, together with the orders that already do."""
    position = state.accounts[subaccount].lots(change.instrument)
    if position == 0 or (position > 0) == (change.side is Side.BUY):
        return False
    if state.instruments[change.instrument].is_option and position > 0:
        return False
    exposure = state.exposure(subaccount, change.instrument)
    waiting = exposure.buy_lots if change.side is Side.BUY else exposure.sell_lots
    return waiting + lots <= abs(position)
