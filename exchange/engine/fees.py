"""What a fill costs. The rate is a part of the notional of the underlying (index x size); rounding favors the venue."""

from typing import Final

from exchange.domain.instrument import Instrument
from exchange.domain.money import ceil_div, ppm_floor

__all__ = ["fee_e6", "signed_cap_e6"]

_E18: Final = 10**18
_E21: Final = 10**21


def fee_e6(
    instrument: Instrument, *, index_e9: int, price_ticks: int, quantity_lots: int, is_taker: bool, option_cap_ppm: int
) -> int:
    """Fee of one fill in 1e-6 USDC, rounded up (a rebate is negative, rounded down in size).

    A taker of an option pays at most `option_cap_ppm` of the option's value, rounded down: the cap is a promise.
    """
    ppm = instrument.taker_fee_ppm if is_taker else instrument.maker_fee_ppm
    fee = ceil_div(index_e9 * quantity_lots * instrument.lot_e9 * ppm, _E18)
    if is_taker and instrument.is_option:
        value = instrument.notional_e6(price_ticks=price_ticks, quantity_lots=quantity_lots)
        return min(fee, ppm_floor(value, option_cap_ppm))
    return fee


def signed_cap_e6(instrument: Instrument, *, max_fee_e18: int, quantity_lots: int) -> int:
    """Most that an order's signature allows for `quantity_lots`, in 1e-6 USDC, rounded down."""
    return max_fee_e18 * quantity_lots * instrument.lot_e9 // _E21  # favors the payer: the chain checks this cap
