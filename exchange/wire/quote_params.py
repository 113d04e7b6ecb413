"""What `private/mass_quote` takes (api.md 10.3)."""

from decimal import Decimal

import msgspec

from exchange.wire.params import SignedActionParams

__all__ = ["MassQuoteParams", "QuoteLineParams"]


class QuoteLineParams(msgspec.Struct, array_like=True, gc=False):
    """One line of a mass quote; an amount of 0 pulls that side, whatever its price."""

    instrument_name: str
    bid_price: Decimal | None = None
    bid_amount: Decimal | None = None
    ask_price: Decimal | None = None
    ask_amount: Decimal | None = None


class MassQuoteParams(SignedActionParams):
    """private/mass_quote; without a signature it may pull and shrink. `cancel: all` pulls the whole group."""

    mmp_group: int | None = None
    lines: list[QuoteLineParams] | None = None
    max_fee: Decimal | None = None
    cancel: str | None = None
    detailed: bool | None = None
    cancel_on_disconnect: bool | None = None
