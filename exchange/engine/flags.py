"""Order options as plain integers: masks of enum members cost more than the rest of a check (D-007)."""

from typing import Final

from exchange.domain.commands import OrderFlag, Place, TimeInForce
from exchange.engine.records import Account
from matching_core.fills import FLAG_FOK, FLAG_IOC, FLAG_POST_ONLY, FLAG_REDUCE_ONLY, FLAG_SLIDE, STP_SHIFT

__all__ = [
    "BLOCK",
    "CANCEL_ON_DISCONNECT",
    "KEEP_ON_DISCONNECT",
    "LIQUIDATION",
    "MARKET",
    "MMP",
    "POST_ONLY",
    "QUOTE",
    "REDUCE_ONLY",
    "SLIDE",
    "core_flags",
]

BLOCK: Final = int(OrderFlag.BLOCK)
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
SLIDE: Final = int(OrderFlag.SLIDE)
REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
MARKET: Final = int(OrderFlag.MARKET)
MMP: Final = int(OrderFlag.MMP)
QUOTE: Final = int(OrderFlag.QUOTE)
LIQUIDATION: Final = int(OrderFlag.LIQUIDATION)
CANCEL_ON_DISCONNECT: Final = int(OrderFlag.CANCEL_ON_DISCONNECT)
KEEP_ON_DISCONNECT: Final = int(OrderFlag.KEEP_ON_DISCONNECT)
_STP: Final = int(OrderFlag.STP_DECREMENT_BOTH)
_STP_ACCOUNT: Final = int(OrderFlag.STP_ACCOUNT)
_STP_WIRE_SHIFT: Final = 8
_FOK, _IOC = TimeInForce.FOK, TimeInForce.IOC


def core_flags(place: Place, account: Account) -> int:
    """The core's flags of an order; a market order is an IOC at its worst price, the account may set the STP mode."""
    flags = int(place.flags)
    stp = int(account.self_trade_mode) if flags & _STP_ACCOUNT else flags
    core = (stp & _STP) >> _STP_WIRE_SHIFT << STP_SHIFT
    if place.time_in_force is _FOK:
        core |= FLAG_FOK
    elif place.time_in_force is _IOC or flags & MARKET:
        core |= FLAG_IOC
    if flags & POST_ONLY:
        core |= FLAG_POST_ONLY | (FLAG_SLIDE if flags & SLIDE else 0)
    if flags & REDUCE_ONLY:
        core |= FLAG_REDUCE_ONLY
    return core
