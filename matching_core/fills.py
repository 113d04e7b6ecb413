"""Record layouts and codes of the matching core: the language between the engine and a book.

Both books take packed 32-byte commands and answer with packed 32-byte events (little endian, no padding):

    command  kind u8 | side u8 | flags u16 | instrument u32 | price_ticks i64 | quantity_lots i64 | owner u32 | cell u32
    event    kind u8 | side u8 | code u16  | instrument u32 | handle u64     | price_ticks i64  | quantity_lots i64

CANCEL and AMEND name their order by `handle` (u64) in the last eight bytes of the command, where NEW has owner and
cell. More records may belong to a command and follow it at once:

    extension (NEW with FLAG_EXTENDED, 32 bytes)  display_lots i64 | guard u32 | zeros
    quote line (MASS_QUOTE, `quantity_lots` of them, 64 bytes each)
               instrument u32 | cell u32 | bid price i64 | bid lots i64 | ask price i64 | ask lots i64
               | bid handle u64 | ask handle u64 | zeros 8

What other kinds read: MASS_QUOTE flags (post-only, slide, self-trade mode), owner and the guard in `cell`;
CANCEL_INSTRUMENT the instrument; CANCEL_OWNER instrument and owner; CANCEL_GUARD the guard in `cell`; SET_PHASE the
instrument and the CorePhase in `side`; UNCROSS the instrument and the reference price. The rest is not read.
"""

from struct import Struct
from typing import Final

__all__ = [
    "COMMAND",
    "COMMAND_BYTES",
    "COMMAND_HANDLE",
    "EVENT",
    "EVENT_BYTES",
    "EXTENSION",
    "FLAG_EXTENDED",
    "FLAG_FOK",
    "FLAG_IOC",
    "FLAG_POST_ONLY",
    "FLAG_REDUCE_ONLY",
    "FLAG_SLIDE",
    "QUOTE_LINE",
    "STP_CANCEL_BOTH",
    "STP_CANCEL_MAKER",
    "STP_CANCEL_TAKER",
    "STP_DECREMENT_BOTH",
    "STP_SHIFT",
    "CoreCode",
    "CoreCommand",
    "CoreEvent",
    "CorePhase",
    "CoreSide",
]

COMMAND: Final = Struct("<BBHIqqII")
COMMAND_HANDLE: Final = Struct("<BBHIqqQ")
EVENT: Final = Struct("<BBHIQqq")
EXTENSION: Final = Struct("<qIIqq")
"""The last three fields are reserved: zero, or the command is refused with BAD_FLAGS."""
QUOTE_LINE: Final = Struct("<IIqqqqQQQ")
"""The last field is reserved as in EXTENSION."""
COMMAND_BYTES: Final = 32
EVENT_BYTES: Final = 32

# Bits of a command's flags. Neither IOC nor FOK: the remainder rests (GTC; expiry is the engine's).
FLAG_IOC: Final = 1
FLAG_FOK: Final = 2
FLAG_POST_ONLY: Final = 4
FLAG_SLIDE: Final = 8
"""With POST_ONLY: an order that would cross moves one tick behind the opposite best instead of a refusal."""
FLAG_REDUCE_ONLY: Final = 16
FLAG_EXTENDED: Final = 32
"""NEW: an extension record follows. A resting order's flags do not show it."""
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


class CorePhase:
    """What an instrument's book does with orders that cross: trade at once, or wait for the uncross."""

    CONTINUOUS: Final = 0
    AUCTION: Final = 1


class CoreCommand:
    """Kinds of command."""

    NEW: Final = 1
    CANCEL: Final = 2
    AMEND: Final = 3
    """`quantity_lots` is the new remaining; down at the same price keeps priority, anything else goes to the back."""
    MASS_QUOTE: Final = 4
    """Two-sided quotes of one owner under one guard; each replaces the order its handle names."""
    CANCEL_GUARD: Final = 5
    CANCEL_OWNER: Final = 6
    CANCEL_INSTRUMENT: Final = 7
    SET_PHASE: Final = 8
    UNCROSS: Final = 9


class CoreEvent:
    """Kinds of event. One ACCEPTED, AMENDED, APPLIED or REJECTED opens each command's events; DEPTH events close them.

    ACCEPTED       handle (of the order, also when it does not rest), price (after a slide), original quantity
    REJECTED       code; price, quantity: best opposite price and its quantity for POST_ONLY_WOULD_CROSS, else 0
    TRADE          handle of the maker; maker's price; quantity; side of the taker
    CANCELED       handle; price; quantity that will never trade, hidden lots included; code says why (also for makers
                   and for IOC remainders)
    AMENDED        handle, new price, new remaining quantity, hidden lots included
    DEPTH          side, price, new total of the quantities shown at that level (0: gone). Once per touched level,
                   after everything else, bids (best first) before asks (best first)
    REFILLED       handle, price, quantity shown from now on: an iceberg went to the back of its level with a new slice,
                   or has just come to rest showing less than it has
    GUARD_TRIPPED  handle: the guard; side of the order whose fill did it; code: the limit; quantity: lots filled in the
                   window. Stands behind the trade that reached the limit
    APPLIED        opens a command that is not one order's; side, instrument, price and quantity of the command
    FILL           one side of a match in an uncross: handle, its side, the uncross price, quantity; buyer's, then
                   seller's
    UNCROSSED      price and traded quantity of one round of an uncross; price may be any in the band
    A maker whose remaining quantity reaches 0 by trades is gone without a further event; so is a taker.

    Steps of MASS_QUOTE and CANCEL_GUARD (each cancel, each placement) close with their own DEPTH events.
    """

    ACCEPTED: Final = 1
    REJECTED: Final = 2
    TRADE: Final = 3
    CANCELED: Final = 4
    AMENDED: Final = 5
    DEPTH: Final = 6
    REFILLED: Final = 7
    GUARD_TRIPPED: Final = 8
    APPLIED: Final = 9
    FILL: Final = 10
    UNCROSSED: Final = 11


class CoreCode:
    """Why a command was refused or an order ended. Never renumbered; the order of the checks stands in README.md."""

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
    """STP met before any fill with CANCEL_TAKER: refused. After a fill, and in an uncross: CANCELED with this code."""
    MISSING_RECORDS: Final = 14
    """The batch ends before the records that belong to the command; nothing behind it is read."""
    UNKNOWN_GUARD: Final = 15
    GUARD_FROZEN: Final = 16
    WRONG_PHASE: Final = 17
    """IOC or FOK in an auction; UNCROSS outside one."""
    QUOTE_CROSSED: Final = 18
    """Bid and ask of one quote line meet."""
    BOOK_CROSSED: Final = 19
    """SET_PHASE to continuous while orders cross: they need an uncross."""
    IOC_REMAINDER: Final = 20
    USER_REQUEST: Final = 21
    SELF_TRADE_MAKER: Final = 22
    SELF_TRADE_DECREMENT: Final = 23
    REDUCE_ONLY_EXCESS: Final = 24
    MMP_TRIGGERED: Final = 25
    QUOTE_REPLACED: Final = 26
    GUARD_QUANTITY: Final = 27
    GUARD_DELTA: Final = 28
    GUARD_VEGA: Final = 29
    GUARD_COUNT: Final = 30
