"""Instruments as a client knows them: the wire's decimal texts read into the exact integers of the domain."""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from exchange.domain.instrument import Instrument, InstrumentKind, OffGrid
from exchange.domain.limits import MAX_PRICE_TICKS
from exchange.domain.money import ceil_div
from exchange.domain.quotes import QuoteLine
from settlement.protocol.signature import parse_address

__all__ = ["Market", "Number", "QuoteInput", "decimal_e9", "parse_market", "quote_line", "quote_texts"]

Number = str | int | Decimal
"""A price or size. Floats are refused: 0.1 as a float is not 0.1."""

QuoteInput = tuple[str, Number | None, Number | None, Number | None, Number | None]
"""Instrument, bid price, bid amount, ask price, ask amount; an amount of None or 0 pulls that side."""
_E9 = 10**9
_PPM_PER_UNIT = 1_000_000


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument and the asset that a signature for it names."""

    instrument: Instrument
    asset: bytes
    asset_sub_id: int

    def price_ticks(self, price: Number) -> int:
        """Ticks of `price`; raises OffGrid with the valid neighbours, never rounds."""
        return self.instrument.price_ticks(_exact(price))

    def quantity_lots(self, amount: Number) -> int:
        """Lots of `amount`, inside the instrument's minimum and maximum. Raises OffGrid, never rounds."""
        lots = self.instrument.quantity_lots(_exact(amount))
        low, high = self.instrument.minimum_lots, self.instrument.maximum_lots
        if not low <= lots <= high:
            nearest = self.instrument.quantity_text(low if lots < low else high)
            raise OffGrid(str(amount), (nearest,))
        return lots

    def quantize(self, price: Number, amount: Number) -> tuple[str, str]:
        """Canonical texts of a price and a size that the exchange accepts. Raises OffGrid."""
        ticks, lots = self.price_ticks(price), self.quantity_lots(amount)
        return self.instrument.price_text(ticks), self.instrument.quantity_text(lots)

    def ticks_within(self, price_e9: int, *, up: bool) -> int:
        """Return the valid price next to `price_e9` (1e-9 USDC), rounded `up` or down, at least one tick."""
        tick = self.instrument.tick_e9
        ticks = ceil_div(price_e9, tick) if up else price_e9 // tick
        return max(1, min(ticks, self.instrument.maximum_price_ticks))

    def fee_cap_e9(self, index_e9: int, *, margin_ppm: int) -> int:
        """Fee cap per unit of the underlying: the higher of both rates on the index, plus a margin, rounded up."""
        rate_ppm = max(self.instrument.maker_fee_ppm, self.instrument.taker_fee_ppm, 0)
        fee_e9 = ceil_div(index_e9 * rate_ppm, _PPM_PER_UNIT)
        return ceil_div(fee_e9 * (_PPM_PER_UNIT + margin_ppm), _PPM_PER_UNIT)


def parse_market(row: dict[str, Any]) -> Market:
    """One Instrument object of the protocol (api.md 7). Raises KeyError or ValueError when members are missing."""
    lot_e9 = decimal_e9(row["amount_step"])
    instrument = Instrument(
        instrument_id=int(row["instrument_id"]),
        name=row["instrument_name"],
        kind=_kind(row),
        underlying=row["base_currency"],
        tick_e9=decimal_e9(row["tick_size"]),
        lot_e9=lot_e9,
        minimum_lots=decimal_e9(row["minimum_amount"]) // lot_e9,
        maximum_lots=decimal_e9(row["maximum_amount"]) // lot_e9,
        maximum_price_ticks=MAX_PRICE_TICKS,
        maker_fee_ppm=_rate_ppm(row["maker_fee_rate"]),
        taker_fee_ppm=_rate_ppm(row["taker_fee_rate"]),
        strike_e9=decimal_e9(row["option_details"]["strike"]) if row["option_details"] else 0,
        expiry_s=int(row["option_details"]["expiry"]) if row["option_details"] else 0,
    )
    return Market(
        instrument=instrument,
        asset=parse_address(row["base_asset_address"]),
        asset_sub_id=int(row["base_asset_sub_id"]),
    )


def quote_line(market: Market, line: QuoteInput) -> QuoteLine:
    """One line of a mass quote as it is signed. Raises OffGrid; ValueError for an amount without a price."""
    _, bid_price, bid_amount, ask_price, ask_amount = line
    bid, ask = _quote_side(market, bid_price, bid_amount), _quote_side(market, ask_price, ask_amount)
    return QuoteLine(market.instrument.instrument_id, *bid, *ask)


def quote_texts(market: Market, line: QuoteLine) -> list[str]:
    """The same line as it is sent."""
    one = market.instrument
    bid = one.price_text(line.bid_ticks), one.quantity_text(line.bid_lots)
    return [one.name, *bid, one.price_text(line.ask_ticks), one.quantity_text(line.ask_lots)]


def _quote_side(market: Market, price: Number | None, amount: Number | None) -> tuple[int, int]:
    if amount is None or not _exact(amount):
        return 0, 0
    if price is None:
        raise ValueError(f"{market.instrument.name}: an amount needs a price")
    return market.price_ticks(price), market.quantity_lots(amount)


def decimal_e9(text: Number) -> int:
    """Integer in 1e-9 of a decimal text, truncated toward zero below 1e-9. Raises ValueError for anything else."""
    return int(_exact(text).scaleb(9))


def _exact(value: Number) -> Decimal:
    if isinstance(value, float):
        raise TypeError(f"{value!r} is a float: write it as text, '{value}'")
    try:
        exact = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is no decimal number") from error
    if not exact.is_finite():
        raise ValueError(f"{value!r} is no finite number")
    return exact


def _kind(row: dict[str, Any]) -> InstrumentKind:
    if row["instrument_type"] == "perp":
        return InstrumentKind.PERPETUAL
    return InstrumentKind.CALL if row["option_details"]["option_type"] == "C" else InstrumentKind.PUT


def _rate_ppm(text: str) -> int:
    """Parts per million, rounded up: a cap that is a little high refuses nothing."""
    return ceil_div(decimal_e9(text), _E9 // _PPM_PER_UNIT)
