"""Merkle trees of fixed depth over Keccak-256: node = keccak256(left || right), an empty leaf is 32 zero bytes.

`StateTree` keeps all its nodes so that a batch rehashes only the touched paths. It stands on the compiled dense
array when that is built and on `ReferenceTree`, a sparse map, otherwise; both give the same roots and proofs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from settlement.protocol.keccak import COMPILED, HASH_BYTES, keccak256

if COMPILED:
    from settlement.protocol._keccak import DenseTree

__all__ = [
    "EMPTY_LEAF",
    "TREE_DEPTH",
    "BadProof",
    "CompiledTree",
    "ReferenceTree",
    "StateTree",
    "Tree",
    "empty_roots",
    "fold_multiproof",
    "reference_root_of_prefix",
    "root_of_prefix",
]

TREE_DEPTH = 20
EMPTY_LEAF = bytes(HASH_BYTES)


class BadProof(ValueError):
    """A multiproof has too few or too many siblings; the sender's fault."""


class Tree(Protocol):
    """What the ledger needs of a tree."""

    depth: int

    @property
    def root(self) -> bytes:
        """The 32-byte root."""

    def set_leaves(self, leaves: Mapping[int, bytes]) -> None:
        """Replace the leaves at the given indices (0 .. 2^depth - 1)."""

    def leaf(self, index: int) -> bytes:
        """Return the 32-byte leaf at `index`; EMPTY_LEAF when never set."""

    def multiproof(self, indices: Sequence[int]) -> list[bytes]:
        """Return the siblings that strictly ascending `indices` lack, level by level from the leaves."""


def empty_roots(depth: int) -> list[bytes]:
    """Return the root of the empty subtree of each level 0 .. depth."""
    roots = [EMPTY_LEAF]
    for _ in range(depth):
        roots.append(keccak256(roots[-1] + roots[-1]))
    return roots


class ReferenceTree:
    """Sparse tree: one map of non-empty nodes per level. Slow and plain, the twin of the compiled tree."""

    def __init__(self, depth: int = TREE_DEPTH) -> None:
        self.depth = depth
        self._empty = empty_roots(depth)
        self._levels: list[dict[int, bytes]] = [{} for _ in range(depth + 1)]

    @property
    def root(self) -> bytes:
        """The 32-byte root."""
        return self._node(self.depth, 0)

    def set_leaves(self, leaves: Mapping[int, bytes]) -> None:
        """Replace leaves and rehash their paths; IndexError or ValueError leave the tree unchanged."""
        _check_leaves(self.depth, leaves)
        self._levels[0].update(leaves)
        touched = sorted(leaves)
        for level in range(1, self.depth + 1):
            touched = list(dict.fromkeys(index >> 1 for index in touched))
            for index in touched:
                below = self._node(level - 1, 2 * index) + self._node(level - 1, 2 * index + 1)
                self._levels[level][index] = keccak256(below)

    def leaf(self, index: int) -> bytes:
        """Return the 32-byte leaf at `index`."""
        _check_index(self.depth, index)
        return self._node(0, index)

    def multiproof(self, indices: Sequence[int]) -> list[bytes]:
        """Return the missing siblings of strictly ascending `indices`."""
        _check_ascending(self.depth, indices)
        proof: list[bytes] = []
        places = list(indices)
        for level in range(self.depth):
            known = frozenset(places)
            proof.extend(self._node(level, place ^ 1) for place in places if place ^ 1 not in known)
            places = list(dict.fromkeys(place >> 1 for place in places))
        return proof

    def _node(self, level: int, index: int) -> bytes:
        return self._levels[level].get(index, self._empty[level])


class CompiledTree:
    """The compiled dense tree behind the interface of `Tree`; untouched memory is never committed."""

    def __init__(self, depth: int = TREE_DEPTH) -> None:
        self.depth = depth
        self._dense = DenseTree(depth)

    @property
    def root(self) -> bytes:
        """The 32-byte root."""
        return self._dense.root

    def set_leaves(self, leaves: Mapping[int, bytes]) -> None:
        """Replace leaves and rehash their paths; IndexError or ValueError leave the tree unchanged."""
        _check_leaves(self.depth, leaves)
        indices = sorted(leaves)
        self._dense.update(indices, [leaves[index] for index in indices])

    def leaf(self, index: int) -> bytes:
        """Return the 32-byte leaf at `index`."""
        return self._dense.leaf(index)

    def multiproof(self, indices: Sequence[int]) -> list[bytes]:
        """Return the missing siblings of strictly ascending `indices`."""
        _check_ascending(self.depth, indices)
        return self._dense.multiproof(indices)


StateTree: type[CompiledTree | ReferenceTree] = CompiledTree if COMPILED else ReferenceTree


def fold_multiproof(depth: int, leaves: Mapping[int, bytes], proof: Sequence[bytes]) -> bytes:
    """Return the root that `leaves` and their `proof` lead to; BadProof unless every sibling is used exactly once."""
    if not leaves:
        raise BadProof("a proof needs at least one leaf")
    _check_leaves(depth, leaves)
    siblings = iter(proof)
    nodes = {index: leaves[index] for index in sorted(leaves)}
    for _ in range(depth):
        nodes = _fold_level(nodes, siblings)
    if next(siblings, None) is not None:
        raise BadProof("the proof has siblings left over")
    return nodes[0]


def root_of_prefix(leaves: Sequence[bytes], depth: int = TREE_DEPTH) -> bytes:
    """Return the root of a tree whose first leaves are `leaves` and whose others are empty."""
    if not COMPILED or len(leaves) <= 1:
        return reference_root_of_prefix(leaves, depth)
    _check_prefix(leaves, depth)
    low_depth = (len(leaves) - 1).bit_length()
    low = DenseTree(low_depth)
    low.build(b"".join(leaves))
    root = low.root
    for empty in empty_roots(depth)[low_depth:depth]:
        root = keccak256(root + empty)
    return root


def reference_root_of_prefix(leaves: Sequence[bytes], depth: int = TREE_DEPTH) -> bytes:
    """Return the same root in plain Python, the twin of the compiled build."""
    _check_prefix(leaves, depth)
    empty = empty_roots(depth)
    level_nodes = list(leaves)
    for level in range(depth):
        if len(level_nodes) % 2:
            level_nodes.append(empty[level])
        pairs = zip(level_nodes[::2], level_nodes[1::2], strict=True)
        level_nodes = [keccak256(left + right) for left, right in pairs]
    return level_nodes[0] if level_nodes else empty[depth]


def _fold_level(nodes: Mapping[int, bytes], siblings: Iterator[bytes]) -> dict[int, bytes]:
    above: dict[int, bytes] = {}
    for index, node in nodes.items():
        if index >> 1 in above:
            continue
        other = nodes.get(index ^ 1)
        if other is None:
            other = next(siblings, None)
        if other is None:
            raise BadProof("the proof lacks siblings")
        above[index >> 1] = keccak256(other + node if index & 1 else node + other)
    return above


def _check_prefix(leaves: Sequence[bytes], depth: int) -> None:
    if len(leaves) > 1 << depth:
        raise ValueError(f"{len(leaves)} leaves do not fit a tree of depth {depth}")
    if any(len(leaf) != HASH_BYTES for leaf in leaves):
        raise ValueError(f"a leaf has {HASH_BYTES} bytes")


def _check_index(depth: int, index: int) -> None:
    if not 0 <= index < 1 << depth:
        raise IndexError(f"leaf {index} is outside a tree of depth {depth}")


def _check_leaves(depth: int, leaves: Mapping[int, bytes]) -> None:
    for index, leaf in leaves.items():
        _check_index(depth, index)
        if len(leaf) != HASH_BYTES:
            raise ValueError(f"leaf {index} has {len(leaf)} bytes, not {HASH_BYTES}")


def _check_ascending(depth: int, indices: Sequence[int]) -> None:
    for index in indices:
        _check_index(depth, index)
    if any(left >= right for left, right in pairwise(indices)):
        raise ValueError("indices must ascend strictly")
