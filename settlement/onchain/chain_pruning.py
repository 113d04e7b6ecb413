"""Bounds the embedded chain's file: mark what the oldest kept state reaches, then sweep what is older, in slices.

A round picks the horizon H = head - kept blocks, walks the state of block H (an immutable tree, so the walk may go on
while blocks are mined), and then deletes the rows that were last written before H and that the walk did not reach.
A trie node of any state from H to the head is either part of state H, hence marked, or was new in a later block,
hence written by it: py-evm writes every node that a block's state has and its parent's has not, and the store lifts
the row's number even when the row is there already.
Marks die with the process and a sweep may stop anywhere: what it left goes in the next round.
"""

import sqlite3
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

import rlp  # type: ignore[import-untyped]
from eth.constants import BLANK_ROOT_HASH, EMPTY_SHA3
from eth.db.schema import SchemaV1
from eth_typing import BlockNumber

from settlement.onchain.chain_store import ChainStore
from settlement.onchain.errors import ChainDataCorrupt

__all__ = ["ChainPruner"]

_NODES_PER_SLICE: Final = 128
_ROWS_PER_SLICE: Final = 1_024
_ROUNDS_PER_HISTORY: Final = 4
_BLOCKHASH_REACH: Final = 256
"""Headers that a call at the horizon may ask for with BLOCKHASH."""
_STATE_ROOT_FIELD: Final = 3
_LEAF_FLAG: Final = 0x20
_BRANCH_ITEMS: Final = 17
_HORIZON: Final = "horizon"
_ALWAYS: Final = (
    SchemaV1.make_canonical_head_hash_lookup_key(),
    SchemaV1.make_header_chain_gaps_lookup_key(),
    SchemaV1.make_chain_gaps_lookup_key(),
    SchemaV1.make_checkpoint_headers_key(),
)


class _Kind(IntEnum):
    """What a key stands for. Equal bytes of two kinds are marked and walked apart: they reach different rows."""

    ROW = 0
    NUMBER = 1
    ACCOUNTS = 2
    STORAGE = 3
    CODE = 4


class ChainPruner:
    """One per store. `keep_blocks` blocks before the head are never touched; 0 prunes nothing.

    `horizon` is the oldest whole block, durable. `damage` is one line once the walk met a row that should be there.
    """

    def __init__(self, store: ChainStore, keep_blocks: int) -> None:
        self.horizon = int(store.read_meta(_HORIZON) or 0)
        self.damage = ""
        self._store = store
        self._keep = keep_blocks
        self._interval = max(1, keep_blocks // _ROUNDS_PER_HISTORY)
        self._target: int | None = None
        self._unvisited: list[tuple[_Kind, bytes]] = []
        self._swept_to: bytes | None = None

    def step(self, head: int, rows_written: int) -> None:
        """One slice of work after block `head` is durable; commits.

        Visits a fixed number of rows, or a multiple of what the block wrote when that is more: pruning can't fall
        behind. What fails here is no failure of the block.
        """
        if not self._keep or self.damage:
            return
        try:
            self._advance(head, rows_written)
            self._store.commit()
        except ChainDataCorrupt as error:
            self.damage = str(error)
            self._abandon()
        except sqlite3.OperationalError:
            # No room or no access: the next block's own write says so, and a later round starts afresh.
            self._abandon()

    def _advance(self, head: int, rows_written: int) -> None:
        if self._target is None:
            if head - self._keep - self.horizon < self._interval:
                return
            self._target = head - self._keep
            self._begin(self._target)
        if self._swept_to is None:
            self._mark(max(_NODES_PER_SLICE, rows_written))
            if not self._unvisited:
                self._store.write_meta(_HORIZON, str(self._target))
                self.horizon = self._target
                self._swept_to = b""
            return
        self._sweep(self._swept_to, max(_ROWS_PER_SLICE, 4 * rows_written))

    def _begin(self, target: int) -> None:
        self._store.clear_marks()
        for key in _ALWAYS:
            self._store.mark(key, _Kind.ROW)
        headers = [0, *range(max(0, target - _BLOCKHASH_REACH), target)]
        self._unvisited = [(_Kind.NUMBER, _number_key(number)) for number in headers]
        self._unvisited.append((_Kind.ACCOUNTS, self._state_root(target)))

    def _state_root(self, number: int) -> bytes:
        block_hash = rlp.decode(self._need(_number_key(number)))
        root: bytes = rlp.decode(self._need(block_hash))[_STATE_ROOT_FIELD]
        return root

    def _mark(self, limit: int) -> None:
        while self._unvisited and limit:
            limit -= 1
            kind, key = self._unvisited.pop()
            if self._store.mark(key, kind):
                self._unvisited.extend(_reached(kind, self._need(key)))

    def _need(self, key: bytes) -> bytes:
        value = self._store.peek(key)
        if value is None:
            raise ChainDataCorrupt(
                f"the chain's file lacks row {key[:32].hex()}: run `offbook reset` or restore a copy"
            )
        return value

    def _sweep(self, after: bytes, limit: int) -> None:
        has_old_logs = self._store.drop_logs(self.horizon, limit)
        last = self._store.sweep(after, self.horizon, limit)
        if last is not None:
            self._swept_to = last
        elif not has_old_logs:
            self._finish()

    def _finish(self) -> None:
        self._target, self._swept_to = None, None
        self._unvisited.clear()
        self._store.clear_marks()

    def _abandon(self) -> None:
        self._store.rollback()
        self._target, self._swept_to = None, None
        self._unvisited.clear()


def _number_key(number: int) -> bytes:
    return SchemaV1.make_block_number_to_hash_lookup_key(BlockNumber(number))


def _reached(kind: _Kind, value: bytes) -> Iterator[tuple[_Kind, bytes]]:
    """What a row leads to."""
    if kind == _Kind.NUMBER:
        yield _Kind.ROW, rlp.decode(value)
    elif kind in (_Kind.ACCOUNTS, _Kind.STORAGE):
        yield from _reached_from_node(kind, rlp.decode(value))


def _reached_from_node(kind: _Kind, node: Any) -> Iterator[tuple[_Kind, bytes]]:
    """Hashes in a trie node (Yellow Paper, appendix D); a child below 32 bytes stands in its parent itself."""
    if len(node) == _BRANCH_ITEMS:
        children, held = node[:16], node[16]
    elif node[0][0] & _LEAF_FLAG:
        children, held = (), node[1]
    else:
        children, held = (node[1],), b""
    for child in children:
        if not isinstance(child, bytes):
            yield from _reached_from_node(kind, child)
        elif child:
            yield kind, child
    if held and kind == _Kind.ACCOUNTS:
        yield from _reached_from_account(rlp.decode(held))


def _reached_from_account(account: Any) -> Iterator[tuple[_Kind, bytes]]:
    _, _, storage_root, code_hash = account
    if storage_root != BLANK_ROOT_HASH:
        yield _Kind.STORAGE, storage_root
    if code_hash != EMPTY_SHA3:
        yield _Kind.CODE, code_hash
