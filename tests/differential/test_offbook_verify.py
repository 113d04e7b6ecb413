"""The one-file verifier against the ledger: the same roots, the same bytes refused, for whole batches of everything."""

import random

import pytest

from settlement.offbook_verify import Account, Turn, WrongError, read_cells, read_data, read_round, root_of
from settlement.protocol.encoding import BadBatch, BatchData, Header, decode_batch, unzigzag
from settlement.protocol.ledger import LedgerState
from settlement.protocol.netting import NetDeltas, Unbalanced
from settlement.protocol.oracle import NO_ROUND, MarkRow, OracleVector
from settlement.protocol.transition import ChainRequest, RequestKind, apply_batch
from tests.differential.dispute_world import encoded, random_deltas
from tests.differential.test_watch_replay import random_requests
from tests.differential.test_wrong_root import INSTRUMENTS, random_vector

ROUNDS = 120


class Twins:
    """The ledger and the verifier's accounts, batch by batch."""

    def __init__(self, accounts: range) -> None:
        self.ledger = LedgerState()
        self.rows: dict[int, Account] = {}
        opening = [
            ChainRequest(index=place, kind=RequestKind.DEPOSIT, account=account, amount_e6=10**10, owner=b"\7" * 20)
            for place, account in enumerate(accounts, 1)
        ]
        self.take(NetDeltas(dict.fromkeys(accounts, 0), {}), opening, (), NO_ROUND)

    def take(
        self, deltas: NetDeltas, requests: list[ChainRequest], paid: tuple[int, ...], opening: OracleVector
    ) -> None:
        """One batch on both sides."""
        header = Header(
            request_up_to=self.ledger.request_done + len(requests),
            match_from_s=self.ledger.seq + 1,
            match_to_s=self.ledger.seq + 1,
            fee_e6=deltas.fee_e6,
            oracle_round=opening.round_number,
        )
        self.ledger.commit(apply_batch(self.ledger, header, BatchData(deltas, paid), requests, opening))
        rows = [(row.account, int(row.kind), row.amount_e6, row.owner) for row in requests]
        read = read_data(encoded(deltas, paid), len(paid), deltas.fee_e6)
        marks = read_round(opening.encode()) if opening.round_number else {}
        self.rows |= Turn(self.rows, read, rows).result(marks, deltas.fee_e6)
        assert root_of(self.rows) == self.ledger.root


@pytest.mark.parametrize("seed", [1, 2])
def test_both_come_to_the_same_roots(seed: int) -> None:
    """Deposits, withdrawals, funding, expiry, closing and deltas of random batches, one after another."""
    rng = random.Random(seed)
    twins = Twins(range(2, 9))
    opening = OracleVector(round_number=1, rows={number: MarkRow(mark_e6=100) for number in INSTRUMENTS})
    closed = 0
    for number in range(2, ROUNDS):
        listed = sorted(rng.sample(range(2, 9), 4))
        requests = random_requests(rng, twins.ledger.request_done + 1, listed)
        paid = tuple(rng.randrange(10**7) for row in requests if row.kind is RequestKind.WITHDRAW)
        closed += any(row.kind is RequestKind.CLOSE_ALL for row in requests)
        twins.take(random_deltas(rng, listed, rng.sample(INSTRUMENTS, 3)), requests, paid, opening)
        opening = random_vector(rng, number)
    assert closed > ROUNDS // 4
    assert len(twins.ledger.account(0).positions) > 0


def test_both_refuse_the_same_bytes() -> None:
    """Every single bit of a batch with narrow and wide entries."""
    rng = random.Random(3)
    deltas = random_deltas(rng, range(2, 8), INSTRUMENTS[:3])
    data = encoded(deltas, (5,))
    refused = 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        mine, theirs = _verified(bytes(flipped), deltas.fee_e6), _decoded(bytes(flipped), deltas.fee_e6)
        assert mine == theirs, bit
        refused += mine is None
    assert 0 < refused < 8 * len(data)


def _decoded(data: bytes, fee_e6: int) -> object:
    try:
        found = decode_batch(data, 1)
        found.deltas.check(fee_e6)
    except (BadBatch, Unbalanced):
        return None
    if min(found.deltas.cash_e6) < 2:
        return None
    return dict(found.deltas.cash_e6), dict(found.deltas.positions_lots), tuple(found.approved_e6)


def _verified(data: bytes, fee_e6: int) -> object:
    try:
        cash, lots, approved = read_data(data, 1, fee_e6)
    except WrongError:
        return None
    return cash, {(index, key): moved for index, row in lots.items() for key, moved in row.items()}, tuple(approved)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ([1 << 22 | 2, 0, 1 << 22 | 4, 0, 0, 0, 0, 0], []),
        ([2 << 22 | 2, 1 << 22 | 2, 0, 0, 0, 0, 0, 0], []),
        ([1 << 22 | 2] * 2 + [0] * 6, []),
        ([1 << 22, 0, 0, 0, 0, 0, 0, 0], []),
        ([1 << 22 | 2] + [0] * 15, []),
        ([0] * 8, []),
        ([], [1 << 48 | 5, 0, 0, 0]),
        ([1 << 22 | 2] + [0] * 7, [1 << 48 | 1 << 22, 0, 0, 0]),
    ],
    ids=["gap", "falling", "twice", "zero", "padding", "empty", "wide without need", "narrow and wide"],
)
def test_entries_have_one_form(short: list[int], long: list[int]) -> None:
    """Everything else is wrong, whatever it would sum to."""
    with pytest.raises(WrongError, match="one form"):
        read_cells(short, long)


def test_entries_are_read() -> None:
    """A narrow and a wide one."""
    cells = read_cells([0 << 22 | 7] + [0] * 7, [3 << 48 | 1 << 30, 0, 0, 0])
    assert cells == {0: unzigzag(7), 3: unzigzag(1 << 30)}
