"""The public state of a gateway as bytes, feed by feed, so that another gateway can go on from there.

Taken over, it answers public reads as the first one does: books with their versions, prices, auctions, day figures,
trades and liquidations (anonymous), funding rates, settled expiries and batches.
"""

from collections import OrderedDict, deque
from typing import Final

import msgspec
from sortedcontainers import SortedDict

from exchange.bus.feed_blobs import VENUE
from exchange.domain.commands import Side
from exchange.domain.events import Trade
from exchange.domain.instrument import Instrument
from exchange.domain.views import PricesView
from exchange.gateway.core import Core
from exchange.gateway.history import TradeRecord
from exchange.gateway.liquidations import LiquidationRow
from exchange.gateway.market import Book, Hour, Level
from exchange.gateway.oracle import Rate
from exchange.gateway.public_items import party
from exchange.gateway.settings import Readiness
from exchange.wire.objects import BatchRow

__all__ = ["VenueState", "clear_state", "dump_state", "load_state"]

_RATES_KEPT: Final = 8_640


class _PublicTrade(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A trade without its parties. Flat, because making ten thousand of them holds up the exchange's loop."""

    trade: int
    price_ticks: int
    quantity_lots: int
    taker_side: Side
    mark_e9: int
    index_e9: int
    is_auction: bool
    maker_fee_e6: int
    taker_fee_e6: int
    sequence: int
    timestamp_ns: int


class _InstrumentState(msgspec.Struct, frozen=True, array_like=True):
    instrument: Instrument
    is_listed: bool
    book_seq: int
    book_changed_ns: int
    bids: list[Level]
    asks: list[Level]
    auction_deadline_ns: int
    hours: list[Hour]
    trades: list[_PublicTrade]
    open_lots: int = 0


class _UnderlyingState(msgspec.Struct, frozen=True, array_like=True):
    instruments: list[_InstrumentState]
    settled_e9: dict[int, int]
    liquidations: list[LiquidationRow] = []


class VenueState(msgspec.Struct, frozen=True, array_like=True):
    """What belongs to no underlying."""

    prices: PricesView
    price_version: int
    rates: dict[int, list[Rate]]
    batches: list[BatchRow]
    readiness: Readiness
    started_ns: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_underlying: Final = msgspec.msgpack.Decoder(_UnderlyingState).decode
_decode_venue: Final = msgspec.msgpack.Decoder(VenueState).decode


def dump_state(core: Core, underlying: str) -> bytes:
    """State of an underlying, or of the venue."""
    if underlying == VENUE:
        market, oracle = core.market, core.history.oracle
        return _encode(
            VenueState(
                market.prices,
                market.price_version,
                {instrument: list(rates) for instrument, rates in oracle.rates.items()},
                list(core.history.batches.values()),
                core.readiness(),
                core.started_ns,
            )
        )
    rows = [_dump(core, row) for row in core.market.by_id.values() if row.underlying == underlying]
    settled = core.history.oracle.settled
    prices = {expiry_s: price for (name, expiry_s), price in settled.items() if name == underlying}
    rings = core.history.liquidations.rows
    liquidations = [one for row in rows for one in rings.get(row.instrument.instrument_id, ())]
    return _encode(_UnderlyingState(rows, prices, liquidations))


def load_state(core: Core, underlying: str, body: bytes) -> VenueState | None:
    """Replace what `core` knows of an underlying; for the venue also return it. Raises msgspec.MsgspecError."""
    if underlying == VENUE:
        venue = _decode_venue(body)
        core.market.prices, core.market.price_version = venue.prices, venue.price_version
        oracle = core.history.oracle
        oracle.rates = {instrument: deque(rows, maxlen=_RATES_KEPT) for instrument, rows in venue.rates.items()}
        core.history.batches = OrderedDict((row.seq, row) for row in venue.batches)
        core.started_ns = venue.started_ns
        return venue
    state = _decode_underlying(body)
    _forget(core, underlying)
    for row in state.instruments:
        _load(core, row)
    for expiry_s, price_e9 in state.settled_e9.items():
        core.history.oracle.settled[underlying, expiry_s] = price_e9
    for one in state.liquidations:
        core.history.liquidations.add(one)
    return None


def clear_state(core: Core) -> None:
    """Know nothing, as before the first snapshot."""
    for underlying in {row.underlying for row in core.market.by_id.values()}:
        _forget(core, underlying)
    core.history.oracle.settled.clear()
    core.history.batches.clear()
    core.market.is_loaded = False


def _dump(core: Core, instrument: Instrument) -> _InstrumentState:
    number, market = instrument.instrument_id, core.market
    book = market.books.get(number) or Book()
    records = core.history.trades.get(number, ())
    return _InstrumentState(
        instrument,
        instrument.name in market.by_name,
        book.seq,
        book.changed_ns,
        list(book.bids.items()),
        list(book.asks.items()),
        market.auctions.get(number, 0),
        market.hours.get(number, []),
        [_public(row) for row in records],
        market.open_interest.lots.get(number, 0),
    )


def _load(core: Core, row: _InstrumentState) -> None:
    instrument, market = row.instrument, core.market
    number = instrument.instrument_id
    market.by_id[number] = instrument
    if row.is_listed:
        market.by_name[instrument.name] = instrument
    book = market.book(number)
    book.bids, book.asks = SortedDict(row.bids), SortedDict(row.asks)
    book.seq, book.changed_ns = row.book_seq, row.book_changed_ns
    if row.auction_deadline_ns:
        market.auctions[number] = row.auction_deadline_ns
    market.hours[number] = row.hours
    market.open_interest.lots[number] = row.open_lots
    records = (_record(one, number) for one in row.trades)
    core.history.trades[number] = deque(records, maxlen=core.settings.trades_kept)


def _public(row: TradeRecord) -> _PublicTrade:
    trade = row.trade
    return _PublicTrade(
        trade.trade,
        trade.price_ticks,
        trade.quantity_lots,
        trade.taker_side,
        trade.mark_e9,
        trade.index_e9,
        trade.is_auction,
        trade.maker.fee_e6,
        trade.taker.fee_e6,
        row.sequence,
        row.timestamp_ns,
    )


def _record(row: _PublicTrade, instrument: int) -> TradeRecord:
    trade = Trade(
        trade=row.trade,
        instrument=instrument,
        price_ticks=row.price_ticks,
        quantity_lots=row.quantity_lots,
        taker_side=row.taker_side,
        mark_e9=row.mark_e9,
        index_e9=row.index_e9,
        maker=party(row.maker_fee_e6),
        taker=party(row.taker_fee_e6),
        is_auction=row.is_auction,
    )
    return TradeRecord(trade, row.sequence, row.timestamp_ns, "", "", "", "")


def _forget(core: Core, underlying: str) -> None:
    market = core.market
    for number in [row.instrument_id for row in market.by_id.values() if row.underlying == underlying]:
        market.by_name.pop(market.by_id.pop(number).name, None)
        for table in (market.books, market.auctions, market.hours, core.history.trades, core.history.liquidations.rows):
            table.pop(number, None)
