"""Tests of settlement.protocol.state_tree."""

import struct

import pytest

from settlement.protocol import state_tree
from settlement.protocol.keccak import reference_keccak256

OWNER = b"\x11" * 20
PERP = 0x80000001


@pytest.mark.parametrize(
    "account",
    [
        state_tree.Account(OWNER, 1 << 127),
        state_tree.Account(OWNER, 0, {1: (1 << 63, 0)}),
        state_tree.Account(OWNER, 0, {PERP: (1, 1 << 63)}),
        state_tree.Account(OWNER, 0, {1 << 32: (1, 0)}),
    ],
)
def test_values_outside_the_leaf_format_are_refused(account: state_tree.Account) -> None:
    """A value that does not fit its field never gets hashed."""
    with pytest.raises((OverflowError, struct.error)):
        state_tree.leaf_hash(account)


def test_empty_account_has_the_empty_leaf() -> None:
    """No owner, no cash and no positions: 32 zero bytes."""
    assert state_tree.leaf_hash(state_tree.Account()) == bytes(32)


def test_owner_alone_makes_a_leaf() -> None:
    """An account that was emptied keeps its owner and a leaf of its own."""
    assert state_tree.leaf_hash(state_tree.Account(OWNER)) == reference_keccak256(OWNER + bytes(16))


def test_entries_ascend_and_perpetuals_carry_their_index() -> None:
    """Options have 12 bytes, perpetuals 20 and the highest ids."""
    account = state_tree.Account(OWNER, -5, {PERP: (-7, 9), 3: (2, 0), 1: (-1, 0)})
    cash = (-5).to_bytes(16, "big", signed=True)
    entries = struct.pack(">Iq", 1, -1) + struct.pack(">Iq", 3, 2) + struct.pack(">Iqq", PERP, -7, 9)
    assert OWNER + cash + entries == state_tree.leaf_preimage(account)
    assert state_tree.is_perpetual(PERP)
    assert not state_tree.is_perpetual(3)


def test_no_leaf_has_the_length_of_a_node() -> None:
    """36 + 12a + 20b is never 64, or a leaf could stand for an inner node."""
    assert 64 not in {36 + 12 * options + 20 * perps for options in range(6) for perps in range(4)}
