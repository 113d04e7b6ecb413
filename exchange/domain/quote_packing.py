"""Records of mass quotes and of their groups."""

from typing import Any, Final

import msgspec

from exchange.domain.auction_bids import BidInAuction, BidTerms
from exchange.domain.quotes import MassQuote, ResetMmp, SetMmpConfig, pack_lines, unpack_lines
from exchange.domain.record_layout import ACTION_SIGNATURE, BODY, QUOTE_LINES, SIGNED, attachment, record

__all__ = ["pack_bid", "pack_mass_quote", "pack_mmp", "unpack_bid", "unpack_mass_quote", "unpack_mmp"]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Any] = msgspec.msgpack.Decoder(SetMmpConfig).decode
_decode_terms: Final[Any] = msgspec.msgpack.Decoder(BidTerms).decode


def pack_mass_quote(kind: int, command: MassQuote, body: bytes = b"") -> tuple[bytes, bytes]:
    """(64-byte record, attachments): the signature where there is one, `body`, then the lines as they were signed."""
    attachments = attachment(ACTION_SIGNATURE, _signed(command)) if command.signer else b""
    attachments += attachment(BODY, body) if body else b""
    attachments += attachment(QUOTE_LINES, pack_lines(command.lines))
    row = record(
        kind,
        subaccount=command.subaccount,
        quantity_lots=len(command.lines),
        nonce=command.nonce,
        session=command.session,
        group=command.mmp_group,
        expiry_s=command.expiry_s,
        attachment_bytes=len(attachments),
    )
    return row, attachments


def unpack_mass_quote(fields: tuple[int, ...], extra: dict[int, bytes]) -> MassQuote:
    """Inverse of `pack_mass_quote`; ValueError when the number of lines is another than the record says."""
    lines = unpack_lines(extra[QUOTE_LINES])
    if len(lines) != fields[7]:
        raise ValueError(f"{len(lines)} lines, the record says {fields[7]}")
    signed = SIGNED.unpack(extra.get(ACTION_SIGNATURE, bytes(SIGNED.size)))
    signer, digest, signature, domain, max_fee, _, _, _, lengths = signed
    return MassQuote(
        subaccount=fields[3],
        mmp_group=fields[11],
        lines=lines,
        nonce=fields[8],
        expiry_s=fields[12],
        signer=signer if ACTION_SIGNATURE in extra else b"",
        max_fee_e18=int.from_bytes(max_fee, "little"),
        domain=domain,
        session=fields[10],
        digest=digest[: lengths & 0xFF],
        signature=signature[: lengths >> 8],
    )


def pack_bid(kind: int, command: BidInAuction) -> tuple[bytes, bytes]:
    """(64-byte record, attachments): a mass quote's, and what the bid says of the auction."""
    return pack_mass_quote(kind, command.call, _encode(BidTerms.of(command)))


def unpack_bid(fields: tuple[int, ...], extra: dict[int, bytes]) -> BidInAuction:
    """Inverse of `pack_bid`."""
    terms: BidTerms = _decode_terms(extra[BODY])
    return terms.bid(unpack_mass_quote(fields, extra))


def pack_mmp(kind: int, command: SetMmpConfig | ResetMmp) -> tuple[bytes, bytes]:
    """(64-byte record, attachments) of what sets up a group or thaws it."""
    body = attachment(BODY, _encode(command)) if isinstance(command, SetMmpConfig) else b""
    subaccount, group = command.subaccount, command.mmp_group
    return record(kind, subaccount=subaccount, group=group, attachment_bytes=len(body)), body


def unpack_mmp(fields: tuple[int, ...], extra: dict[int, bytes]) -> SetMmpConfig | ResetMmp:
    """Inverse of `pack_mmp`."""
    if BODY in extra:
        config: SetMmpConfig = _decode(extra[BODY])
        return config
    return ResetMmp(subaccount=fields[3], mmp_group=fields[11])


def _signed(command: MassQuote) -> bytes:
    return SIGNED.pack(
        command.signer,
        command.digest,
        command.signature,
        command.domain,
        command.max_fee_e18.to_bytes(16, "little"),
        0,
        0,
        -1,
        len(command.digest) | len(command.signature) << 8,
    )
