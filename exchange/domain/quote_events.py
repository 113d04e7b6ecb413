"""What mass quotes and protection groups make happen; tags are those that `exchange.domain.events` leaves free."""

from enum import IntEnum

import msgspec

from exchange.domain.commands import Side
from exchange.domain.result_codes import ResultCode

__all__ = [
    "MassQuoted",
    "MmpConfigured",
    "MmpLimit",
    "MmpReset",
    "MmpTriggered",
    "QuoteEvent",
    "QuoteKept",
    "QuotePlaced",
    "QuoteRefused",
]


class _Tag(IntEnum):
    MASS_QUOTED = 14
    QUOTE_PLACED = 15
    QUOTE_KEPT = 16
    QUOTE_REFUSED = 17
    MMP_TRIGGERED = 18
    MMP_RESET = 19
    MMP_CONFIGURED = 27


class MmpLimit(IntEnum):
    """The limit of a group that a fill reached."""

    QUANTITY = 1
    DELTA = 2
    VEGA = 3
    COUNT = 4


class MassQuoted(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.MASS_QUOTED.value):
    """A mass quote was admitted: what it ends and places follows. Carries what its quotes are signed with."""

    subaccount: int
    mmp_group: int
    nonce: int
    expiry_s: int
    max_fee_e18: int
    signer: bytes
    """Empty: the call was not signed and places nothing."""
    domain: int
    digest: bytes
    signature: bytes


class QuotePlaced(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.QUOTE_PLACED.value):
    """One side of a mass quote rests. The last byte of its number is 2 * line + side."""

    subaccount: int
    account_seq: int
    order: int
    instrument: int
    side: Side
    price_ticks: int
    quantity_lots: int
    replaces: int
    """Number of the quote whose place it took, 0 for none."""


class QuoteKept(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.QUOTE_KEPT.value):
    """The quote in place has the price that was asked for: it keeps number, signature and place in line.

    When it got smaller, its OrderAmended came before.
    """

    subaccount: int
    order: int
    line: int
    """2 * line + side of the call."""


class QuoteRefused(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.QUOTE_REFUSED.value):
    """One side of an admitted mass quote was refused. Refused by the book, its predecessor is gone; else it stays."""

    subaccount: int
    order: int
    """Number that it would have had."""
    code: ResultCode
    instrument: int
    side: Side
    price_ticks: int
    """POST_ONLY_WOULD_CROSS: best opposite price; else 0."""


class MmpTriggered(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.MMP_TRIGGERED.value):
    """The fill before this event reached a limit of its group, whose orders end in the same command."""

    subaccount: int
    account_seq: int
    mmp_group: int
    limit: MmpLimit
    instrument: int
    quantity_lots: int
    """Filled in the window."""
    thaw_ns: int
    """When the group may quote again, 0: after a reset."""


class MmpReset(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.MMP_RESET.value):
    """A group begins a new window, thawed by a reset or (`is_due`) by time."""

    subaccount: int
    account_seq: int
    mmp_group: int
    is_due: bool


class MmpConfigured(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.MMP_CONFIGURED.value
):
    """A group has these limits and begins a new window; frozen, it stays so."""

    subaccount: int
    account_seq: int
    mmp_group: int
    underlying: str
    lot_e9: int
    interval_ns: int
    frozen_ns: int
    quantity_lots: int
    delta_e9: int
    vega_e9: int
    count: int


QuoteEvent = MassQuoted | QuotePlaced | QuoteKept | QuoteRefused | MmpTriggered | MmpReset | MmpConfigured
