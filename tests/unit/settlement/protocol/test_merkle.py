"""Tests of settlement.protocol.merkle; one suite over the reference and the compiled tree."""

import pytest

from settlement.protocol import merkle
from settlement.protocol.keccak import COMPILED, reference_keccak256

TREES = [merkle.ReferenceTree] + ([merkle.CompiledTree] if COMPILED else [])
LEAF = b"\x01" * 32


@pytest.fixture(params=TREES, ids=lambda tree: tree.__name__)
def make_tree(request):
    """Return the class of one twin."""
    return request.param


@pytest.mark.parametrize("leaves", [{-1: LEAF}, {8: LEAF}, {0: LEAF, 9: LEAF}, {0: b"\x01" * 31}])
def test_bad_leaves_change_nothing(make_tree, leaves: dict[int, bytes]) -> None:
    """An index outside the tree or a leaf of another length is refused as a whole."""
    tree = make_tree(3)
    before = tree.root
    with pytest.raises((IndexError, ValueError)):
        tree.set_leaves(leaves)
    assert before == tree.root


@pytest.mark.parametrize("indices", [[1, 0], [1, 1], [8], [-1]])
def test_multiproof_refuses_bad_indices(make_tree, indices: list[int]) -> None:
    """Indices must ascend strictly and lie inside the tree."""
    with pytest.raises((IndexError, ValueError)):
        make_tree(3).multiproof(indices)


@pytest.mark.parametrize("index", [-1, 8])
def test_leaf_outside_the_tree_is_refused(make_tree, index: int) -> None:
    """Reading past the leaves is an error."""
    with pytest.raises(IndexError):
        make_tree(3).leaf(index)


@pytest.mark.parametrize("change", [lambda proof: proof[:-1], lambda proof: [*proof, LEAF]])
def test_proof_must_be_used_up_exactly(change) -> None:
    """A missing or a spare sibling is refused."""
    tree = merkle.ReferenceTree(4)
    tree.set_leaves({3: LEAF})
    with pytest.raises(merkle.BadProof):
        merkle.fold_multiproof(4, {3: LEAF}, change(tree.multiproof([3])))


def test_proof_of_nothing_is_refused() -> None:
    """A proof without a leaf proves nothing."""
    with pytest.raises(merkle.BadProof):
        merkle.fold_multiproof(4, {}, [])


def test_too_many_leaves_for_a_prefix_are_refused() -> None:
    """A prefix longer than the tree is refused."""
    with pytest.raises(ValueError, match="do not fit"):
        merkle.root_of_prefix([LEAF] * 3, depth=1)


def test_empty_tree(make_tree) -> None:
    """An empty tree's root is the fold of empty leaves."""
    node = bytes(32)
    for _ in range(20):
        node = reference_keccak256(node + node)
    assert node == make_tree().root
    assert make_tree().leaf(12345) == merkle.EMPTY_LEAF


def test_root_is_the_hash_of_all_pairs(make_tree) -> None:
    """A tree of depth 2, written out."""
    tree = make_tree(2)
    tree.set_leaves({0: b"\x0a" * 32, 1: b"\x0b" * 32, 3: b"\x0d" * 32})
    left = reference_keccak256(b"\x0a" * 32 + b"\x0b" * 32)
    right = reference_keccak256(bytes(32) + b"\x0d" * 32)
    assert reference_keccak256(left + right) == tree.root


def test_setting_the_empty_leaf_undoes_a_leaf(make_tree) -> None:
    """Clearing every leaf returns to the empty root."""
    tree = make_tree(5)
    empty = tree.root
    tree.set_leaves({0: LEAF, 31: LEAF})
    assert empty != tree.root
    tree.set_leaves({0: merkle.EMPTY_LEAF, 31: merkle.EMPTY_LEAF})
    assert empty == tree.root


@pytest.mark.parametrize("indices", [[0], [1048575], [0, 1048575], [2, 3], [1, 2, 3, 500, 501, 99999]])
def test_multiproof_folds_to_the_root(make_tree, indices: list[int]) -> None:
    """Siblings come in the order of the fold, first and last leaf included."""
    tree = make_tree()
    leaves = {index: reference_keccak256(b"%d" % index) for index in range(0, 1200, 3)}
    leaves |= {index: reference_keccak256(b"leaf %d" % index) for index in indices}
    tree.set_leaves(leaves)
    proven = {index: leaves[index] for index in indices}
    assert merkle.fold_multiproof(20, proven, tree.multiproof(indices)) == tree.root
    changed = {**proven, indices[0]: LEAF}
    assert merkle.fold_multiproof(20, changed, tree.multiproof(indices)) != tree.root


def test_prefix_of_short_leaves_is_refused() -> None:
    """A leaf has 32 bytes, also where many are hashed in one call."""
    with pytest.raises(ValueError, match="32 bytes"):
        merkle.root_of_prefix([LEAF, LEAF[1:], LEAF + LEAF[:1]])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8])
def test_prefix_root_equals_the_tree(count: int) -> None:
    """A prefix of leaves has the root of the tree that holds them."""
    leaves = [reference_keccak256(bytes([number])) for number in range(count)]
    tree = merkle.ReferenceTree(3)
    tree.set_leaves(dict(enumerate(leaves)))
    assert tree.root == merkle.root_of_prefix(leaves, depth=3)
    assert tree.root == merkle.reference_root_of_prefix(leaves, depth=3)
