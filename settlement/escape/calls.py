"""Calls, views and refusals of freeze and escape; signatures as in `IEscape.sol` of the contracts."""

from typing import Final, NamedTuple

from eth_abi.abi import decode

from settlement.onchain.contract import SettlementReader, encode_call
from settlement.protocol.keccak import keccak256
from settlement.watch.chain_calls import PostedHeader

__all__ = [
    "CLAIM_FIELDS",
    "FREEZE",
    "EscapeState",
    "allowed_from_s",
    "claim",
    "claim_withdrawal",
    "finalize",
    "is_refusal",
    "load_marks",
    "pay",
    "read_state",
    "refund",
]

FREEZE: Final = encode_call("freeze()")
CLAIM_FIELDS: Final = ("uint256", "uint256", "bool", "bool")
_HEADER: Final = "(bytes32,bytes32,bytes32,bytes32,bytes32,uint256,uint64,uint64,uint96)"
_STATE: Final = "(uint40,uint40,uint40,uint40,bool,uint64,uint40,bool,uint256,uint256,uint256)"
_TIMED: Final = ("NotStalled(uint40)", "FreezeTooEarly(uint40)", "ClaimsOpen(uint40)")


class EscapeState(NamedTuple):
    """How freeze and escape stand; times in seconds, 0 for what has not happened; amounts in 1e-6 USDC.

    `stalled_from_s`: when `freeze` is accepted unless the operator moves. `freeze_from_s`: when the second call is, 0
    without a first one that still counts. `is_open`: frozen and the head final. `claims_end_s`: payments begin then.
    """

    stalled_from_s: int
    notice_at_s: int
    freeze_from_s: int
    frozen_at_s: int
    is_open: bool
    round_number: int
    claims_end_s: int
    is_closed: bool
    total_claims_e6: int
    assets_e6: int
    paid_e6: int


def read_state(reader: SettlementReader) -> EscapeState:
    """Return what the contract says now."""
    return EscapeState(*reader.view("escapeState()", [_STATE]))


def load_marks(vector: bytes) -> bytes:
    """Calldata that loads the marks of the final head's round."""
    return encode_call("loadMarks(bytes)", vector)


def claim(account: int, leaf: bytes, path: bytes) -> bytes:
    """Calldata that registers the equity of an account."""
    return encode_call("escapeClaim(uint32,bytes,bytes)", account, leaf, path)


def pay(account: int) -> bytes:
    """Calldata that pays a claim to its owner."""
    return encode_call("escapePay(uint32)", account)


def refund(request: int) -> bytes:
    """Calldata that gives a deposit back that no final batch consumed."""
    return encode_call("escapeRefund(uint64)", request)


def claim_withdrawal(request: int) -> bytes:
    """Calldata that pays a final withdrawal."""
    return encode_call("claim(uint64[],address,bytes)", [request], bytes(20), b"")


def finalize(seq: int, header: PostedHeader) -> bytes:
    """Calldata that makes a batch final."""
    return encode_call(f"finalize(uint64,{_HEADER})", seq, header)


def allowed_from_s(refusal: bytes) -> int | None:
    """Time that a refusal names as the one from which the call is accepted, None for a refusal of another kind."""
    if not any(is_refusal(refusal, name) for name in _TIMED):
        return None
    return int(decode(["uint40"], refusal[4:])[0])


def is_refusal(data: bytes, error: str) -> bool:
    """Whether revert data is that custom error, named with its types."""
    return data[:4] == keccak256(error.encode())[:4]
