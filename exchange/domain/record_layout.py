"""The 64-byte record of architecture.md 12 and its attachments, as bytes; what they mean stands in `packing`."""

from struct import Struct
from typing import Final

__all__ = [
    "ACTION_SIGNATURE",
    "ATTACHMENT",
    "BODY",
    "CLIENT_ORDER_ID",
    "DISPLAY",
    "LABEL",
    "NEW_TRIGGER_PRICE",
    "QUOTE_LINES",
    "RECORD",
    "RECORD_BYTES",
    "SIGNED",
    "TRIGGER_TERMS",
    "UNDERLYING",
    "BadRecord",
    "attachment",
    "read_attachments",
    "record",
]

RECORD_BYTES: Final = 64
RECORD: Final = Struct("<BBHIIIqqQQIIII")
ATTACHMENT: Final = Struct("<HHI")
SIGNED: Final = Struct("<20s32s65sB16sQQqQ")
(
    ACTION_SIGNATURE, CLIENT_ORDER_ID, LABEL, BODY, TRIGGER_TERMS, NEW_TRIGGER_PRICE, UNDERLYING, QUOTE_LINES, DISPLAY,
) = range(1, 10)  # fmt: skip


class BadRecord(ValueError):
    """Bytes that are no command or event of this format."""


def record(
    kind: int,
    *,
    side: int = 0,
    flags: int = 0,
    subaccount: int = 0,
    instrument: int = 0,
    price_ticks: int = 0,
    quantity_lots: int = 0,
    nonce: int = 0,
    target: int = 0,
    session: int = 0,
    group: int = 0,
    expiry_s: int = 0,
    attachment_bytes: int = 0,
) -> bytes:
    """One record; `side` holds time in force above its lowest bit."""
    return RECORD.pack(
        kind, side, flags, subaccount, instrument, 0, price_ticks, quantity_lots, nonce, target, session, group,
        expiry_s, attachment_bytes,
    )  # fmt: skip


def attachment(kind: int, body: bytes) -> bytes:
    """An attachment with its head, padded to eight bytes."""
    return ATTACHMENT.pack(kind, 0, len(body)) + body + bytes(-len(body) % 8)


def read_attachments(raw: bytes) -> dict[int, bytes]:
    """Attachments of one record by kind. Raises BadRecord when their lengths do not add up."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw):
        kind, _, size = ATTACHMENT.unpack_from(raw, at)
        found[kind] = raw[at + 8 : at + 8 + size]
        at += 8 + size + (-size % 8)
    if at != len(raw):
        raise BadRecord("attachment lengths do not add up")
    return found
