"""What is kept for answers: the same leaves back, in the tree's order, and nothing of final batches."""

import pytest

from settlement.onchain.answers import orders_tree, parts_of
from settlement.onchain.evidence_store import EvidenceStore
from settlement.protocol.eip712 import MASS_QUOTE_MODULE, TRADE_MODULE, Action
from settlement.protocol.evidence import AnswerSums, ForcedAccount, ForcedLeaf, LeafEvidence, SignedAction
from settlement.protocol.merkle import fold_multiproof
from settlement.protocol.orders import (
    BadOrders,
    OrderFill,
    OrderKind,
    engine_ref,
    order_leaf,
    orders_root,
    sorted_order_fills,
)

SEPARATOR = b"\x5e" * 32


def leaf(account, number, *, quote=False, lots=3):
    """One leaf with an action whose digest is its ref."""
    signed = SignedAction(
        action=Action(
            subaccount_id=1_000_000 + account,
            nonce=1_790_000_000_000_000_000 + number,
            module=MASS_QUOTE_MODULE if quote else TRADE_MODULE,
            data=bytes([number]) * 224,
            expiry_s=1_800_000_000,
            owner=b"\x0a" * 20,
            signer=b"\x0b" * 20,
        ),
        signature=bytes([number]) * 65,
        is_sepolia=number % 2 == 1,
        lines=b"\x11" * 36 if quote else b"",
    )
    fill = OrderFill(
        account=account,
        instrument=1 + number % 3,
        ref=signed.ref(SEPARATOR, 5),
        position_lots=-lots if number % 2 else lots,
        notional_e6=1_000 * number,
        fee_e6=-number,
        kind=OrderKind.QUOTE if quote else OrderKind.ORDER,
    )
    return LeafEvidence(fill=fill, signed=signed, asset=b"\x0c" * 20, sub_id=1 << 95 | 7, line=5, key_accounts=(2, 9))


def batch(*leaves):
    """Leaves in the order of their tree."""
    by_ref = {row.fill.ref: row for row in leaves}
    return [by_ref[fill.ref] for fill in sorted_order_fills([row.fill for row in leaves])]


@pytest.fixture
def store(tmp_path):
    """An empty file."""
    store = EvidenceStore(tmp_path / "evidence.sqlite")
    yield store
    store.close()


@pytest.mark.parametrize("change", ["kind", "line", "separator"])
def test_leaves_that_their_action_does_not_authorize_are_refused(change):
    """A batch with such a leaf could not be answered for."""
    row = leaf(2, 4, quote=True)
    row.check(SEPARATOR)
    if change == "kind":
        row = LeafEvidence(fill=leaf(2, 4).fill, signed=row.signed, asset=row.asset, sub_id=row.sub_id, line=5)
    if change == "line":
        row = LeafEvidence(fill=row.fill, signed=row.signed, asset=row.asset, sub_id=row.sub_id, line=4)
    with pytest.raises(BadOrders, match="does not authorize"):
        row.check(bytes(32) if change == "separator" else SEPARATOR)


def test_nothing_is_known_of_other_batches(store):
    """None for the batch, no leaves for an account that filled nothing."""
    store.add(1, [])
    assert store.leaf_hashes(1) == {}
    assert store.leaf_hashes(2) is None
    assert store.of_account(1, 2) == []


def test_leaves_come_back_as_they_were(store, tmp_path):
    """Across a restart; storing the same batch again changes nothing."""
    leaves = batch(*(leaf(2 + number % 3, number, quote=number % 4 == 0) for number in range(1, 12)))
    store.add(7, leaves)
    store.add(7, leaves)
    store.close()
    again = EvidenceStore(tmp_path / "evidence.sqlite")
    assert again.leaf_hashes(7) == {place: order_leaf(row.fill) for place, row in enumerate(leaves)}
    for account in (2, 3, 4):
        expected = [(place, row) for place, row in enumerate(leaves) if row.fill.account == account]
        assert again.of_account(7, account) == expected
    again.close()
    store.__init__(tmp_path / "evidence.sqlite")


def test_what_nobody_signed_comes_back_with_its_accounts(store):
    """Between signed leaves; replaced with its batch, forgotten with it."""
    ref = engine_ref(OrderKind.LIQUIDATION, 9)
    fill = OrderFill(
        account=5, instrument=1, ref=ref, position_lots=-3, notional_e6=7, fee_e6=1, kind=OrderKind.LIQUIDATION
    )
    kept = ForcedAccount(b"leaf", b"path")
    store.add(7, [leaf(2, 1), ForcedLeaf(fill)], {5: kept, 4: kept})
    store.add(7, [leaf(2, 1), ForcedLeaf(fill)], {5: kept})
    assert store.of_account(7, 5) == [(1, ForcedLeaf(fill))]
    assert store.of_account(7, 2) == [(0, leaf(2, 1))]
    assert store.forced_accounts(7) == {5: kept}
    store.prune(7)
    assert store.forced_accounts(7) == {}


def test_final_batches_are_forgotten(store):
    """And only those."""
    for seq in (1, 2, 3):
        store.add(seq, batch(leaf(2, seq)))
    store.prune(2)
    assert [store.leaf_hashes(seq) is None for seq in (1, 2, 3)] == [True, True, False]
    assert store.of_account(2, 2) == []


@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_parts_prove_all_leaves_and_sum_up(size):
    """Each part folds to the orders root; sums go on from part to part, the last one is marked."""
    leaves = batch(*(leaf(2, number) for number in range(1, 10)), leaf(9, 20), leaf(1, 21))
    tree = orders_tree({place: order_leaf(row.fill) for place, row in enumerate(leaves)})
    own = [(place, row) for place, row in enumerate(leaves) if row.fill.account == 2]
    parts = list(parts_of(tree, own, size))
    sums = AnswerSums()
    for part in parts:
        assert part.before == sums
        siblings = [part.siblings[at : at + 32] for at in range(0, len(part.siblings), 32)]
        shown = {place: order_leaf(row.fill) for place, row in part.leaves}
        assert fold_multiproof(20, shown, siblings) == orders_root([row.fill for row in leaves])
        sums = part.after
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert sums.cash_e6 == sum(row.fill.cash_effect_e6 for _, row in own)


def test_an_account_without_leaves_has_one_empty_part():
    """The answer that says: nothing moved."""
    (part,) = parts_of(orders_tree({}), [])
    assert (part.leaves, part.siblings, part.is_last) == ((), b"", True)
    assert part.after == AnswerSums()
