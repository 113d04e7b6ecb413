"""F1 on chain against the transition in Python: honest batches stand, each altered one is reverted in one call."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from eth_tester.exceptions import TransactionFailed
from web3 import Web3

from settlement.protocol.encoding import BadBatch, BatchData, decode_batch, zigzag
from settlement.protocol.ledger import Effect
from settlement.protocol.netting import NetDeltas, Unbalanced
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.positions import settle_positions
from settlement.protocol.state_tree import Account
from settlement.protocol.transition import RequestKind, apply_batch
from settlement.protocol.wrong_root import chunks_of, wrong_root_proof
from tests.differential.dispute_world import (
    NO_FRAUD,
    NOBODY,
    DisputeWorld,
    Posted,
    encoded,
    random_deltas,
    selector_of,
    with_account,
)

PERPS = (0x80000001, 0x80000007)
OPTIONS = (1, 2, 9, 300)
INSTRUMENTS = (*OPTIONS, *PERPS)
BAD_PROOF = bytes(Web3.keccak(text="BadProof()")[:4])


def random_vector(rng: random.Random, number: int) -> OracleVector:
    """Marks, funding that moves both ways, options that expire, now and then a missing row."""
    rows = {}
    for instrument in INSTRUMENTS:
        if rng.random() < 0.1:
            continue
        index = rng.randrange(-(10**12), 10**12) if instrument in PERPS else 0
        rows[instrument] = MarkRow(mark_e6=rng.randrange(1, 10**6), fund_index=index)
        if instrument in OPTIONS and rng.random() < 0.15:
            rows[instrument] = MarkRow(payoff_e12=rng.randrange(10**12))
    return OracleVector(round_number=number, rows=rows, index_e6={1: 10**11}, settlement_e6={(1, 1_900_000_000): 7})


@pytest.fixture(scope="module")
def fresh() -> DisputeWorld:
    """One deployment for the module with four funded accounts; each test goes on from there."""
    world = DisputeWorld()
    open_accounts(world)
    return world


@pytest.fixture
def world(fresh: DisputeWorld) -> Iterator[DisputeWorld]:
    """Undo on chain and in Python what a test did."""
    state = fresh.ledger.to_bytes(), fresh.opening, dict(fresh.headers), list(fresh.requests)
    with fresh.aside():
        yield fresh
    fresh.ledger = type(fresh.ledger).from_bytes(state[0])
    fresh.opening, fresh.headers, fresh.requests = state[1:]


def ask_something(world: DisputeWorld, rng: random.Random) -> list[int]:
    """Queue requests of existing accounts; returns the approvals of the withdrawals among them."""
    approved = []
    closing = None  # a batch takes one CLOSE_ALL
    for account in sorted(rng.sample(range(2, 6), 2)):
        owner = world.owners[account - 2]
        kinds = [kind for kind in list(RequestKind)[:4] if kind is not closing]
        kind = rng.choice(kinds)
        closing = RequestKind.CLOSE_ALL if kind is RequestKind.CLOSE_ALL else closing
        amount_e6 = rng.randrange(10_000_000, 20_000_000) if kind <= RequestKind.WITHDRAW else 0
        world.ask(kind, account, owner, amount_e6)
        if kind is RequestKind.WITHDRAW:
            approved.append(rng.randrange(amount_e6))
    return approved


def open_accounts(world: DisputeWorld) -> None:
    """Four accounts with money in batch 1."""
    for owner in world.owners[:4]:
        world.ask(RequestKind.DEPOSIT, 0, owner, 5_000_000_000)
    world.publish(OracleVector(round_number=1, rows={number: MarkRow(mark_e6=100) for number in INSTRUMENTS}))
    post_honest(world, NetDeltas(dict.fromkeys(range(2, 6), 0), {}))


def post_honest(world: DisputeWorld, deltas: NetDeltas, approved: list[int] | None = None) -> Posted:
    """Post what the transition says, see that no proof against it holds, and go on."""
    effect = world.effect(deltas, approved or [])
    posted = world.post(world.header(deltas), encoded(deltas, approved or []), world.root_of(effect))
    assert world.verdict(posted) == NO_FRAUD
    world.advance(posted, effect)
    return posted


def next_inputs(world: DisputeWorld, rng: random.Random) -> tuple[NetDeltas, list[int]]:
    """Requests, a round and deltas of the next batch; every account with a request is listed."""
    approved = ask_something(world, rng)
    world.publish(random_vector(rng, world.opening.round_number + 1))
    accounts = sorted({row.account for row in world.requests} | set(rng.sample(range(2, 6), 3)))
    return random_deltas(rng, accounts, rng.sample(INSTRUMENTS, rng.randint(1, 5))), approved


def prepared(world: DisputeWorld) -> tuple[NetDeltas, list[int]]:
    """A batch in which everything happens: a deposit, funding, an expiry, narrow and wide deltas."""
    rng = random.Random(5)
    marks = {number: MarkRow(mark_e6=100) for number in INSTRUMENTS}
    world.publish(OracleVector(round_number=2, rows=marks))
    post_honest(world, random_deltas(rng, range(2, 6), INSTRUMENTS))
    world.ask(RequestKind.DEPOSIT, 3, world.owners[1], 11_000_000)
    moved = dict.fromkeys(PERPS, MarkRow(mark_e6=100, fund_index=7 * 10**9))
    world.publish(OracleVector(round_number=3, rows=marks | moved | {9: MarkRow(payoff_e12=55_000_001)}))
    return random_deltas(rng, range(2, 6), (1, PERPS[0])), []


def swapped(effect: Effect) -> Effect:
    """Two leaves in each other's place."""
    return replace(effect, accounts={**effect.accounts, 2: effect.accounts[3], 3: effect.accounts[2]})


def without_rows(world: DisputeWorld) -> OracleVector:
    """A round of this number in which nothing happens."""
    return OracleVector(round_number=world.opening.round_number)


def deltas_before_funding(world: DisputeWorld, deltas: NetDeltas) -> Effect:
    """Steps 2 and 4 in the wrong order: the new positions pay funding for the time before them."""
    header = world.header(deltas)
    late = apply_batch(world.ledger, header, BatchData(deltas, ()), world.requests, without_rows(world))
    accounts = dict(late.accounts)
    derived_e6 = 0
    for index in range(2, 6):
        positions, gained_e6 = settle_positions(accounts[index].positions, world.opening)
        accounts[index] = Account(accounts[index].owner, accounts[index].cash_e6 + gained_e6, positions)
        derived_e6 += gained_e6
    accounts[1] = replace(accounts[1], cash_e6=accounts[1].cash_e6 - derived_e6)
    return replace(late, accounts=accounts)


def without_funding(world: DisputeWorld, deltas: NetDeltas) -> Effect:
    """Step 2 left out."""
    return apply_batch(world.ledger, world.header(deltas), BatchData(deltas, ()), world.requests, without_rows(world))


def without_deposit(effect: Effect) -> Effect:
    """The queue's deposit forgotten in the leaf."""
    return with_account(effect, 3, lambda account: replace(account, cash_e6=account.cash_e6 - 11_000_000))


def duplicate_index(data: bytes) -> bytes:
    """Give the second narrow cell of the first instrument the first one's account: the sums stay."""
    at = 3 + 12 * int.from_bytes(data[1:3], "big") + 8
    first, second = (int.from_bytes(data[at + 4 * place : at + 4 + 4 * place], "big") for place in (0, 1))
    forged = first >> 22 << 22 | second & (1 << 22) - 1
    return data[: at + 4] + forged.to_bytes(4, "big") + data[at + 8 :]


Corruption = Callable[[DisputeWorld, NetDeltas, Effect, bytes], tuple[bytes, bytes]]
CORRUPTIONS: dict[str, Corruption] = {
    "leaf": lambda world, _, effect, data: (
        data,
        world.root_of(with_account(effect, 2, lambda account: replace(account, cash_e6=account.cash_e6 + 1))),
    ),
    "leaves swapped": lambda world, _, effect, data: (data, world.root_of(swapped(effect))),
    "order": lambda world, deltas, _, data: (data, world.root_of(deltas_before_funding(world, deltas))),
    "random root": lambda *_: (_[3], b"\x5a" * 32),
    "dropped queue item": lambda world, _, effect, data: (data, world.root_of(without_deposit(effect))),
    "funding": lambda world, deltas, _, data: (data, world.root_of(without_funding(world, deltas))),
    "duplicate index": lambda world, _, effect, data: (duplicate_index(data), world.root_of(effect)),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_wrong_or_garbage_root(world: DisputeWorld, name: str) -> None:
    """Threat "wrong or garbage root": each corruption is reverted in one transaction, and the honest batch is not."""
    deltas, approved = prepared(world)
    effect = world.effect(deltas, approved)
    data, root = CORRUPTIONS[name](world, deltas, effect, encoded(deltas, approved))
    with world.aside():
        posted = world.post(world.header(deltas), data, root)
        world.send(world.accusation(posted), world.prover)
        assert world.vault.functions.root().call() == world.ledger.root
        assert world.vault.functions.head().call() == posted.seq - 1
        assert world.vault.functions.credit(world.prover).call() == 250_000_000
        assert world.vault.functions.operator().call() == NOBODY
    post_honest(world, deltas, approved)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.dispute_search) for seed in range(1, 12))])
def test_random_batches_agree(world: DisputeWorld, seed: int) -> None:
    """Whatever happens in a batch, Solidity and Python give one root; one unit more in any leaf is fraud."""
    rng = random.Random(seed)
    for _ in range(5):
        deltas, approved = next_inputs(world, rng)
        effect = world.effect(deltas, approved)
        victim = rng.choice(sorted(effect.accounts))
        forged = with_account(effect, victim, lambda account: replace(account, cash_e6=account.cash_e6 - 1))
        with world.aside():
            posted = world.post(world.header(deltas), encoded(deltas, approved), world.root_of(forged))
            assert world.verdict(posted) == b""
        post_honest(world, deltas, approved)
        assert sum(account.cash_e6 for account in world.ledger.accounts.values()) == world.ledger.collateral_e6


Alteration = Callable[[bytes], bytes]


def test_proof_must_be_over_the_batch(world: DisputeWorld) -> None:
    """Other data, leaves, siblings or vectors prove nothing, whoever brings them."""
    deltas, approved = prepared(world)
    effect = world.effect(deltas, approved)
    posted = world.post(world.header(deltas), encoded(deltas, approved), world.root_of(effect))
    proof = wrong_root_proof(world.ledger, posted.data, world.opening)
    sizes = [int.from_bytes(proof[at : at + 4], "big") for at in (0, 4, 8)]
    places = [12 + 5, 12 + sizes[0] + 12, 12 + sum(sizes[:2]) + 30, len(proof) - 5]
    for place in places:
        forged = proof[:place] + bytes((proof[place] ^ 1,)) + proof[place + 1 :]
        assert world.verdict(posted, forged) == BAD_PROOF, place
    for forged in (b"", proof[:11], proof[:-32], proof + bytes(32), proof[:8] + bytes(4) + proof[12:]):
        assert world.verdict(posted, forged) == BAD_PROOF


def test_staged_proof_belongs_to_its_sender(world: DisputeWorld) -> None:
    """Threat "foreign chunks in a staged proof": what a stranger stages has no effect on another's proof."""
    deltas, approved = prepared(world)
    posted = world.post(world.header(deltas), encoded(deltas, approved), b"\x5a" * 32)
    calls = world.vault.functions
    proof = wrong_root_proof(world.ledger, posted.data, world.opening)
    for chunk in chunks_of(proof, 1000):
        world.send(calls.stageProof(3, chunk), world.prover)
        world.send(calls.stageProof(3, b"\xff" * 40), world.operator)
    staged = calls.proveWrongRootStaged(posted.seq, world.headers[posted.seq - 1], posted.header, 3)
    with pytest.raises(TransactionFailed) as caught:
        staged.call({"from": world.operator})
    assert selector_of(caught.value) == BAD_PROOF
    world.send(staged, world.prover)
    assert calls.head().call() == posted.seq - 1


@pytest.mark.parametrize(
    ("deltas", "data"),
    [
        pytest.param(NetDeltas({}, {}), None, id="account of a request not listed"),
        pytest.param(NetDeltas({3: 0, 9: 0}, {}), None, id="account without owner"),
        pytest.param(NetDeltas({3: 0, (1 << 20) + 2: 0}, {}), None, id="account outside the tree"),
        pytest.param(
            NetDeltas({2: 0, 3: 0}, {(a, n): lots for a, lots in ((2, 1), (3, -1)) for n in range(1000, 1129)}),
            None,
            id="129 positions",
        ),
        pytest.param(NetDeltas({3: 11_000_001_000}, {}), None, id="the fund pays what it lacks"),
        pytest.param(
            NetDeltas({2: 0, 3: 0}, {(2, 1): 5, (3, 1): -5}),
            lambda data: data[:27] + b"\x00\x00\x00\x01\x00\x10\x00\x00" + data[35:] + bytes(32),
            id="a word of padding too many",
        ),
        pytest.param(
            NetDeltas({2: 0, 3: 0}, {(2, 1): 5, (3, 1): -5}),
            lambda data: data[:27] + bytes.fromhex("0000000100000004 000000000000000a 0001000000000009") + bytes(16),
            id="wide without need",
        ),
        pytest.param(
            NetDeltas({2: 0, 3: 0}, {}),
            lambda data: b"\x01" + data[1:] + bytes.fromhex("0000000500000000"),
            id="no deltas",
        ),
        pytest.param(
            NetDeltas({2: 0, 3: 0}, {(2, 1): 5, (3, 1): -5}),
            lambda data: data[:35] + bytes(4) + data[35:43] + data[47:],
            id="padding in front",
        ),
        pytest.param(
            NetDeltas({2: 0, 3: 0}, {(2, 1): 5, (3, 1): -5}),
            lambda data: data[:39] + (7 << 22 | 9).to_bytes(4, "big") + data[43:],
            id="local index of nobody",
        ),
        pytest.param(
            NetDeltas({2: 0, 3: 0}, {(2, 1): 1 << 22, (3, 1): -(1 << 22)}),
            lambda data: (
                data[:31]
                + bytes.fromhex("00080004 00000009")
                + bytes(28)
                + (0).to_bytes(2, "big")
                + zigzag(1 << 22).to_bytes(6, "big")
                + (1).to_bytes(2, "big")
                + zigzag(-(1 << 22) + 5).to_bytes(6, "big")
                + bytes(16)
            ),
            id="narrow and wide",
        ),
    ],
)
def test_rules_that_post_does_not_check(
    world: DisputeWorld, deltas: NetDeltas, data: Callable[[bytes], bytes] | None
) -> None:
    """What no honest root can follow is fraud whatever the root says."""
    world.ask(RequestKind.DEPOSIT, 3, world.owners[1], 11_000_000)
    world.publish(OracleVector(round_number=2))
    canonical = encoded(deltas)
    bytes_ = canonical if data is None else data(canonical)
    posted = world.post(world.header(deltas), bytes_, b"\x5a" * 32)
    try:
        proof = wrong_root_proof(world.ledger, bytes_, world.opening)
    except IndexError:  # an account outside the tree has no leaf; the data alone proves it
        proof = len(bytes_).to_bytes(4, "big") + len(world.opening.encode()).to_bytes(4, "big") + bytes(4)
        proof += bytes_ + world.opening.encode()
    assert world.verdict(posted, proof) == b""
    if data is None:
        with pytest.raises((BadBatch, Unbalanced)):
            world.effect(deltas)
    else:
        with pytest.raises(BadBatch):
            decode_batch(bytes_, 0)


@pytest.mark.parametrize(("lacks_e6", "verdict"), [(0, NO_FRAUD), (1, b"")])
def test_a_payment_of_the_fund_is_wrong_under_the_very_root_that_follows(
    world: DisputeWorld, lacks_e6: int, verdict: bytes
) -> None:
    """Nothing else is wrong with the batch, so the rule alone can find it; a fund paid out to nothing is honest."""
    world.ask(RequestKind.DEPOSIT, 3, world.owners[1], 11_000_000)
    world.publish(OracleVector(round_number=2))
    untraded = world.effect(NetDeltas({3: 0}, {}))
    paid_e6 = untraded.accounts[0].cash_e6 + lacks_e6
    effect = with_account(untraded, 3, lambda account: replace(account, cash_e6=account.cash_e6 + paid_e6))
    effect = with_account(effect, 0, lambda account: replace(account, cash_e6=account.cash_e6 - paid_e6))
    deltas = NetDeltas({3: paid_e6}, {})
    posted = world.post(world.header(deltas), encoded(deltas), world.root_of(effect))
    assert world.verdict(posted) == verdict
