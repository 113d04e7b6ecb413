"""Calls of the dispute over orders (F2): challenges read from the chain, answers in parts, as bytes.

Signatures are those of `settlement/contracts/src/interfaces/IAuthority.sol` and `IMarkets.sol`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode

from settlement.onchain.chain import Log
from settlement.onchain.contract import HEADER_TYPE, BatchHeader, SettlementReader, encode_call
from settlement.onchain.errors import RpcRefused
from settlement.protocol.evidence import AnswerSums, LeafEvidence
from settlement.protocol.keccak import keccak256
from settlement.protocol.merkle import StateTree, Tree

__all__ = [
    "CHALLENGED",
    "AssetRow",
    "Challenge",
    "ChallengeState",
    "Part",
    "encode_answer",
    "encode_listing",
    "orders_tree",
    "parts_of",
    "read_asset",
    "read_challenge",
    "read_challenged",
]

CHALLENGED: Final = keccak256(b"Challenged(bytes32,uint64,uint32,address,uint40)")
LEAVES_PER_PART: Final = 64
"""About 90 kB of calldata and 0.7M gas: within what nodes and blocks take."""
_ACTION: Final = "(uint256,uint256,address,uint256,address,address)"
_SPEC: Final = "(address,uint96,bool,bool,uint32,uint40,uint64,uint128,uint64,uint8)"
_EVIDENCE: Final = f"(uint32,uint32,int64,uint64,int64,uint8,bool,{_ACTION},bytes,bytes,bytes,{_SPEC},uint32[])"
_STATE: Final = "(uint64,bytes32,int256,uint32[],int256[])"
_ANSWER: Final = f"answer(bytes32,{HEADER_TYPE},{_STATE},{_EVIDENCE}[],bytes,bytes)"
_CHALLENGE_FIELDS: Final = (
    "address", "uint40", "uint32", "bool", "bytes32", "uint64", "uint64", "uint64", "uint64",
)  # fmt: skip
_SUB_ID_STRIKE_BITS: Final = 63


@dataclass(frozen=True, slots=True)
class Challenge:
    """A question: what authorized the delta of `account` in batch `seq`? To be answered before `deadline_s`."""

    id: bytes
    seq: int
    account: int
    challenger: bytes
    deadline_s: int


@dataclass(frozen=True, slots=True)
class ChallengeState:
    """What the contract says of a challenge now."""

    is_open: bool
    batch_hash: bytes
    deadline_s: int


@dataclass(frozen=True, slots=True)
class AssetRow:
    """What the instruments of an asset have in common on chain."""

    is_perpetual: bool
    underlying: int
    lot_e18: int
    unit_e6: int
    factor_class: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer: leaves with their places, the siblings that they lack, the sums before and after."""

    leaves: tuple[tuple[int, LeafEvidence], ...]
    siblings: bytes
    before: AnswerSums
    after: AnswerSums
    is_last: bool


def read_challenged(log: Log) -> Challenge:
    """Read a Challenged event."""
    challenger, deadline_s = decode(["address", "uint40"], log.data)
    return Challenge(
        id=log.topics[1],
        seq=int.from_bytes(log.topics[2], "big"),
        account=int.from_bytes(log.topics[3], "big"),
        challenger=bytes.fromhex(challenger[2:]),
        deadline_s=deadline_s,
    )


def read_challenge(reader: SettlementReader, id_: bytes) -> ChallengeState:
    """Ask the contract how a challenge stands."""
    row = reader.view("challengeOf(bytes32)", _CHALLENGE_FIELDS, id_)
    return ChallengeState(is_open=row[3], batch_hash=bytes(row[4]), deadline_s=row[1])


def read_asset(reader: SettlementReader, asset: bytes) -> AssetRow:
    """Read an asset's row. Raises `RpcRefused` for an asset that the timelock never set."""
    known, *row = reader.view("asset(address)", ["bool", "bool", "uint32", "uint128", "uint64", "uint8"], asset)
    if not known:
        raise RpcRefused(f"the contract does not know asset 0x{asset.hex()}: its row must be set by the timelock")
    return AssetRow(*row)


def orders_tree(leaves: Mapping[int, bytes]) -> Tree:
    """Return the orders tree of a batch with `leaves` by place."""
    tree = StateTree()
    tree.set_leaves(leaves)
    return tree


def parts_of(tree: Tree, leaves: Sequence[tuple[int, LeafEvidence]], size: int = LEAVES_PER_PART) -> Iterator[Part]:
    """Split an account's leaves into parts of at most `size`; one empty part when it has none."""
    sums = AnswerSums()
    for start in range(0, max(len(leaves), 1), size):
        chosen = tuple(leaves[start : start + size])
        after = sums.plus((place, leaf.fill) for place, leaf in chosen)
        siblings = b"".join(tree.multiproof([place for place, _ in chosen])) if chosen else b""
        yield Part(chosen, siblings, sums, after, is_last=start + size >= len(leaves))
        sums = after


def encode_answer(id_: bytes, header: BatchHeader, part: Part, data: bytes, assets: Mapping[bytes, AssetRow]) -> bytes:
    """Calldata of one part of an answer; `data` of the batch goes with the last part alone."""
    shown = [_evidence(place, leaf, assets[leaf.asset]) for place, leaf in part.leaves]
    return encode_call(
        _ANSWER, id_, header.words(), part.before.words(), shown, part.siblings, data if part.is_last else b""
    )


def encode_listing(instruments: Sequence[tuple[int, bytes, int]]) -> bytes:
    """Calldata that lists instruments, each an (id, asset, sub id)."""
    ids, assets, sub_ids = zip(*instruments, strict=True)
    return encode_call("listInstruments(uint32[],address[],uint96[])", list(ids), list(assets), list(sub_ids))


def _evidence(place: int, leaf: LeafEvidence, row: AssetRow) -> tuple[Any, ...]:
    fill, signed, action = leaf.fill, leaf.signed, leaf.signed.action
    amounts = (fill.instrument, fill.position_lots, fill.notional_e6, fill.fee_e6)
    words = (action.subaccount_id, action.nonce, action.module, action.expiry_s, action.owner, action.signer)
    return (
        place,
        *amounts,
        leaf.line,
        signed.is_sepolia,
        words,
        action.data,
        signed.lines,
        signed.signature,
        _spec(leaf.asset, leaf.sub_id, row),
        list(leaf.key_accounts),
    )


def _spec(asset: bytes, sub_id: int, row: AssetRow) -> tuple[Any, ...]:
    """The contract's `InstrumentSpec`: an option's sub id holds its call bit, strike and expiry."""
    is_call = not row.is_perpetual and bool(sub_id >> 95)
    strike_e8 = 0 if row.is_perpetual else sub_id >> 32 & ((1 << _SUB_ID_STRIKE_BITS) - 1)
    expiry_s = 0 if row.is_perpetual else sub_id & 0xFFFFFFFF
    numbers = (row.underlying, expiry_s, strike_e8, row.lot_e18, row.unit_e6, row.factor_class)
    return asset, sub_id, row.is_perpetual, is_call, *numbers
