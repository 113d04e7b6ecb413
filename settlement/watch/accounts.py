"""Accounts and their tree as the watcher keeps them: plain values, a sparse tree of depth 20."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from settlement.protocol.keccak import keccak256

__all__ = ["EMPTY", "NOBODY", "TREE_LEVELS", "AccountTree", "WatchedAccount", "leaf_bytes"]

TREE_LEVELS: Final = 20
NOBODY: Final = bytes(20)
_PERPETUAL: Final = 1 << 31


class WatchedAccount(NamedTuple):
    """Owner, cash in 1e-6 USDC, instrument -> (lots, funding index in 1e-12 USDC per lot)."""

    owner: bytes
    cash_e6: int
    positions: Mapping[int, tuple[int, int]]


EMPTY: Final = WatchedAccount(NOBODY, 0, {})


def leaf_bytes(account: WatchedAccount) -> bytes:
    """What is hashed for an account, b"" for an empty one. OverflowError outside the ranges of the format."""
    if account == EMPTY:
        return b""
    out = account.owner + account.cash_e6.to_bytes(16, "big", signed=True)
    for instrument in sorted(account.positions):
        lots, index = account.positions[instrument]
        out += instrument.to_bytes(4, "big") + lots.to_bytes(8, "big", signed=True)
        if instrument >= _PERPETUAL:
            out += index.to_bytes(8, "big", signed=True)
    return out


class AccountTree:
    """Every account by index, with the hashes above them. `change` can be undone by changing back."""

    def __init__(self) -> None:
        """Nobody is there yet."""
        self.accounts: dict[int, WatchedAccount] = {}
        self._nodes: list[dict[int, bytes]] = [{} for _ in range(TREE_LEVELS + 1)]
        self._absent = [bytes(32)]
        for _ in range(TREE_LEVELS):
            self._absent.append(keccak256(self._absent[-1] * 2))

    @property
    def root(self) -> bytes:
        """Root of the tree."""
        return self._node(TREE_LEVELS, 0)

    def account(self, index: int) -> WatchedAccount:
        """The account at `index`, EMPTY when there is none."""
        return self.accounts.get(index, EMPTY)

    def change(self, changes: Mapping[int, WatchedAccount]) -> dict[int, WatchedAccount]:
        """Install accounts and return those that stood in their place."""
        before = {index: self.account(index) for index in changes}
        for index, account in changes.items():
            self.accounts[index] = account
            raw = leaf_bytes(account)
            self._nodes[0][index] = keccak256(raw) if raw else bytes(32)
        level = set(changes)
        for height in range(1, TREE_LEVELS + 1):
            level = {index // 2 for index in level}
            for index in level:
                pair = self._node(height - 1, 2 * index) + self._node(height - 1, 2 * index + 1)
                self._nodes[height][index] = keccak256(pair)
        return before

    def siblings(self, indices: Iterable[int]) -> bytes:
        """What the leaves at `indices` lack to make the root: level by level, left to right, each once."""
        out, level = b"", sorted(set(indices))
        for height in range(TREE_LEVELS):
            known = set(level)
            out += b"".join(self._node(height, index ^ 1) for index in level if index ^ 1 not in known)
            level = sorted({index // 2 for index in level})
        return out

    def _node(self, height: int, index: int) -> bytes:
        return self._nodes[height].get(index, self._absent[height])
