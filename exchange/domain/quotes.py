"""Mass quotes and market-maker protection: many two-sided quotes under one signature, and the limits that guard them.

A group is named by its subaccount and a number the owner chose; it belongs to one underlying and counts lots of one
size.
"""

from struct import Struct
from typing import Final

import msgspec

__all__ = ["MassQuote", "QuoteLine", "ResetMmp", "SetMmpConfig", "pack_lines", "unpack_lines"]

_LINE: Final = Struct(">IqQqQ")


class QuoteLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What to quote on one instrument; 0 lots pull that side."""

    instrument: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


class MassQuote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Post-only quotes of one group, each taking the place of the group's quote on the same instrument and side.

    `digest` is the EIP-712 digest of the call (api.md 10.3); without a `signer` only pulling and shrinking is
    possible, and fee cap, domain and signature are empty too.
    """

    subaccount: int
    mmp_group: int
    lines: tuple[QuoteLine, ...]
    """1 to MAX_QUOTE_LINES, each of another instrument."""
    nonce: int = 0
    expiry_s: int = 0
    signer: bytes = b""
    max_fee_e18: int = 0
    domain: int = 0
    session: int = 0
    """Its end cancels the quotes."""
    digest: bytes = b""
    signature: bytes = b""


class SetMmpConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Limits of a group within an interval; 0: none. A fill that reaches one cancels the group and freezes it."""

    subaccount: int
    mmp_group: int
    underlying: str
    lot_e9: int
    """Lot size of the instruments that the group may quote."""
    interval_ns: int
    """A window begins with its first fill; 0: it ends with a reset only."""
    frozen_ns: int
    """0: until a reset."""
    quantity_lots: int = 0
    """Gross; no fill passes it. What quotes reserve; 0: no mass quotes."""
    delta_e9: int = 0
    vega_e9: int = 0
    count: int = 0


class ResetMmp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Thaw a group and begin its window anew."""

    subaccount: int
    mmp_group: int


def pack_lines(lines: tuple[QuoteLine, ...]) -> bytes:
    """The bytes whose hash the call signs: 36 per line, big endian. Raises struct.error outside the fields' ranges."""
    return b"".join(
        _LINE.pack(line.instrument, line.bid_ticks, line.bid_lots, line.ask_ticks, line.ask_lots) for line in lines
    )


def unpack_lines(raw: bytes) -> tuple[QuoteLine, ...]:
    """Inverse of `pack_lines`. Raises struct.error unless whole lines are given."""
    return tuple(QuoteLine(*fields) for fields in _LINE.iter_unpack(raw))
