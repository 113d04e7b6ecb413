"""Bytes of commands and events: the 64-byte record of architecture.md 12, attachments, and event blobs.

Everything hot is a fixed struct; rare content (prices, chain requests, listings) is one msgpack attachment, because it
is canonical too and needs no layout of its own. Event blobs are msgpack arrays of tagged arrays (D-003).
"""

import struct
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, Final

import msgspec

from exchange.domain.auction_bids import BidInAuction
from exchange.domain.auctions import SetPhase
from exchange.domain.blocks import ExecuteBlock
from exchange.domain.commands import (
    Amend,
    BatchCut,
    Cancel,
    CancelMany,
    CancelScope,
    ChainRequest,
    Clock,
    Command,
    CommandKind,
    EpochStart,
    ListInstrument,
    OrderFlag,
    Place,
    Replace,
    SessionClose,
    SessionOpen,
    SetPrices,
    SetSelfTradePrevention,
    Side,
    SignedAmend,
    TimeInForce,
)
from exchange.domain.events import Event, OrderAccepted, OrderRevised
from exchange.domain.market_limits import SetMarketLimits
from exchange.domain.order_options import pack_display, pack_trigger, unpack_display, unpack_trigger
from exchange.domain.portfolio import SetMarginKind, SetScenarios
from exchange.domain.quote_events import MassQuoted
from exchange.domain.quote_packing import (
    pack_bid,
    pack_mass_quote,
    pack_mmp,
    unpack_bid,
    unpack_mass_quote,
    unpack_mmp,
)
from exchange.domain.quotes import MassQuote, ResetMmp, SetMmpConfig
from exchange.domain.record_layout import (
    ACTION_SIGNATURE,
    BODY,
    CLIENT_ORDER_ID,
    DISPLAY,
    LABEL,
    NEW_TRIGGER_PRICE,
    RECORD,
    RECORD_BYTES,
    SIGNED,
    TRIGGER_TERMS,
    UNDERLYING,
    BadRecord,
    attachment,
    read_attachments,
    record,
)
from exchange.domain.rounds import DelistInstrument, OracleRound
from exchange.domain.safeguards import CancelAllAfter, RevokeKey, SetDisconnectRule, SetKeyLimits

__all__ = [
    "EVENT_FORMAT",
    "RECORD_BYTES",
    "BadRecord",
    "CommandEvents",
    "attachment_bytes",
    "pack_command",
    "pack_events",
    "unpack_commands",
    "unpack_events",
]

EVENT_FORMAT: Final = 2
_INTEGER_MAX: Final = (1 << 64) - 1
_TRIGGER_PRICE: Final = Struct("<q")


class CommandEvents(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All events of one command."""

    sequence: int
    timestamp_ns: int
    events: list[Event]


class _WideFee(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=32):
    """An event whose fee cap passes the 64 bits of a msgpack integer: the cap apart, 16 bytes little endian."""

    event: OrderAccepted | OrderRevised | MassQuoted
    max_fee_e18: bytes


class _PackedEvents(msgspec.Struct, frozen=True, array_like=True, gc=False):
    sequence: int
    timestamp_ns: int
    events: list[Event | _WideFee]


_encode_events = msgspec.msgpack.Encoder().encode
_decode_events = msgspec.msgpack.Decoder(list[_PackedEvents]).decode
_encode_body = msgspec.msgpack.Encoder().encode
_body_kinds: Final[dict[type, CommandKind]] = {
    ChainRequest: CommandKind.CHAIN_REQUEST,
    SetPrices: CommandKind.SET_PRICES,
    ListInstrument: CommandKind.LIST_INSTRUMENT,
    SessionOpen: CommandKind.SESSION_OPEN,
    SetPhase: CommandKind.SET_PHASE,
    OracleRound: CommandKind.ORACLE_ROUND,
    DelistInstrument: CommandKind.DELIST_INSTRUMENT,
    SetKeyLimits: CommandKind.SET_KEY_LIMITS,
    RevokeKey: CommandKind.REVOKE_KEY,
    SetDisconnectRule: CommandKind.SET_DISCONNECT_RULE,
    CancelAllAfter: CommandKind.CANCEL_ALL_AFTER,
    SetScenarios: CommandKind.SET_SCENARIOS,
    SetMarginKind: CommandKind.SET_MARGIN_KIND,
    SetMarketLimits: CommandKind.SET_MARKET_LIMITS,
    ExecuteBlock: CommandKind.EXECUTE_BLOCK,
}
_decoders: Final[dict[int, Any]] = {kind: msgspec.msgpack.Decoder(body).decode for body, kind in _body_kinds.items()}


def pack_events(commands: Sequence[CommandEvents]) -> bytes:
    """Canonical bytes of the events of consecutive commands."""
    return _encode_events([(one.sequence, one.timestamp_ns, list(map(_narrow, one.events))) for one in commands])


def unpack_events(blob: bytes) -> list[CommandEvents]:
    """Inverse of `pack_events`. Raises BadRecord."""
    try:
        return [
            CommandEvents(one.sequence, one.timestamp_ns, [_widen(event) for event in one.events])
            for one in _decode_events(blob)
        ]
    except msgspec.MsgspecError as error:
        raise BadRecord(f"event blob: {error}") from error


def pack_command(command: Command) -> tuple[bytes, bytes]:
    """(64-byte record, attachments) of a command."""
    if isinstance(command, Place):
        return _pack_order(CommandKind.PLACE, command, 0, -1)
    if isinstance(command, Replace):
        return _pack_order(CommandKind.REPLACE, command.order, command.target_order, command.expected_filled_lots)
    if isinstance(command, SignedAmend):
        return _pack_order(
            CommandKind.SIGNED_AMEND,
            command.order,
            command.target_order,
            command.expected_filled_lots,
            command.trigger_e9,
        )
    if isinstance(command, MassQuote):
        return pack_mass_quote(CommandKind.MASS_QUOTE, command)
    if isinstance(command, BidInAuction):
        return pack_bid(CommandKind.BID_IN_AUCTION, command)
    if isinstance(command, SetMmpConfig | ResetMmp):
        is_config = isinstance(command, SetMmpConfig)
        return pack_mmp(CommandKind.SET_MMP_CONFIG if is_config else CommandKind.RESET_MMP, command)
    kind = _body_kinds.get(type(command))
    if kind is not None:
        body = attachment(BODY, _encode_body(command))
        return record(kind, attachment_bytes=len(body)), body
    return _pack_small(command)


def attachment_bytes(record: bytes) -> int:
    """How many bytes of attachments belong to a record."""
    return int.from_bytes(record[60:64], "little")


def unpack_commands(records: bytes, attachments: bytes) -> Iterator[Command]:
    """The commands of consecutive records. Raises BadRecord when lengths or kinds do not fit."""
    if len(records) % RECORD_BYTES:
        raise BadRecord("records are not a multiple of 64 bytes")
    at = 0
    for fields in RECORD.iter_unpack(records):
        size = fields[13]
        yield _unpack(fields, attachments[at : at + size])
        at += size
    if at > len(attachments):
        raise BadRecord("attachments are shorter than their records say")


def _narrow(event: Event) -> Event | _WideFee:
    if not isinstance(event, OrderAccepted | OrderRevised | MassQuoted) or event.max_fee_e18 <= _INTEGER_MAX:
        return event
    fee = event.max_fee_e18.to_bytes(16, "little")
    return _WideFee(msgspec.structs.replace(event, max_fee_e18=0), fee)


def _widen(event: Event | _WideFee) -> Event:
    if isinstance(event, _WideFee):
        return msgspec.structs.replace(event.event, max_fee_e18=int.from_bytes(event.max_fee_e18, "little"))
    return event


def _pack_order(
    kind: CommandKind, order: Place, target: int, expected_filled_lots: int, trigger_e9: int = 0
) -> tuple[bytes, bytes]:
    signed = SIGNED.pack(
        order.signer,
        order.digest,
        order.signature,
        order.domain,
        order.max_fee_e18.to_bytes(16, "little"),
        order.expires_at_s,
        order.reject_after_ms,
        expected_filled_lots,
        len(order.digest) | len(order.signature) << 8,
    )
    attachments = attachment(ACTION_SIGNATURE, signed)
    if order.client_order_id:
        attachments += attachment(CLIENT_ORDER_ID, order.client_order_id.encode())
    if order.label:
        attachments += attachment(LABEL, order.label.encode())
    if order.trigger is not None:
        attachments += attachment(TRIGGER_TERMS, pack_trigger(order.trigger))
    if trigger_e9:
        attachments += attachment(NEW_TRIGGER_PRICE, _TRIGGER_PRICE.pack(trigger_e9))
    if order.display_lots:
        attachments += attachment(DISPLAY, pack_display(order.display_lots))
    row = RECORD.pack(
        kind, order.side | order.time_in_force << 1, order.flags, order.subaccount, order.instrument, 0,
        order.price_ticks, order.quantity_lots, order.nonce, target, order.session, order.mmp_group, order.expiry_s,
        len(attachments),
    )  # fmt: skip
    return row, attachments


def _pack_small(command: Command) -> tuple[bytes, bytes]:
    match command:
        case Cancel():
            text = attachment(CLIENT_ORDER_ID, command.client_order_id.encode()) if command.client_order_id else b""
            row = record(
                CommandKind.CANCEL,
                subaccount=command.subaccount,
                instrument=command.instrument,
                nonce=command.nonce,
                target=command.order,
                attachment_bytes=len(text),
            )
            return row, text
        case CancelMany():
            return _pack_cancel_many(command)
        case Amend():
            row = record(
                CommandKind.AMEND,
                subaccount=command.subaccount,
                target=command.order,
                price_ticks=command.trigger_e9,
                quantity_lots=command.quantity_lots,
            )
            return row, b""
        case SetSelfTradePrevention():
            kind = CommandKind.SET_SELF_TRADE_PREVENTION
            row = record(kind, side=command.by_owner, flags=command.mode, subaccount=command.subaccount)
            return row, b""
        case EpochStart():
            return record(CommandKind.EPOCH_START, target=command.epoch), b""
        case SessionClose():
            return record(CommandKind.SESSION_CLOSE, session=command.session, flags=int(command.logged_out)), b""
        case Clock():
            return record(CommandKind.CLOCK), b""
        case BatchCut():
            return record(CommandKind.BATCH_CUT, flags=int(command.allows_empty)), b""
    raise BadRecord(f"no record for {type(command).__name__}")


def _pack_cancel_many(command: CancelMany) -> tuple[bytes, bytes]:
    attachments = attachment(LABEL, command.label.encode()) if command.label else b""
    if command.underlying:
        attachments += attachment(UNDERLYING, command.underlying.encode())
    row = record(
        CommandKind.CANCEL_MANY,
        flags=command.scope,
        subaccount=command.subaccount,
        instrument=command.instrument,
        group=command.mmp_group,
        attachment_bytes=len(attachments),
    )
    return row, attachments


def _unpack(fields: tuple[int, ...], raw: bytes) -> Command:
    kind = fields[0]
    try:
        extra = read_attachments(raw)
        if kind in (CommandKind.PLACE, CommandKind.REPLACE, CommandKind.SIGNED_AMEND):
            return _unpack_order(fields, extra)
        if kind == CommandKind.MASS_QUOTE:
            return unpack_mass_quote(fields, extra)
        if kind == CommandKind.BID_IN_AUCTION:
            return unpack_bid(fields, extra)
        if kind in (CommandKind.SET_MMP_CONFIG, CommandKind.RESET_MMP):
            return unpack_mmp(fields, extra)
        decoder = _decoders.get(kind)
        if decoder is not None:
            command: Command = decoder(extra[BODY])
            return command
        return _unpack_small(fields, extra)
    except (KeyError, ValueError, struct.error) as error:
        raise BadRecord(f"command kind {kind}: {error}") from error


def _unpack_order(fields: tuple[int, ...], extra: dict[int, bytes]) -> Command:
    signer, digest, signature, domain, max_fee, expires_at_s, reject_after_ms, expected_filled, lengths = SIGNED.unpack(
        extra[ACTION_SIGNATURE]
    )
    order = Place(
        subaccount=fields[3],
        instrument=fields[4],
        side=Side(fields[1] & 1),
        time_in_force=TimeInForce(fields[1] >> 1),
        flags=OrderFlag(fields[2]),
        price_ticks=fields[6],
        quantity_lots=fields[7],
        nonce=fields[8],
        expiry_s=fields[12],
        signer=signer,
        max_fee_e18=int.from_bytes(max_fee, "little"),
        expires_at_s=expires_at_s,
        reject_after_ms=reject_after_ms,
        domain=domain,
        session=fields[10],
        digest=digest[: lengths & 0xFF],
        signature=signature[: lengths >> 8],
        client_order_id=extra.get(CLIENT_ORDER_ID, b"").decode(),
        label=extra.get(LABEL, b"").decode(),
        mmp_group=fields[11],
        trigger=unpack_trigger(extra[TRIGGER_TERMS]) if TRIGGER_TERMS in extra else None,
        display_lots=unpack_display(extra[DISPLAY]) if DISPLAY in extra else 0,
    )
    if fields[0] == CommandKind.PLACE:
        return order
    if fields[0] == CommandKind.SIGNED_AMEND:
        (trigger_e9,) = _TRIGGER_PRICE.unpack(extra.get(NEW_TRIGGER_PRICE, bytes(8)))
        return SignedAmend(
            target_order=fields[9], order=order, expected_filled_lots=expected_filled, trigger_e9=trigger_e9
        )
    return Replace(target_order=fields[9], order=order, expected_filled_lots=expected_filled)


def _unpack_small(fields: tuple[int, ...], extra: dict[int, bytes]) -> Command:
    match fields[0]:
        case CommandKind.CANCEL:
            return Cancel(
                subaccount=fields[3],
                order=fields[9],
                nonce=fields[8],
                client_order_id=extra.get(CLIENT_ORDER_ID, b"").decode(),
                instrument=fields[4],
            )
        case CommandKind.CANCEL_MANY:
            return CancelMany(
                subaccount=fields[3],
                instrument=fields[4],
                label=extra.get(LABEL, b"").decode(),
                scope=CancelScope(fields[2]),
                underlying=extra.get(UNDERLYING, b"").decode(),
                mmp_group=fields[11],
            )
        case CommandKind.AMEND:
            return Amend(subaccount=fields[3], order=fields[9], quantity_lots=fields[7], trigger_e9=fields[6])
        case CommandKind.SET_SELF_TRADE_PREVENTION:
            return SetSelfTradePrevention(subaccount=fields[3], mode=OrderFlag(fields[2]), by_owner=bool(fields[1]))
        case CommandKind.EPOCH_START:
            return EpochStart(epoch=fields[9])
        case CommandKind.SESSION_CLOSE:
            return SessionClose(session=fields[10], logged_out=bool(fields[2]))
        case CommandKind.CLOCK:
            return Clock()
        case CommandKind.BATCH_CUT:
            return BatchCut(allows_empty=bool(fields[2]))
    raise BadRecord(f"unknown command kind {fields[0]}")
