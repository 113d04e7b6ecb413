"""What open orders reserve (risk.md 9.2, D-002): the worst fill of them all, in 1e-18 USDC; integers only.

A perpetual's orders are charged for the larger side, for prices worse than the mark and for fees. An option's sells are
all assumed filled without their premium, its buys are charged their premium. Reduce-only orders reserve nothing.
"""

from collections.abc import Sequence

import msgspec

from exchange.risk.parameters import StandardParameters, Tier
from exchange.risk.standard import ExpiryGroup, OptionRow, expiry_margin, perpetual_requirement

__all__ = ["OptionExposure", "PerpetualExposure", "open_orders_requirement", "options_worst", "perpetual_worst"]


class PerpetualExposure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A perpetual position with its open orders; amounts in 1e-9 units, buys and sells unsigned."""

    position_e9: int
    mark_e9: int
    tiers: tuple[Tier, ...]
    buys_e9: int = 0
    sells_e9: int = 0
    loss_e18: int = 0
    """Sum over orders of what a fill at the limit loses against the mark, >= 0."""
    fees_e18: int = 0


class OptionExposure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An option position with its open orders; amounts in 1e-9 units, sells unsigned."""

    strike_e9: int
    is_call: bool
    mark_e9: int
    position_e9: int
    sells_e9: int = 0
    premium_e18: int = 0
    """Price times size over the buys."""
    fees_e18: int = 0


def perpetual_worst(exposure: PerpetualExposure) -> int:
    """Signed initial margin of the position after the worst fill of its orders."""
    position = exposure.position_e9
    reach_e9 = max(0, exposure.buys_e9 + position, exposure.sells_e9 - position)
    initial, _ = perpetual_requirement(notional_e18=reach_e9 * exposure.mark_e9, tiers=exposure.tiers)
    return position * exposure.mark_e9 - initial - exposure.loss_e18 - exposure.fees_e18


def options_worst(
    index_e9: int, forward_e9: int, exposures: Sequence[OptionExposure], parameters: StandardParameters
) -> int:
    """Signed initial margin of one expiry after the worst fill: every sell and no buy, but all premiums paid."""
    rows = tuple(
        OptionRow(row.strike_e9, row.is_call, row.position_e9 - row.sells_e9, row.mark_e9)
        for row in exposures
        if row.position_e9 != row.sells_e9
    )
    paid = sum(row.premium_e18 + row.fees_e18 for row in exposures)
    group = ExpiryGroup(forward_e9=forward_e9, options=rows)
    return expiry_margin(index_e9, group, parameters).initial_e18 - paid


def open_orders_requirement(
    *, position_e9: int, buys_e9: int, sells_e9: int, mark_e9: int, tiers: tuple[Tier, ...]
) -> int:
    """Requirement of a perpetual with its orders, without loss and fee terms (risk.md 9.2), in 1e-18 USDC."""
    reach_e9 = max(0, buys_e9 + position_e9, sells_e9 - position_e9)
    return perpetual_requirement(notional_e18=reach_e9 * mark_e9, tiers=tiers)[0]
