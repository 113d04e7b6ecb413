"""The ledger that batches move: accounts by index, their tree, and the canonical bytes of a snapshot."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from settlement.protocol.caps import MAX_POSITIONS, PERP_BIT
from settlement.protocol.keccak import HASH_BYTES, keccak256
from settlement.protocol.state_tree import Account, StateTree, Tree, leaf_hash, leaf_preimage

__all__ = ["BadSnapshot", "Effect", "InvariantViolation", "LedgerState"]

_MAGIC = b"OFFBOOK-LEDGER-1"
_HEAD = struct.Struct(">QQQ16sI")
_ACCOUNT_HEAD = struct.Struct(">IH")
_LEAF_HEAD = struct.Struct(">20s16s")
_OPTION_ENTRY = struct.Struct(">Iq")
_PERP_ENTRY = struct.Struct(">Iqq")
_NO_VECTOR: Mapping[int, int] = MappingProxyType({})


class BadSnapshot(ValueError):
    """Bytes that are no canonical ledger snapshot: torn, changed or of another version."""


class InvariantViolation(ArithmeticError):
    """Lots or cash do not balance; a bug, never business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one batch changes: the new state of each touched account and the new positions in the queue and time."""

    accounts: Mapping[int, Account]
    collateral_e6: int
    request_done: int
    last_match_to_s: int


class LedgerState:
    """Accounts, collateral and tree after batch `seq`. Changes only through `commit`."""

    def __init__(self, tree: Tree | None = None) -> None:
        self.accounts: dict[int, Account] = {}
        self.tree: Tree = StateTree() if tree is None else tree
        self.collateral_e6 = 0
        self.seq = 0
        self.request_done = 0
        self.last_match_to_s = 0

    @property
    def root(self) -> bytes:
        """Root of the state tree."""
        return self.tree.root

    def account(self, index: int) -> Account:
        """Return the account at `index`, the empty one when it was never touched."""
        return self.accounts.get(index, _EMPTY)

    def commit(self, effect: Effect) -> bytes:
        """Install the effect of the next batch and return the new root."""
        self.tree.set_leaves({index: leaf_hash(account) for index, account in effect.accounts.items()})
        self._install(effect.accounts.items())
        self.collateral_e6 = effect.collateral_e6
        self.request_done = effect.request_done
        self.last_match_to_s = effect.last_match_to_s
        self.seq += 1
        return self.root

    def check(self, vector: Mapping[int, int] = _NO_VECTOR) -> None:
        """Raise InvariantViolation unless lots sum to 0 per instrument and cash sums to the collateral.

        An option in `vector` (as of `apply_batch`) is being paid: holders that no batch listed yet still have it.
        """
        totals: defaultdict[int, int] = defaultdict(int)
        for account in self.accounts.values():
            for instrument, (lots, _) in account.positions.items():
                totals[instrument] += lots
        for instrument, total in totals.items():
            if total and (instrument & PERP_BIT or instrument not in vector):
                raise InvariantViolation(f"instrument {instrument}: positions sum to {total} lots")
        cash_e6 = sum(account.cash_e6 for account in self.accounts.values())
        if cash_e6 != self.collateral_e6:
            raise InvariantViolation(f"cash sums to {cash_e6}, collateral is {self.collateral_e6}")

    def copy(self) -> LedgerState:
        """Return an independent ledger in the same state."""
        return LedgerState.from_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the canonical snapshot: equal states give equal bytes, a keccak256 closes it."""
        parts = [
            _MAGIC,
            _HEAD.pack(
                self.seq,
                self.request_done,
                self.last_match_to_s,
                self.collateral_e6.to_bytes(16, "big", signed=True),
                len(self.accounts),
            ),
        ]
        for index, account in sorted(self.accounts.items()):
            parts.append(_ACCOUNT_HEAD.pack(index, len(account.positions)))
            parts.append(leaf_preimage(account))
        body = b"".join(parts)
        return body + keccak256(body)

    @classmethod
    def from_bytes(cls, snapshot: bytes, tree: Tree | None = None) -> LedgerState:
        """Rebuild a ledger and its tree from a snapshot; BadSnapshot unless the bytes are canonical."""
        body = snapshot[:-HASH_BYTES]
        if not body.startswith(_MAGIC):
            raise BadSnapshot("this is no ledger snapshot of version 1")
        if keccak256(body) != snapshot[-HASH_BYTES:]:
            raise BadSnapshot("the snapshot's hash does not match its content")
        state = cls(tree)
        try:
            state._read(body)
        except (struct.error, ValueError, IndexError) as error:
            raise BadSnapshot(f"the snapshot is malformed: {error}") from error
        if state.to_bytes() != snapshot:
            raise BadSnapshot("the snapshot is not in canonical form")
        return state

    def _read(self, body: bytes) -> None:
        at = len(_MAGIC)
        self.seq, self.request_done, self.last_match_to_s, collateral, count = _HEAD.unpack_from(body, at)
        self.collateral_e6 = int.from_bytes(collateral, "big", signed=True)
        at += _HEAD.size
        found: dict[int, Account] = {}
        for _ in range(count):
            index, positions = _ACCOUNT_HEAD.unpack_from(body, at)
            found[index], at = _read_account(body, at + _ACCOUNT_HEAD.size, positions)
        self._install(found.items())
        self.tree.set_leaves({index: leaf_hash(account) for index, account in found.items()})

    def _install(self, accounts: Iterable[tuple[int, Account]]) -> None:
        for index, account in accounts:
            if account.is_empty:
                self.accounts.pop(index, None)
            else:
                self.accounts[index] = account


_EMPTY = Account()


def _read_account(body: bytes, at: int, count: int) -> tuple[Account, int]:
    """Read one account at `at` and return it with the place after it."""
    if count > MAX_POSITIONS:
        raise BadSnapshot(f"an account has {count} positions, the limit is {MAX_POSITIONS}")
    owner, cash = _LEAF_HEAD.unpack_from(body, at)
    at += _LEAF_HEAD.size
    positions: dict[int, tuple[int, int]] = {}
    for _ in range(count):
        instrument, lots = _OPTION_ENTRY.unpack_from(body, at)
        if instrument & PERP_BIT:
            instrument, lots, fund_index = _PERP_ENTRY.unpack_from(body, at)
            at += _PERP_ENTRY.size
        else:
            fund_index = 0
            at += _OPTION_ENTRY.size
        if not lots:
            raise BadSnapshot(f"instrument {instrument}: zero position")
        positions[instrument] = (lots, fund_index)
    return Account(owner, int.from_bytes(cash, "big", signed=True), positions), at
