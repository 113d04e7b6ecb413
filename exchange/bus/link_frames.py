"""Frames of the unix socket: length u32 (little endian), then a msgpack array tagged by its kind."""

import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec

from exchange.domain.auction_views import AuctionView, GetAuctions
from exchange.domain.instrument import Instrument
from exchange.domain.market_limits import GetOpenInterest, OpenInterestView
from exchange.domain.packing import BadRecord, CommandEvents
from exchange.domain.views import (
    AccountView,
    BookView,
    ExpiryView,
    GetAccount,
    GetBook,
    GetExpiries,
    GetInstruments,
    GetOpenOrders,
    GetOrder,
    GetPrices,
    GetSummary,
    GetWallet,
    OrderView,
    PricesView,
    Query,
    SummaryView,
    WalletView,
)

__all__ = [
    "ANSWER_DECODERS",
    "AnswerFrame",
    "AskFrame",
    "BusyFrame",
    "DoorbellFrame",
    "FetchFrame",
    "FetchedFrame",
    "FrameReader",
    "ReplyFrame",
    "SubmitFrame",
    "TopicFrame",
    "decode_request",
    "decode_response",
    "encode_value",
    "pack_frame",
]

MAX_LINK_FRAME_BYTES: Final = 8 << 20
_LENGTH: Final = struct.Struct("<I")


class SubmitFrame(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Commands to sequence together."""

    number: int
    records: bytes
    attachments: bytes


class AskFrame(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A question."""

    number: int
    query: Query


class ReplyFrame(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Events of the caller's own commands."""

    number: int
    history: list[CommandEvents]


class AnswerFrame(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """An answer, encoded by its question's type."""

    number: int
    body: bytes


class BusyFrame(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Refused before admission."""

    number: int
    retry_after_ms: int


class DoorbellFrame(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Everything up to this sequence is committed."""

    committed_sequence: int


class TopicFrame(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """News between processes that is no command: batch states, chain health, requests to relay. Either direction."""

    topic: str
    body: bytes


class FetchFrame(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """A question to a part of the exchange's process that is no question to the engine: answered at once."""

    number: int
    topic: str
    body: bytes


class FetchedFrame(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """What that part answered; not `is_known`: nobody there knows the topic."""

    number: int
    is_known: bool
    body: bytes


encode_value: Final = msgspec.msgpack.Encoder().encode
decode_request: Final = msgspec.msgpack.Decoder(SubmitFrame | AskFrame | TopicFrame | FetchFrame).decode
decode_response: Final = msgspec.msgpack.Decoder(
    ReplyFrame | AnswerFrame | BusyFrame | DoorbellFrame | TopicFrame | FetchedFrame
).decode
ANSWER_DECODERS: Final[dict[type, Callable[[bytes], Any]]] = {
    GetOrder: msgspec.msgpack.Decoder(OrderView | None).decode,
    GetOpenOrders: msgspec.msgpack.Decoder(tuple[OrderView, ...]).decode,
    GetAccount: msgspec.msgpack.Decoder(AccountView | None).decode,
    GetWallet: msgspec.msgpack.Decoder(WalletView | None).decode,
    GetBook: msgspec.msgpack.Decoder(BookView | None).decode,
    GetInstruments: msgspec.msgpack.Decoder(tuple[Instrument, ...]).decode,
    GetAuctions: msgspec.msgpack.Decoder(tuple[AuctionView, ...]).decode,
    GetExpiries: msgspec.msgpack.Decoder(tuple[ExpiryView, ...]).decode,
    GetOpenInterest: msgspec.msgpack.Decoder(tuple[OpenInterestView, ...]).decode,
    GetPrices: msgspec.msgpack.Decoder(PricesView).decode,
    GetSummary: msgspec.msgpack.Decoder(SummaryView).decode,
}


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        """Nothing is buffered."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """All complete frames. Raises BadRecord for a length beyond the limit."""
        self._buffer += data
        frames: list[bytes] = []
        at = 0
        while len(self._buffer) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer, at)
            if size > MAX_LINK_FRAME_BYTES:
                raise BadRecord(f"a frame of {size} bytes; the limit is {MAX_LINK_FRAME_BYTES}")
            if len(self._buffer) - at - _LENGTH.size < size:
                break
            frames.append(bytes(self._buffer[at + _LENGTH.size : at + _LENGTH.size + size]))
            at += _LENGTH.size + size
        del self._buffer[:at]
        return frames


def pack_frame(message: object) -> bytes:
    """Length and msgpack bytes of one message."""
    body = encode_value(message)
    return _LENGTH.pack(len(body)) + body
