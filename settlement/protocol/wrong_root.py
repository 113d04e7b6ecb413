"""Bytes of the proof that a batch's root is wrong (F1); the layout is that of `IDisputes.sol`.

    dataSize u32 | vectorSize u32 | leavesSize u32 | data | vector | leaves | siblings
    leaves = per touched account, in index order: size u16 | preimage, size 0 for an empty account

The proof needs only what everybody has: the ledger before the batch, rebuilt from calldata, and the batch's calldata.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from settlement.protocol.caps import CLEARING_ACCOUNT, FUND_ACCOUNT
from settlement.protocol.ledger import LedgerState
from settlement.protocol.oracle import OracleVector
from settlement.protocol.state_tree import Account, leaf_preimage

__all__ = ["MAX_CHUNK_BYTES", "chunks_of", "listed_accounts", "wrong_root_proof"]

MAX_CHUNK_BYTES = 24_575
_SIZES = struct.Struct(">III")
_COUNTS = struct.Struct(">BH")
_ACCOUNT_ROW_BYTES = 12


def wrong_root_proof(before: LedgerState, data: bytes, opening: OracleVector) -> bytes:
    """Return the proof about the batch `data` on the ledger `before` it; `opening` is the vector of its round.

    The data need not be canonical, but its account rows must name accounts of the tree (IndexError otherwise).
    """
    indices = [FUND_ACCOUNT, CLEARING_ACCOUNT, *listed_accounts(data)]
    leaves = b"".join(_sized_leaf(before.account(index)) for index in indices)
    vector = b"" if opening.round_number == 0 else opening.encode()
    sizes = _SIZES.pack(len(data), len(vector), len(leaves))
    return b"".join((sizes, data, vector, leaves, *before.tree.multiproof(indices)))


def listed_accounts(data: bytes) -> list[int]:
    """Return the account indices that `data` lists, in its order; struct.error when it is cut off."""
    _, count = _COUNTS.unpack_from(data)
    rows = (_COUNTS.size + _ACCOUNT_ROW_BYTES * place for place in range(count))
    return [struct.unpack_from(">I", data, at)[0] for at in rows]


def chunks_of(proof: bytes, size_bytes: int = MAX_CHUNK_BYTES) -> Iterable[bytes]:
    """Split a proof into the pieces that `stageProof` takes, each of at most `size_bytes`."""
    return (proof[at : at + size_bytes] for at in range(0, len(proof), size_bytes))


def _sized_leaf(account: Account) -> bytes:
    preimage = b"" if account.is_empty else leaf_preimage(account)
    return len(preimage).to_bytes(2, "big") + preimage
