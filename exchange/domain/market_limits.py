"""What a market and those in it may hold, as operators set it: open interest, positions, margin that grows with it."""

from enum import IntEnum

import msgspec

__all__ = ["GetOpenInterest", "MarketLimits", "MarketLimitsSet", "OpenInterestView", "SetMarketLimits"]


class MarketLimits(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Limits of one instrument, in 1e-6 USDC at the index; 0 wherever there is none.

    The cap of open interest is the lowest of what its three sources allow (`exchange.risk.limits.open_interest_cap`).
    """

    instrument: int
    governance_e6: int = 0
    """Most open interest that the venue wants."""
    market_cap_e6: int = 0
    """Of the underlying, circulating: a part of it may be open."""
    outside_depth_e6: int = 0
    """Within 1 % of the price on other venues together: a multiple of it may be open."""
    subaccount_e6: int = 0
    """Most that one subaccount may hold on one side, what its orders may add included."""
    owner_e6: int = 0
    """The same of all subaccounts of an owner together, side by side: a long does not make up for another's short."""
    scaling_from_e6: int = 0
    """Open interest of a perpetual above which its initial margin grows."""
    scaling_to_e6: int = 0
    """Open interest at which all of the notional is asked for; 0: margin does not grow."""


class SetMarketLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Replace the limits of one instrument. Margin follows with the next round of prices, all else at once."""

    limits: MarketLimits


class _Tag(IntEnum):
    MARKET_LIMITS_SET = 90


class MarketLimitsSet(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.MARKET_LIMITS_SET.value
):
    """A market has these limits from here on."""

    limits: MarketLimits


class GetOpenInterest(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> tuple[OpenInterestView, ...] by instrument: what is open on everything listed."""


class OpenInterestView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is open on an instrument, and what may be."""

    instrument: int
    sequence: int
    """Command behind which it is so."""
    open_lots: int
    """Sum of all long positions, which is that of all short ones."""
    limits: MarketLimits | None
    """As they were set; None: never."""
    initial_ppm: int = 0
    """Initial fraction of a perpetual's first bracket as it holds now."""
