"""Items of the public feeds: what a commit changed for everybody, and notifications as they left.

A trade or a deleveraging is made anonymous first: of a trade's parties only the fees stay, which the public history
shows, and whether the taker was liquidated.
"""

from collections.abc import Iterable
from typing import Final, cast

import msgspec

from exchange.bus.feed_blobs import EVENTS, FRAMES, VENUE
from exchange.domain.auctions import AuctionEnded, AuctionStarted
from exchange.domain.events import BatchClosed, BookLevel, Event, FillSide, InstrumentListed, PricesSet, Trade
from exchange.domain.liquidations import FIRST_LIQUIDATION_LINE, Deleveraged, DeleveragedSide, is_liquidation_order
from exchange.domain.rounds import ExpirySettled, InstrumentDelisted, OracleRoundSet, PositionExpired
from exchange.domain.views import Output
from exchange.gateway.market import Market
from exchange.gateway.open_interest import OpenInterestMoved
from exchange.gateway.settings import Readiness
from exchange.wire.objects import BatchRow

__all__ = [
    "BatchItem",
    "CommitItem",
    "CutItem",
    "FrameItem",
    "ReadinessItem",
    "decode_item",
    "encode_item",
    "events_feed",
    "frames_feed",
    "output_of",
    "party",
    "public_commits",
]

_PublicEvent = (
    BookLevel
    | Trade
    | Deleveraged
    | PricesSet
    | OracleRoundSet
    | InstrumentListed
    | InstrumentDelisted
    | AuctionStarted
    | AuctionEnded
    | ExpirySettled
    | BatchClosed
    | OpenInterestMoved
)
_OF_INSTRUMENT: Final = (BookLevel, Trade, Deleveraged, InstrumentDelisted, AuctionStarted, AuctionEnded)
_MOVES_POSITIONS: Final = (Trade, Deleveraged, PositionExpired)
_OF_VENUE: Final = (PricesSet, OracleRoundSet, BatchClosed)


class CommitItem(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Public events of one command that belong to one feed."""

    sequence: int
    timestamp_ns: int
    events: list[_PublicEvent]


class BatchItem(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What the chain did with a batch."""

    row: BatchRow


class ReadinessItem(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What the exchange says of itself."""

    readiness: Readiness


class FrameItem(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A notification with its websocket header: the bytes that every subscriber of `channel` gets."""

    channel: str
    frame: bytes


class CutItem(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The book channels of `interval_ms` end a frame here, behind the commits before this item."""

    interval_ms: int


_NOBODY: Final = DeleveragedSide(
    subaccount=0, account_seq=0, realized_pnl_e6=0, position_lots=0, ledger_cash_e6=0, cash_e6=0
)
encode_item: Final = msgspec.msgpack.Encoder().encode
decode_item: Final = msgspec.msgpack.Decoder(CommitItem | BatchItem | ReadinessItem | FrameItem | CutItem).decode


def events_feed(underlying: str) -> str:
    """Name of the feed with the events of an underlying, or of the venue for ""."""
    return f"{underlying or VENUE}.{EVENTS}"


def frames_feed(underlying: str) -> str:
    """Name of the feed with the notifications of an underlying, or of the venue for ""."""
    return f"{underlying or VENUE}.{FRAMES}"


def public_commits(outputs: Iterable[Output], market: Market) -> Iterable[tuple[str, bytes]]:
    """(feed, item) for every command of a commit that changed something public; `market` has seen it already."""
    for output in outputs:
        found: dict[str, list[_PublicEvent]] = {}
        for event in output.events:
            feed = _feed_of(event, market)
            if feed:
                found.setdefault(feed, []).append(_anonymous(event))  # type: ignore[arg-type] # _feed_of knows public ones only
        for number in dict.fromkeys(event.instrument for event in output.events if isinstance(event, _MOVES_POSITIONS)):
            moved = OpenInterestMoved(number, market.open_interest.lots.get(number, 0))
            found.setdefault(events_feed(market.by_id[number].underlying), []).append(moved)
        for feed, events in found.items():
            yield feed, encode_item(CommitItem(output.sequence, output.timestamp_ns, events))


def output_of(item: CommitItem) -> Output:
    """The commit as state and histories take it: no order views, no parties."""
    events = cast("tuple[Event, ...]", tuple(item.events))
    return Output(sequence=item.sequence, timestamp_ns=item.timestamp_ns, events=events, orders={})


def _feed_of(event: Event, market: Market) -> str:
    """Feed of an event, "" for private ones."""
    if isinstance(event, _OF_INSTRUMENT):
        return events_feed(market.by_id[event.instrument].underlying)
    if isinstance(event, InstrumentListed):
        return events_feed(event.instrument.underlying)
    if isinstance(event, ExpirySettled):
        return events_feed(event.underlying)
    return events_feed("") if isinstance(event, _OF_VENUE) else ""


def party(fee_e6: int, *, order: int = 0) -> FillSide:
    """A party of which only the fee is known."""
    return FillSide(
        subaccount=0,
        account_seq=0,
        order=order,
        fee_e6=fee_e6,
        realized_pnl_e6=0,
        position_lots=0,
        filled_lots=0,
        remaining_lots=0,
        ledger_cash_e6=0,
        cash_e6=0,
    )


def _anonymous(event: Event) -> Event:
    """An event without its parties; that a taker was liquidated stays, as an order number that none has."""
    if isinstance(event, Deleveraged):
        return msgspec.structs.replace(event, bankrupt=_NOBODY, counterparty=_NOBODY)
    if not isinstance(event, Trade):
        return event
    order = FIRST_LIQUIDATION_LINE if is_liquidation_order(event.taker.order) else 0
    return msgspec.structs.replace(event, maker=party(event.maker.fee_e6), taker=party(event.taker.fee_e6, order=order))
