"""Calls and events of the contract that the watcher uses; signatures as in `settlement/contracts/src/interfaces`."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from eth_abi.abi import encode

from settlement.onchain.contract import encode_call
from settlement.protocol.keccak import keccak256

__all__ = [
    "BATCH_POSTED",
    "BATCH_REVERTED",
    "CHALLENGED",
    "CHUNK_BYTES",
    "FINALIZED",
    "FREEZE_NOTICED",
    "FROZEN",
    "INSTRUMENT_LISTED",
    "NO_FRAUD",
    "ORACLE_POSTED",
    "OVER_APPROVAL",
    "REFUSAL",
    "ZERO_HEADER",
    "BoundProof",
    "FloorProof",
    "PostedHeader",
    "WithdrawalProof",
    "accuse",
    "accuse_of_bound",
    "accuse_of_deficit",
    "accuse_of_deficit_staged",
    "accuse_of_withdrawal",
    "accuse_staged",
    "ask",
    "challenge_id",
    "slash",
    "stage",
    "staged_floor_proof",
]

BATCH_POSTED: Final = keccak256(b"BatchPosted(uint64,bytes32,bytes32,bytes32,uint256)")
BATCH_REVERTED: Final = keccak256(b"BatchReverted(uint64,uint64,uint16)")
FINALIZED: Final = keccak256(b"Finalized(uint64,uint64,uint96)")
ORACLE_POSTED: Final = keccak256(b"OraclePosted(uint64,uint40,bytes32)")
CHALLENGED: Final = keccak256(b"Challenged(bytes32,uint64,uint32,address,uint40)")
FREEZE_NOTICED: Final = keccak256(b"FreezeNoticed(address,uint40)")
FROZEN: Final = keccak256(b"Frozen(address)")
_SPEC: Final = "(address,uint96,bool,bool,uint32,uint40,uint64,uint128,uint64,uint8)"
_FLOOR_PROOF: Final = f"(uint32,bytes,bytes,bytes,bytes,bytes,{_SPEC}[])"
INSTRUMENT_LISTED: Final = keccak256(f"InstrumentListed(uint32,{_SPEC})".encode())
REFUSAL: Final = "proveWrongRefusal"
OVER_APPROVAL: Final = "proveOverApproval"
BoundProof = tuple[bytes, bytes, int, object, int, bytes, bytes]
"""Vectors before and after, instrument, spec, holder with leaf and siblings."""
FloorProof = tuple[int, bytes, bytes, bytes, bytes, bytes, Sequence[object]]
"""Account, data, leaf behind the batch, siblings, vectors of the round before and of the own, specs."""
WithdrawalProof = tuple[int, bytes, bytes, bytes, Sequence[object]]
"""Request, vector, leaf, siblings, specs."""
NO_FRAUD: Final = keccak256(b"NoFraud()")[:4]
CHUNK_BYTES: Final = 24_575
_HEADER: Final = "(bytes32,bytes32,bytes32,bytes32,bytes32,uint256,uint64,uint64,uint96)"


class PostedHeader(NamedTuple):
    """What the contract's hash of a batch commits to, in its order."""

    previous_hash: bytes
    previous_root: bytes
    new_root: bytes
    orders_root: bytes
    data_hash: bytes
    h: int
    block_time_s: int
    block_number: int
    collateral_e6: int

    def digest(self) -> bytes:
        """The hash."""
        return keccak256(encode(["bytes32"] * 5 + ["uint256"] * 4, self))


ZERO_HEADER: Final = PostedHeader(bytes(32), bytes(32), bytes(32), bytes(32), bytes(32), 0, 0, 0, 0)


def accuse(seq: int, previous: PostedHeader, header: PostedHeader, proof: bytes) -> bytes:
    """Calldata that proves a wrong root (F1) in one call."""
    return encode_call(f"proveWrongRoot(uint64,{_HEADER},{_HEADER},bytes)", seq, previous, header, proof)


def accuse_staged(seq: int, previous: PostedHeader, header: PostedHeader, nonce: int) -> bytes:
    """Calldata that proves a wrong root with bytes staged before."""
    return encode_call(f"proveWrongRootStaged(uint64,{_HEADER},{_HEADER},uint256)", seq, previous, header, nonce)


def accuse_of_bound(
    seq: int,
    previous: PostedHeader,
    header: PostedHeader,
    proof: BoundProof,
) -> bytes:
    """Calldata that proves a broken bound (F4)."""
    call = f"proveOracleBound(uint64,{_HEADER},{_HEADER},(bytes,bytes,uint32,{_SPEC},uint32,bytes,bytes))"
    return encode_call(call, seq, previous, header, proof)


def accuse_of_withdrawal(
    name: str, seq: int, previous: PostedHeader, header: PostedHeader, proof: WithdrawalProof
) -> bytes:
    """Calldata that proves a wrong REFUSAL (F5) or an OVER_APPROVAL (F3)."""
    call = f"{name}(uint64,{_HEADER},{_HEADER},(uint64,bytes,bytes,bytes,{_SPEC}[]))"
    return encode_call(call, seq, previous, header, proof)


def accuse_of_deficit(seq: int, previous: PostedHeader, header: PostedHeader, proof: FloorProof) -> bytes:
    """Calldata that proves an account left below its floor (F3) in one call."""
    return encode_call(f"proveInsolvent(uint64,{_HEADER},{_HEADER},{_FLOOR_PROOF})", seq, previous, header, proof)


def accuse_of_deficit_staged(seq: int, previous: PostedHeader, header: PostedHeader, nonce: int) -> bytes:
    """Calldata that proves it with bytes staged before: those of `staged_floor_proof`."""
    return encode_call(f"proveInsolventStaged(uint64,{_HEADER},{_HEADER},uint256)", seq, previous, header, nonce)


def staged_floor_proof(proof: FloorProof) -> bytes:
    """What the chunks of a staged proof of a floor are, one after another."""
    return encode([_FLOOR_PROOF], [proof])


def stage(nonce: int, chunk: bytes) -> bytes:
    """Calldata that stages one chunk of at most CHUNK_BYTES."""
    return encode_call("stageProof(uint256,bytes)", nonce, chunk)


def ask(seq: int, header: PostedHeader, account: int) -> bytes:
    """Calldata that asks who authorized an account's delta (F2)."""
    return encode_call(f"challenge(uint64,{_HEADER},uint32,uint64,uint64)", seq, header, account, 0, 0)


def challenge_id(header: PostedHeader, account: int) -> bytes:
    """Id of the question that `ask` asks."""
    return keccak256(encode(["bytes32", "uint32", "uint64", "uint64"], [header.digest(), account, 0, 0]))


def slash(id_: bytes, previous: PostedHeader, header: PostedHeader) -> bytes:
    """Calldata that ends a question which nobody answered in time."""
    return encode_call(f"slashUnanswered(bytes32,{_HEADER},{_HEADER})", id_, previous, header)
