"""The watcher's reading of a batch against the one that built it: same values, same roots, the same bytes refused."""

import random

import pytest

from settlement.protocol.encoding import BadBatch, BatchData, Header, decode_batch
from settlement.protocol.ledger import LedgerState
from settlement.protocol.merkle import fold_multiproof
from settlement.protocol.oracle import NO_ROUND, MarkRow, OracleVector
from settlement.protocol.state_tree import Account, leaf_hash
from settlement.protocol.transition import ChainRequest, RequestKind, apply_batch
from settlement.protocol.wrong_root import wrong_root_proof
from settlement.watch.accounts import AccountTree, WatchedAccount, leaf_bytes
from settlement.watch.posts import Fraud, read_data, read_word
from settlement.watch.replay import NO_MARKS, QueuedRequest, read_vector, replay
from tests.differential.dispute_world import encoded, random_deltas
from tests.differential.test_wrong_root import INSTRUMENTS, random_vector

ROUNDS = 60


def random_requests(rng: random.Random, first: int, listed: list[int]) -> list[ChainRequest]:
    """Up to four requests of listed accounts, at most one CLOSE_ALL."""
    kinds = [RequestKind.DEPOSIT, RequestKind.WITHDRAW, RequestKind.CANCEL_ALL]
    rows = [
        ChainRequest(index=first + place, kind=rng.choice(kinds), account=rng.choice(listed), amount_e6=10**7)
        for place in range(rng.randrange(4))
    ]
    closing = ChainRequest(index=first + len(rows), kind=RequestKind.CLOSE_ALL, account=rng.choice(listed))
    return [*rows, closing] if rng.random() < 0.5 else rows


def opened(accounts: range) -> tuple[LedgerState, AccountTree]:
    """Both sides after a first batch of deposits."""
    ledger, tree = LedgerState(), AccountTree()
    requests = [
        ChainRequest(
            index=place, kind=RequestKind.DEPOSIT, account=account, amount_e6=10**10, owner=bytes([account]) * 20
        )
        for place, account in enumerate(accounts, 1)
    ]
    deltas = random_deltas(random.Random(0), list(accounts), [1])
    header = Header(request_up_to=len(requests), match_from_s=1, match_to_s=1, fee_e6=deltas.fee_e6)
    step(ledger, tree, header, BatchData(deltas, ()), requests, NO_ROUND)
    return ledger, tree


def step(
    ledger: LedgerState,
    tree: AccountTree,
    header: Header,
    data: BatchData,
    requests: list[ChainRequest],
    opening: OracleVector,
) -> None:
    """Take one batch on both sides."""
    effect = apply_batch(ledger, header, data, requests, opening)
    raw = encoded(data.deltas, list(data.approved_e6))
    rows = [QueuedRequest(int(row.kind), row.account, row.amount_e6, row.owner) for row in requests]
    marks = read_vector(opening.encode()) if opening.round_number else NO_MARKS
    read = read_data(raw, len(data.approved_e6))
    after = replay(tree, read_word(header.pack()), read, rows, marks)
    ledger.commit(effect)
    tree.change(after)
    assert tree.root == ledger.root


def test_both_come_to_the_same_roots() -> None:
    """Requests, funding, expiry, closing and deltas of random batches, one after another."""
    rng = random.Random(11)
    ledger, tree = opened(range(2, 8))
    opening = OracleVector(round_number=1, rows={number: MarkRow(mark_e6=100) for number in INSTRUMENTS})
    for number in range(2, ROUNDS):
        listed = sorted(rng.sample(range(2, 8), 4))
        requests = random_requests(rng, ledger.request_done + 1, listed)
        paid = tuple(rng.randrange(10**7) for row in requests if row.kind is RequestKind.WITHDRAW)
        deltas = random_deltas(rng, listed, rng.sample(INSTRUMENTS, 3))
        up_to = ledger.request_done + len(requests)
        header = Header(
            request_up_to=up_to, match_from_s=number, match_to_s=number, fee_e6=deltas.fee_e6, oracle_round=number - 1
        )
        step(ledger, tree, header, BatchData(deltas, paid), requests, opening)
        opening = random_vector(rng, number)


def test_both_refuse_the_same_bytes() -> None:
    """Every single bit of a batch: read the same, or refused by both; sums, order and length are the contract's."""
    rng = random.Random(3)
    data = encoded(random_deltas(rng, range(2, 8), INSTRUMENTS[:3]))
    for bit in range(24, 8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        same = _read(bytes(flipped)) == _watched(bytes(flipped))
        assert same, bit


def _read(data: bytes) -> object:
    try:
        deltas = decode_batch(data, 0).deltas
    except BadBatch as error:
        # what `post` itself refuses is no matter of the watcher
        return None if "local index" in str(error) or "padding" in str(error) or "zero delta" in str(error) else "post"
    return dict(deltas.cash_e6), dict(deltas.positions_lots)


def _watched(data: bytes) -> object:
    if _read(data) == "post":
        return "post"
    try:
        read = read_data(data, 0)
    except Fraud:
        return None
    return dict(read.cash_e6), {(index, key): lots for index, row in read.lots.items() for key, lots in row.items()}


@pytest.mark.parametrize(
    "account",
    [
        Account(),
        Account(b"\x07" * 20, -5, {1: (3, 0), 1 << 31 | 4: (-9, 10**12)}),
        Account(b"\x01" * 20, (1 << 127) - 1),
    ],
)
def test_leaves_and_siblings_are_those_of_the_ledger(account: Account) -> None:
    """The bytes under the hash, and what a proof of several leaves lacks."""
    tree = AccountTree()
    tree.change(
        {2: WatchedAccount(b"\x02" * 20, 1, {}), 9: WatchedAccount(account.owner, account.cash_e6, account.positions)}
    )
    leaves = {2: leaf_hash(Account(b"\x02" * 20, 1)), 9: leaf_hash(account), 700_000: bytes(32)}
    raw = tree.siblings(leaves)
    siblings = [raw[at : at + 32] for at in range(0, len(raw), 32)]
    assert fold_multiproof(20, leaves, siblings) == tree.root
    assert (leaf_bytes(tree.account(9)) == b"") == account.is_empty


def test_a_tree_that_changes_back_has_its_old_root() -> None:
    """What a revert does."""
    _, tree = opened(range(2, 6))
    root = tree.root
    before = tree.change({3: WatchedAccount(b"\x09" * 20, 7, {5: (1, 0)}), 77: WatchedAccount(b"\x01" * 20, 1, {})})
    assert tree.root != root
    tree.change(before)
    assert tree.root == root


def test_the_proof_is_the_one_of_the_other_code() -> None:
    """Byte for byte what `wrong_root_proof` gives."""
    ledger, tree = opened(range(2, 8))
    data = encoded(random_deltas(random.Random(2), [2, 5, 6], INSTRUMENTS[:2]))
    opening = OracleVector(round_number=1, rows={number: MarkRow(mark_e6=100) for number in INSTRUMENTS})
    indices = [0, 1, 2, 5, 6]
    leaves = b"".join(len(raw).to_bytes(2, "big") + raw for raw in map(leaf_bytes, map(tree.account, indices)))
    sizes = b"".join(len(part).to_bytes(4, "big") for part in (data, opening.encode(), leaves))
    expected = wrong_root_proof(ledger, data, opening)
    assert sizes + data + opening.encode() + leaves + tree.siblings(indices) == expected
