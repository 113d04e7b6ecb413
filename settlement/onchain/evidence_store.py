"""What an answer to a challenge needs, on disk before its batch is posted and until that batch is final.

Per batch the leaves of its orders tree, and per account what authorizes its leaves: a lost signature is a lost bond.
What nobody signed is judged by the account as the batch found it, so that is kept too.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from settlement.protocol.eip712 import Action
from settlement.protocol.evidence import Evidence, ForcedAccount, ForcedLeaf, LeafEvidence, SignedAction
from settlement.protocol.orders import OrderFill, OrderKind, order_leaf

__all__ = ["EvidenceStore"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS leaves (seq INTEGER PRIMARY KEY, hashes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS evidence (
    seq INTEGER NOT NULL, account INTEGER NOT NULL, rows BLOB NOT NULL, PRIMARY KEY (seq, account)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forced (
    seq INTEGER NOT NULL, account INTEGER NOT NULL, leaf BLOB NOT NULL, path BLOB NOT NULL, PRIMARY KEY (seq, account)
) WITHOUT ROWID;
"""
_HASH_BYTES: Final = 32
_SUB_ID_BYTES: Final = 12
_NONE: Final[Mapping[int, ForcedAccount]] = {}


class EvidenceStore:
    """One sqlite file; one process and thread at a time."""

    def __init__(self, path: Path | str) -> None:
        """Open or create the file."""
        self._sql = sqlite3.connect(path, isolation_level=None)
        self._sql.execute("PRAGMA journal_mode=WAL")
        self._sql.execute("PRAGMA synchronous=FULL")
        self._sql.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the file."""
        self._sql.close()

    def add(self, seq: int, leaves: Sequence[Evidence], forced: Mapping[int, ForcedAccount] = _NONE) -> None:
        """Keep the evidence of batch `seq`, in the order of its tree, durably; the same batch again replaces it."""
        accounts: dict[int, list[Any]] = defaultdict(list)
        for place, leaf in enumerate(leaves):
            accounts[leaf.fill.account].append(_row(place, leaf))
        hashes = b"".join(order_leaf(leaf.fill) for leaf in leaves)
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            self._sql.execute("DELETE FROM evidence WHERE seq = ?", (seq,))
            self._sql.execute("INSERT OR REPLACE INTO leaves VALUES (?, ?)", (seq, hashes))
            self._sql.executemany(
                "INSERT INTO evidence VALUES (?, ?, ?)",
                [(seq, account, msgspec.msgpack.encode(rows)) for account, rows in accounts.items()],
            )
            self._sql.execute("DELETE FROM forced WHERE seq = ?", (seq,))
            self._sql.executemany(
                "INSERT INTO forced VALUES (?, ?, ?, ?)",
                [(seq, account, kept.leaf, kept.path) for account, kept in forced.items()],
            )
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise
        self._sql.execute("COMMIT")

    def leaf_hashes(self, seq: int) -> dict[int, bytes] | None:
        """Leaves of the orders tree of `seq` by place; None when nothing is kept of that batch."""
        row = self._sql.execute("SELECT hashes FROM leaves WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            return None
        hashes: bytes = row[0]
        return {at // _HASH_BYTES: hashes[at : at + _HASH_BYTES] for at in range(0, len(hashes), _HASH_BYTES)}

    def forced_accounts(self, seq: int) -> dict[int, ForcedAccount]:
        """Accounts of batch `seq` with leaves that nobody signed, ascending."""
        query = "SELECT account, leaf, path FROM forced WHERE seq = ? ORDER BY account"
        return {account: ForcedAccount(leaf, path) for account, leaf, path in self._sql.execute(query, (seq,))}

    def of_account(self, seq: int, account: int) -> list[tuple[int, Evidence]]:
        """Every leaf of `account` in batch `seq` with its place, ascending; none when it filled nothing."""
        query = "SELECT rows FROM evidence WHERE seq = ? AND account = ?"
        row = self._sql.execute(query, (seq, account)).fetchone()
        return [] if row is None else [_leaf(account, fields) for fields in msgspec.msgpack.decode(row[0])]

    def prune(self, up_to_seq: int) -> None:
        """Drop what belongs to batches that are final."""
        self._sql.execute("DELETE FROM evidence WHERE seq <= ?", (up_to_seq,))
        self._sql.execute("DELETE FROM leaves WHERE seq <= ?", (up_to_seq,))
        self._sql.execute("DELETE FROM forced WHERE seq <= ?", (up_to_seq,))


def _row(place: int, leaf: Evidence) -> list[Any]:
    fill = leaf.fill
    amounts = [fill.instrument, fill.ref, fill.position_lots, fill.notional_e6, fill.fee_e6, int(fill.kind)]
    if isinstance(leaf, ForcedLeaf):
        return [place, *amounts]
    signed, action = leaf.signed, leaf.signed.action
    traded = [leaf.asset, leaf.sub_id.to_bytes(_SUB_ID_BYTES, "big"), leaf.line, leaf.key_accounts]
    words = [action.subaccount_id, action.nonce, action.module, action.data, action.expiry_s, action.owner]
    return [place, *amounts, *traded, *words, action.signer, signed.signature, signed.is_sepolia, signed.lines]


def _leaf(account: int, fields: list[Any]) -> tuple[int, Evidence]:
    place, instrument, ref, lots, notional_e6, fee_e6, kind, *signed = fields
    fill = OrderFill(
        account=account,
        instrument=instrument,
        ref=ref,
        position_lots=lots,
        notional_e6=notional_e6,
        fee_e6=fee_e6,
        kind=OrderKind(kind),
    )
    return place, _signed_leaf(fill, signed) if signed else ForcedLeaf(fill)


def _signed_leaf(fill: OrderFill, fields: list[Any]) -> LeafEvidence:
    asset, sub_id, line, key_accounts, *rest = fields
    subaccount_id, nonce, module, data, expiry_s, owner, signer, signature, is_sepolia, lines = rest
    action = Action(
        subaccount_id=subaccount_id,
        nonce=nonce,
        module=module,
        data=data,
        expiry_s=expiry_s,
        owner=owner,
        signer=signer,
    )
    return LeafEvidence(
        fill=fill,
        signed=SignedAction(action=action, signature=signature, is_sepolia=is_sepolia, lines=lines),
        asset=asset,
        sub_id=int.from_bytes(sub_id, "big"),
        line=line,
        key_accounts=tuple(key_accounts),
    )
