"""Record layouts and codes of the matching core: the language between the engine and a book.

Both books take packed 32-byte commands and answer with packed 32-byte events (little endian, no padding):

    command  kind u8 | side u8 | flags u16 | instrument u32 | price_ticks i64 | quantity_lots i64 | owner u32 | cell u32
    event    kind u8 | side u8 | code u16  | instrument u32 | handle u64     | price_ticks i64  | quantity_lots i64

CANCEL and AMEND name their order by `handle` (u64) in the last eight bytes of the command, where NEW has owner and
cell.
"""

from struct import Struct
from typing import Final

__all__ = [
    "COMMAND",
    "COMMAND_BYTES",
    "COMMAND_HANDLE",
    "EVENT",
    "EVENT_BYTES",
    "FLAG_FOK",
    "FLAG_IOC",
    "FLAG_POST_ONLY",
    "FLAG_REDUCE_ONLY",
    "FLAG_SLIDE",
    "STP_CANCEL_BOTH",
    "STP_CANCEL_MAKER",
    "STP_CANCEL_TAKER",
    "STP_DECREMENT_BOTH",
    "STP_SHIFT",
    "CoreCode",
    "CoreCommand",
    "CoreEvent",
    "CoreSide",
]

COMMAND: Final = Struct("<BBHIqqII")
COMMAND_HANDLE: Final = Struct("<BBHIqqQ")
EVENT: Final = Struct("<BBHIQqq")
COMMAND_BYTES: Final = 32
EVENT_BYTES: Final = 32

# Bits of a command's flags. Neither IOC nor FOK: the remainder rests (GTC; expiry is the engine's).
FLAG_IOC: Final = 1
FLAG_FOK: Final = 2
FLAG_POST_ONLY: Final = 4
FLAG_SLIDE: Final = 8
"""With POST_ONLY: an order that would cross moves one tick behind the opposite best instead of a refusal."""
FLAG_REDUCE_ONLY: Final = 16
STP_SHIFT: Final = 8
"""Bits 8-9: self-trade prevention, one of the STP_ values."""
STP_CANCEL_TAKER: Final = 0
STP_CANCEL_MAKER: Final = 1
STP_CANCEL_BOTH: Final = 2
STP_DECREMENT_BOTH: Final = 3


class CoreSide:
    """Side of an order: BUY rests on the bid side, SELL on the ask side."""

    BUY: Final = 0
    SELL: Final = 1


class CoreCommand:
    """Kinds of command."""

    NEW: Final = 1
    CANCEL: Final = 2
    AMEND: Final = 3
    """`quantity_lots` is the new remaining; down at the same price keeps priority, anything else goes to the back."""


class CoreEvent:
    """Kinds of event. One ACCEPTED, AMENDED or REJECTED opens each command's events; DEPTH events close them.

    ACCEPTED   handle (of the order, also when it does not rest), price (after a slide), original quantity
    REJECTED   code; price, quantity: best opposite price and its quantity for POST_ONLY_WOULD_CROSS, else 0
    TRADE      handle of the maker; maker's price; quantity; side of the taker
    CANCELED   handle; price; quantity that will never trade; code says why (also for makers and for IOC remainders)
    AMENDED    handle, new price, new remaining quantity
    DEPTH      side, price, new total quantity of that level (0: gone). Once per touched level, after everything else,
               bids (best first) before asks (best first)
    A maker whose remaining quantity reaches 0 by trades is gone without a further event; so is a taker.
    """

    ACCEPTED: Final = 1
    REJECTED: Final = 2
    TRADE: Final = 3
    CANCELED: Final = 4
    AMENDED: Final = 5
    DEPTH: Final = 6


class CoreCode:
    """Why a command was refused or an order ended, in the order in which the core checks them. Never renumbered."""

    OK: Final = 0
    UNKNOWN_KIND: Final = 1
    UNKNOWN_INSTRUMENT: Final = 2
    BAD_SIDE: Final = 3
    BAD_FLAGS: Final = 4
    PRICE_OUT_OF_RANGE: Final = 5
    QUANTITY_OUT_OF_RANGE: Final = 6
    UNKNOWN_HANDLE: Final = 7
    REDUCE_ONLY_WOULD_INCREASE: Final = 8
    POST_ONLY_WOULD_CROSS: Final = 9
    FOK_NOT_FILLED: Final = 10
    NO_LIQUIDITY: Final = 11
    """An IOC that would not trade at all: accepted and canceled with this code, not refused."""
    CAPACITY: Final = 12
    SELF_TRADE: Final = 13
    """STP met before any fill with CANCEL_TAKER: refused. After a fill: CANCELED with this code."""
    IOC_REMAINDER: Final = 20
    USER_REQUEST: Final = 21
    SELF_TRADE_MAKER: Final = 22
    SELF_TRADE_DECREMENT: Final = 23
    REDUCE_ONLY_EXCESS: Final = 24
