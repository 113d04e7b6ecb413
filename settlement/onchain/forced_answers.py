"""Answers for accounts that the venue closed, and for those that had to give way (`IForced.sol`), as calls.

A liquidated account is answered for in one call: its leaf before the batch, the batch's round, its leaves. Who gave way
is answered for once every account that he gave way to is on record, which takes a call for each before.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from settlement.onchain.answers import Challenge, orders_tree
from settlement.onchain.contract import HEADER_TYPE, BatchHeader, SettlementReader, encode_call
from settlement.onchain.errands import Errand
from settlement.onchain.errors import RpcRefused
from settlement.onchain.evidence_store import EvidenceStore
from settlement.onchain.outbox import BatchRow, Outbox, Purpose
from settlement.protocol.evidence import ForcedAccount
from settlement.protocol.merkle import Tree
from settlement.protocol.orders import OrderFill, OrderKind

__all__ = ["ForcedAnswers"]

_PROOF: Final = f"({HEADER_TYPE},bytes,bytes,bytes,uint32,bytes,bytes,bytes)"
_SHOW: Final = f"showForced(uint64,{HEADER_TYPE},uint32,{_PROOF})"
_ANSWER: Final = f"answerForced(bytes32,{HEADER_TYPE},{_PROOF})"
_GIVER_PROOF: Final = "(bytes,bytes,uint32,bytes,bytes,(uint32,uint32,uint32)[],bytes,bytes)"
_ANSWER_GIVER: Final = f"answerDeleveraged(bytes32,{HEADER_TYPE},{_GIVER_PROOF})"
_ROW: Final = struct.Struct(">BI32sqQq")

Leaves = list[tuple[int, OrderFill]]


class ForcedAnswers:
    """The next call that brings such a challenge forward; what is missing is said by RpcRefused."""

    def __init__(self, reader: SettlementReader, outbox: Outbox, evidence: EvidenceStore) -> None:
        """All three are the responder's."""
        self._reader = reader
        self._outbox = outbox
        self._evidence = evidence

    def errand(self, challenge: Challenge, row: BatchRow, header: BatchHeader) -> Errand:
        """Return the answer, or the call that must come before it. Raises RpcRefused."""
        accounts, tree = self._evidence.forced_accounts(row.seq), self._tree(row.seq)
        leaves = self._leaves(row.seq, challenge.account)
        if all(fill.kind is OrderKind.ADL for _, fill in leaves):
            calldata = self._give(challenge, row, header, accounts, tree)
        else:
            proof = self._proof(row, _kept(accounts, challenge.account), leaves, tree)
            calldata = encode_call(_ANSWER, challenge.id, header.words(), proof)
        return Errand(Purpose.ANSWER, row.seq, calldata, challenge.id)

    def _give(
        self,
        challenge: Challenge,
        row: BatchRow,
        header: BatchHeader,
        accounts: Mapping[int, ForcedAccount],
        tree: Tree,
    ) -> bytes:
        """The answer for who gave way; first whoever he gave way to is put on record."""
        leaves = self._leaves(row.seq, challenge.account)
        others = sorted(self._others(row.seq, accounts, [fill for _, fill in leaves]))
        if len(others) != len(leaves):
            raise RpcRefused(f"batch {row.seq}: the other side of what account {challenge.account} gave is not here")
        for account in dict.fromkeys(other for _, other, _ in others):
            if not self._reader.view("forcedShown(bytes32,uint32)", ["bool"], header.digest(), account):
                proof = self._proof(row, _kept(accounts, account), self._leaves(row.seq, account), tree)
                return encode_call(_SHOW, row.seq, header.words(), account, proof)
        kept = _kept(accounts, challenge.account)
        proof = (
            kept.leaf,
            kept.path,
            *_shown(leaves, tree),
            [(account, place, number) for place, account, number in others],
            b"".join(tree.multiproof([place for place, _, _ in others])),
            _data(row),
        )
        return encode_call(_ANSWER_GIVER, challenge.id, header.words(), proof)

    def _others(
        self, seq: int, accounts: Mapping[int, ForcedAccount], given: Sequence[OrderFill]
    ) -> Iterator[tuple[int, int, int]]:
        """Place of each counterpart, its account, and the number of the row that it belongs to."""
        numbers = {fill.ref: number for number, fill in enumerate(given)}
        for account in accounts:
            for place, fill in self._leaves(seq, account):
                if fill.kind is OrderKind.LIQUIDATION and fill.ref in numbers:
                    yield place, account, numbers[fill.ref]

    def _proof(self, row: BatchRow, kept: ForcedAccount, leaves: Leaves, tree: Tree) -> tuple[Any, ...]:
        """The contract's `ForcedProof` of a liquidated account."""
        before = self._outbox.batch(row.seq - 1)
        if before is None or row.vector is None:
            raise RpcRefused(f"batch {row.seq}: the header before it, or its round, is not here any more")
        previous = before.header(self._reader.batch_hash(row.seq - 2) if row.seq > 1 else bytes(32))
        return previous.words(), row.vector, kept.leaf, kept.path, *_shown(leaves, tree), _data(row)

    def _leaves(self, seq: int, account: int) -> Leaves:
        return [(place, leaf.fill) for place, leaf in self._evidence.of_account(seq, account)]

    def _tree(self, seq: int) -> Tree:
        hashes = self._evidence.leaf_hashes(seq)
        if hashes is None:
            raise RpcRefused("the evidence of this batch is not here")
        return orders_tree(hashes)


def _kept(accounts: Mapping[int, ForcedAccount], account: int) -> ForcedAccount:
    """The account before the batch."""
    if account not in accounts:
        raise RpcRefused(f"account {account} as the batch found it is not here")
    return accounts[account]


def _shown(leaves: Leaves, tree: Tree) -> tuple[int, bytes, bytes]:
    """Place of the first leaf, the rows, the siblings that they lack."""
    rows = [
        _ROW.pack(fill.kind, fill.instrument, fill.ref, fill.position_lots, fill.notional_e6, fill.fee_e6)
        for _, fill in leaves
    ]
    return leaves[0][0], b"".join(rows), b"".join(tree.multiproof([place for place, _ in leaves]))


def _data(row: BatchRow) -> bytes:
    if row.data is None:
        raise RpcRefused(f"data of batch {row.seq} is not here any more")
    return row.data
