"""Fees by tier: rate of a trader, fee of a fill, caps, shares; integers only.

Rates are in 1e-6 (ppm) of the notional of the underlying, money has one unit of the caller's choice. A fee is rounded
up, a rebate (negative rate) down in size: the venue never loses a unit. A cap is a promise to the payer, rounded down.
Parts of a fee are dealt so that they sum to the fee to the unit; the residue goes to the house account.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from exchange.domain.money import ceil_div, floor_div

__all__ = ["FeePart", "FeeTier", "deal_fee", "fee_of", "option_fee_cap", "tier_of"]

_PPM = 10**6


class FeeTier(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Rates from `volume` (money traded in the schedule's period) on; a maker's rate may be negative."""

    volume: int
    maker_ppm: int
    taker_ppm: int


class FeePart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an account receives of a fee."""

    account: int
    amount: int


def tier_of(volume: int, tiers: Sequence[FeeTier]) -> FeeTier:
    """Give the last tier that `volume` reaches. `tiers` ascend from volume 0; raises ValueError when they do not.

    A rebate may not exceed the taker's rate of the lowest tier: the venue would pay for trades with oneself.
    """
    volumes = [tier.volume for tier in tiers]
    if not tiers or volumes[0] != 0 or any(left >= right for left, right in pairwise(volumes)):
        raise ValueError("tiers must ascend from a volume of 0")
    if max(-tier.maker_ppm for tier in tiers) > min(tier.taker_ppm for tier in tiers):
        raise ValueError("a rebate above the lowest taker's rate pays for trades with oneself")
    return next(tier for tier in reversed(tiers) if tier.volume <= max(volume, 0))


def fee_of(notional: int, rate_ppm: int) -> int:
    """Fee of a fill on an unsigned notional, rounded up; a rebate is negative and rounded down in size."""
    return ceil_div(notional * rate_ppm, _PPM)


def option_fee_cap(fee: int, *, value: int, cap_ppm: int) -> int:
    """The fee, at most `cap_ppm` of the option's value (rounded down); rebates pass."""
    return min(fee, floor_div(value * cap_ppm, _PPM))


def deal_fee(fee: int, shares: Sequence[tuple[int, int]], *, house: int) -> tuple[FeePart, ...]:
    """Deal a fee >= 0 to (account, ppm) shares, each rounded down; what is left goes to `house`, last.

    Raises ValueError for shares that are negative or exceed the whole.
    """
    if any(ppm < 0 for _, ppm in shares) or sum(ppm for _, ppm in shares) > _PPM:
        raise ValueError("shares must be fractions of the whole")
    parts = [FeePart(account=account, amount=floor_div(fee * ppm, _PPM)) for account, ppm in shares]
    rest = fee - sum(part.amount for part in parts)
    return (*parts, FeePart(account=house, amount=rest))
