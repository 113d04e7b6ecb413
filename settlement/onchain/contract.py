"""Calls, events and reads of the settlement contract and the demo token, as bytes; nothing here opens a connection.

Signatures are those of `settlement/contracts/src/interfaces/ISettlement.sol`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode, encode

from settlement.onchain.chain import Chain, Log
from settlement.onchain.errors import RpcRefused
from settlement.protocol.batch import batch_hash
from settlement.protocol.keccak import keccak256

__all__ = [
    "BATCH_POSTED",
    "CLAIMED",
    "FINALIZE",
    "HEADER_TYPE",
    "POST",
    "REQUESTED",
    "SESSION_KEY_SET",
    "BatchHeader",
    "PostCall",
    "PostedEvent",
    "SettlementReader",
    "calldata_length",
    "decode_post",
    "encode_call",
    "encode_finalize",
    "encode_post",
    "read_posted",
    "selector",
]

POST: Final = "post(uint64,bytes32,bytes32,uint256,bytes)"
HEADER_TYPE: Final = "(bytes32,bytes32,bytes32,bytes32,bytes32,uint256,uint64,uint64,uint96)"
FINALIZE: Final = f"finalize(uint64,{HEADER_TYPE})"
_POST_HEAD: Final = 4 + 6 * 32  # selector, four words, place and length of the data
BATCH_POSTED: Final = keccak256(b"BatchPosted(uint64,bytes32,bytes32,bytes32,uint256)")
CLAIMED: Final = keccak256(b"Claimed(uint64,uint32,address,uint64)")
REQUESTED: Final = keccak256(b"Requested(uint64,uint32,uint8,uint64,address)")
SESSION_KEY_SET: Final = keccak256(b"SessionKeySet(uint64,address,address,uint40,uint40,uint32,uint32[],bool)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostCall:
    """Arguments of `post`: what one batch puts on chain. `h` is the header word."""

    seq: int
    new_root: bytes
    orders_root: bytes
    h: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedEvent:
    """A BatchPosted event and its place."""

    seq: int
    new_root: bytes
    orders_root: bytes
    data_hash: bytes
    h: int
    tx_hash: bytes
    block_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHeader:
    """What `batchHash(seq)` commits to and `finalize` takes back."""

    previous_batch_hash: bytes
    previous_root: bytes
    new_root: bytes
    orders_root: bytes
    data_hash: bytes
    h: int
    block_time_s: int
    block_number: int
    collateral_e6: int

    def words(self) -> tuple[bytes, bytes, bytes, bytes, bytes, int, int, int, int]:
        """Members in the order of the contract's struct."""
        hashes = (self.previous_batch_hash, self.previous_root, self.new_root, self.orders_root, self.data_hash)
        return *hashes, self.h, self.block_time_s, self.block_number, self.collateral_e6

    def digest(self) -> bytes:
        """Value of the contract's hash chain."""
        return batch_hash(
            previous_batch_hash=self.previous_batch_hash,
            previous_root=self.previous_root,
            new_root=self.new_root,
            orders_root=self.orders_root,
            data_hash=self.data_hash,
            h=self.h,
            block_time_s=self.block_time_s,
            block_number=self.block_number,
            collateral_e6=self.collateral_e6,
        )


@cache
def selector(signature: str) -> bytes:
    """First four bytes of a call."""
    return keccak256(signature.encode())[:4]


@cache
def _types(signature: str) -> tuple[str, ...]:
    inner = signature[signature.index("(") + 1 : -1]
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(inner):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(inner[start:at])
            start = at + 1
    return (*parts, inner[start:]) if inner else ()


def encode_call(signature: str, *arguments: Any) -> bytes:
    """Calldata of a function named with its types; addresses are 20 bytes."""
    return selector(signature) + encode(_types(signature), arguments)


def encode_post(call: PostCall) -> bytes:
    """Calldata of `post`."""
    return selector(POST) + encode(_types(POST), [call.seq, call.new_root, call.orders_root, call.h, call.data])


def calldata_length(data_length: int) -> int:
    """Bytes of the calldata of a `post` whose `data` has this length, padded to words as the ABI wants it."""
    return _POST_HEAD + -(-data_length // 32) * 32


def decode_post(calldata: bytes) -> PostCall:
    """Arguments from the calldata of a `post`. Raises `RpcRefused` when it is another call."""
    if calldata[:4] != selector(POST):
        raise RpcRefused(f"calldata starts with {calldata[:4].hex()}, not with post")
    # the contract reads the data by place and length, whatever pads it or stands behind it
    seq, new_root, orders_root, h, place = decode([*_types(POST)[:-1], "uint256"], calldata[4:])
    at = 4 + place
    data = calldata[at + 32 : at + 32 + int.from_bytes(calldata[at : at + 32], "big")]
    return PostCall(seq=seq, new_root=new_root, orders_root=orders_root, h=h, data=data)


def encode_finalize(seq: int, header: BatchHeader) -> bytes:
    """Calldata of `finalize`."""
    return selector(FINALIZE) + encode(_types(FINALIZE), [seq, header.words()])


def read_posted(log: Log) -> PostedEvent:
    """Read a BatchPosted event."""
    new_root, orders_root, data_hash, h = decode(["bytes32", "bytes32", "bytes32", "uint256"], log.data)
    return PostedEvent(
        seq=int.from_bytes(log.topics[1], "big"),
        new_root=new_root,
        orders_root=orders_root,
        data_hash=data_hash,
        h=h,
        tx_hash=log.tx_hash,
        block_number=log.block_number,
    )


class SettlementReader:
    """Views of one deployed settlement contract. Each method is one eth_call."""

    def __init__(self, chain: Chain, address: bytes) -> None:
        self.chain = chain
        self.address = address

    def view(self, signature: str, returns: Sequence[str], *arguments: Any, tag: str | int = "latest") -> Any:
        """Result of a view: one value, or a tuple when `returns` names several."""
        output = self.chain.call(self.address, encode_call(signature, *arguments), tag=tag)
        if not output:
            raise RpcRefused(f"no contract answers {signature} at 0x{self.address.hex()}")
        values = decode(returns, output)
        return values[0] if len(returns) == 1 else values

    def head(self, tag: str | int = "latest") -> int:
        """Last posted seq, 0 before the first."""
        return int(self.view("head()", ["uint64"], tag=tag))

    def finalized(self, tag: str | int = "latest") -> int:
        """Last final seq."""
        return int(self.view("finalized()", ["uint64"], tag=tag))

    def batch_hash(self, seq: int, tag: str | int = "latest") -> bytes:
        """Hash chain value of a posted batch, zeros for seq 0."""
        return bytes(self.view("batchHash(uint64)", ["bytes32"], seq, tag=tag))

    def root(self, tag: str | int = "latest") -> bytes:
        """State root at the head."""
        return bytes(self.view("root()", ["bytes32"], tag=tag))

    def request_counts(self, tag: str | int = "latest") -> tuple[int, int, int]:
        """Ids of the last queued, consumed and finalized request."""
        names = ("reqHead()", "reqDone()", "reqFinal()")
        queued, done, final = (int(self.view(name, ["uint64"], tag=tag)) for name in names)
        return queued, done, final

    def operator(self) -> bytes:
        """Who may post, 20 zero bytes for nobody."""
        return bytes.fromhex(self.view("operator()", ["address"])[2:])

    def accounts_of(self, owner: bytes) -> list[int]:
        """Accounts that an address opened, in order."""
        return list(self.view("accountsOf(address)", ["uint32[]"], owner))

    def has_session_key(self, owner: bytes, key: bytes) -> bool:
        """Whether the key was ever registered for the owner, valid or not."""
        fields = ["uint40", "uint40", "uint32", "uint144"]
        return bool(self.view("sessionKey(address,address)", fields, owner, key)[0])
