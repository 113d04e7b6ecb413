"""EIP-712 actions: module addresses, the domain and the digest that a user signs.

Type hash, module addresses and the verifying contract equal those of the Derive V3 protocol, so that its clients
sign for us unchanged; the asset addresses are ours and bind a signature to one deployment. The encoders of each
module's `data` live in `settlement.protocol.actions` and are exported here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from settlement.protocol.abi import EncodingError, address_word, bytes32_word, uint_word
from settlement.protocol.actions import (
    RfqLeg,
    encode_liquidate,
    encode_mass_quote,
    encode_rfq_execute,
    encode_rfq_legs,
    encode_rfq_quote,
    encode_set_session_key,
    encode_trade,
    encode_transfer_spot,
    encode_transfer_spot_external,
    encode_whitelist,
    encode_withdraw,
)
from settlement.protocol.keccak import COMPILED, keccak256

if COMPILED:
    from settlement.protocol import _keccak

__all__ = [
    "ACTION_TYPE",
    "ACTION_TYPEHASH",
    "DERIVE_MAINNET_CHAIN_ID",
    "DERIVE_SEPOLIA_CHAIN_ID",
    "DOMAIN_NAME",
    "DOMAIN_TYPE",
    "DOMAIN_TYPEHASH",
    "DOMAIN_VERSION",
    "LIQUIDATE_MODULE",
    "MASS_QUOTE_MODULE",
    "RFQ_MODULE",
    "SET_SESSION_KEY_MODULE",
    "TRADE_MODULE",
    "TRANSFER_SPOT_EXTERNAL_MODULE",
    "TRANSFER_SPOT_MODULE",
    "VERIFYING_CONTRACT",
    "WHITELIST_MODULE",
    "WITHDRAW_MODULE",
    "Action",
    "EncodingError",
    "RfqLeg",
    "action_hash",
    "asset_address",
    "digest",
    "domain_separator",
    "encode_liquidate",
    "encode_mass_quote",
    "encode_rfq_execute",
    "encode_rfq_legs",
    "encode_rfq_quote",
    "encode_set_session_key",
    "encode_trade",
    "encode_transfer_spot",
    "encode_transfer_spot_external",
    "encode_whitelist",
    "encode_withdraw",
    "option_sub_id",
    "trade_digest",
]

ACTION_TYPE = (
    "Action(uint256 subaccountId,uint256 nonce,address module,bytes data,uint256 expiry,address owner,address signer)"
)
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
ACTION_TYPEHASH = keccak256(ACTION_TYPE.encode())
DOMAIN_TYPEHASH = keccak256(DOMAIN_TYPE.encode())
DOMAIN_NAME = "Matching"
DOMAIN_VERSION = "1.0"
VERIFYING_CONTRACT = bytes.fromhex("eB8d770ec18DB98Db922E9D83260A585b9F0DeAD")
DERIVE_SEPOLIA_CHAIN_ID = 11155111
DERIVE_MAINNET_CHAIN_ID = 1

TRADE_MODULE = bytes.fromhex("B8D20c2B7a1Ad2EE33Bc50eF10876eD3035b5e7b")
WITHDRAW_MODULE = bytes.fromhex("9d0E8f5b25384C7310CB8C6aE32C8fbeb645d083")
TRANSFER_SPOT_MODULE = bytes.fromhex("01259207A40925b794C8ac320456F7F6c8FE2636")
TRANSFER_SPOT_EXTERNAL_MODULE = bytes.fromhex("8F9B8f12ddA05FB1F0DDDDe8f5af8cECF54f8aC9")
RFQ_MODULE = bytes.fromhex("9371352CCef6f5b36EfDFE90942fFE622Ab77F1D")
SET_SESSION_KEY_MODULE = bytes.fromhex("e330CF64ff6EbF41699aad344Cb21d78db1D2bb6")
WHITELIST_MODULE = bytes.fromhex("B86D6DE1b76c9839e4BA860848CD98A1dABd6B54")
LIQUIDATE_MODULE = bytes.fromhex("66d23e59DaEEF13904eFA2D4B8658aeD05f59a92")
MASS_QUOTE_MODULE = keccak256(b"offbook.module.mass_quote")[12:]

_DIGEST_PREFIX = b"\x19\x01"
_ASSET_PREFIX = "offbook.asset"
_CALL_BIT = 95
_STRIKE_SHIFT = 32
_MAX_STRIKE_E8 = (1 << 63) - 1
_MAX_EXPIRY_S = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One signed action. `data` is the ABI encoding of the module's arguments; `expiry_s` is in Unix seconds."""

    subaccount_id: int
    nonce: int
    module: bytes
    data: bytes
    expiry_s: int
    owner: bytes
    signer: bytes


@lru_cache(maxsize=64)
def domain_separator(chain_id: int) -> bytes:
    """Return the 32-byte separator of our domain on `chain_id`."""
    return keccak256(
        DOMAIN_TYPEHASH
        + keccak256(DOMAIN_NAME.encode())
        + keccak256(DOMAIN_VERSION.encode())
        + uint_word(chain_id)
        + address_word(VERIFYING_CONTRACT)
    )


@lru_cache(maxsize=1024)
def asset_address(*, chain_id: int, settlement_contract: bytes, currency: str, kind: str) -> bytes:
    """Return the published address of an asset; `kind` is perp, option or erc20.

    It commits to chain and contract, so an order signed for one deployment is void on every other.
    """
    parts: list[bytes | str] = [_ASSET_PREFIX, uint_word(chain_id), address_word(settlement_contract), currency, kind]
    head, tail = b"", b""
    for part in parts:
        if isinstance(part, bytes):
            head += part
            continue
        head += uint_word(32 * len(parts) + len(tail))
        tail += _string(part)
    return keccak256(head + tail)[12:]


def option_sub_id(*, is_call: bool, strike_e8: int, expiry_s: int) -> int:
    """Return the uint96 id of an option: call bit, strike in 1e-8 USDC (63 bits), expiry in seconds (32 bits)."""
    if not 0 < strike_e8 <= _MAX_STRIKE_E8:
        raise EncodingError(f"strike_e8 {strike_e8} is outside 1 .. 2^63 - 1")
    if not 0 < expiry_s <= _MAX_EXPIRY_S:
        raise EncodingError(f"expiry_s {expiry_s} is outside 1 .. 2^32 - 1")
    return int(is_call) << _CALL_BIT | strike_e8 << _STRIKE_SHIFT | expiry_s


def action_hash(action: Action) -> bytes:
    """Return the EIP-712 struct hash of `action`; EncodingError when a field does not fit its type."""
    return keccak256(
        ACTION_TYPEHASH
        + uint_word(action.subaccount_id)
        + uint_word(action.nonce)
        + address_word(action.module)
        + keccak256(action.data)
        + uint_word(action.expiry_s)
        + address_word(action.owner)
        + address_word(action.signer)
    )


def digest(separator: bytes, action: Action) -> bytes:
    """Return the 32 bytes that are signed for `action` under the domain `separator`."""
    return keccak256(_DIGEST_PREFIX + bytes32_word(separator) + action_hash(action))


def trade_digest(
    separator: bytes,
    *,
    asset: bytes,
    sub_id: int,
    limit_price_e18: int,
    amount_e18: int,
    max_fee_e18: int,
    subaccount_id: int,
    is_bid: bool,
    nonce: int,
    expiry_s: int,
    owner: bytes,
    signer: bytes,
) -> bytes:
    """Return the digest of an order whose recipient is its own subaccount; EncodingError as in `digest`."""
    if COMPILED:
        try:
            return _keccak.trade_digest(
                separator,
                ACTION_TYPEHASH,
                TRADE_MODULE,
                asset,
                sub_id,
                limit_price_e18,
                amount_e18,
                max_fee_e18,
                subaccount_id,
                is_bid,
                nonce,
                expiry_s,
                owner,
                signer,
            )
        except OverflowError:  # the reference below says which value does not fit
            pass
    data = encode_trade(
        asset=asset,
        sub_id=sub_id,
        limit_price_e18=limit_price_e18,
        amount_e18=amount_e18,
        max_fee_e18=max_fee_e18,
        recipient_subaccount_id=subaccount_id,
        is_bid=is_bid,
    )
    action = Action(
        subaccount_id=subaccount_id,
        nonce=nonce,
        module=TRADE_MODULE,
        data=data,
        expiry_s=expiry_s,
        owner=owner,
        signer=signer,
    )
    return digest(separator, action)


def _string(text: str) -> bytes:
    raw = text.encode()
    return uint_word(len(raw)) + raw + bytes(-len(raw) % 32)
