"""F5 and F3 three times over: contract, twin and watcher come to one verdict on each request of random batches."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from web3 import Web3

from settlement.protocol.linear_bounds import LARGE_CAP, MAJOR, BoundTerms, ListedTerms
from settlement.protocol.netting import NetDeltas
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.refusal import WrongRefusal, cover_e6, excess_e6, over_approvals, wrong_refusals
from settlement.protocol.state_tree import Account, leaf_preimage
from settlement.protocol.transition import RequestKind
from settlement.watch import refusals as watched
from settlement.watch.accounts import AccountTree, WatchedAccount
from settlement.watch.replay import QueuedRequest, read_vector
from tests.differential.dispute_world import NO_FRAUD, DisputeWorld, Posted, encoded, random_deltas

UNLISTED = 300
OPTIONS = (1, 2, 9, UNLISTED)
PERPS = (0x80000001, 0x80000007)
INSTRUMENTS = (*OPTIONS, *PERPS)
BATCHES = 18
ACCOUNTS = range(2, 6)
UNPRICED = 2
BAD_INSTRUMENT = bytes(Web3.keccak(text="BadInstrument()")[:4])


@dataclass(frozen=True)
class Listed:
    """One instrument on chain."""

    spec: tuple[Any, ...]
    terms: ListedTerms


def listed(world: DisputeWorld) -> dict[int, Listed]:
    """One asset per instrument, of both classes; `UNLISTED` is left out, `UNPRICED`'s underlying has no price."""
    rows = {}
    for place, number in enumerate(INSTRUMENTS):
        asset = Web3.to_checksum_address(bytes([place + 1]) * 20)
        is_perpetual = bool(number >> 31)
        underlying = UNPRICED if number == 9 else 1
        factor_class = (LARGE_CAP, MAJOR)[place % 2]
        sub_id = 0 if is_perpetual else place % 2 << 95 | 7_000 << 32 | 1_900_000_000
        world.send(world.vault.functions.setAsset(asset, (True, is_perpetual, underlying, 10**15, 10, factor_class)))
        if number == UNLISTED:
            continue
        world.send(world.vault.functions.listInstruments([number], [asset], [sub_id]))
        kind = (is_perpetual, not is_perpetual and bool(place % 2), underlying)
        expiry_s, strike_e8 = (0, 0) if is_perpetual else (1_900_000_000, 7_000)
        spec = (asset, sub_id, *kind, expiry_s, strike_e8, 10**15, 10, factor_class)
        bounds = BoundTerms(is_perpetual=is_perpetual, lot_e18=10**15, factor_class=factor_class)
        rows[number] = Listed(spec, ListedTerms(bounds=bounds, underlying=underlying))
    return rows


def random_round(rng: random.Random, number: int) -> OracleVector:
    """Marks of any size, funding both ways, an expiry, now and then a row that is missing or has no mark."""
    rows = {}
    for instrument in INSTRUMENTS:
        if rng.random() < 0.02:
            continue
        index = rng.randrange(-(10**10), 10**10) if instrument in PERPS else 0
        rows[instrument] = MarkRow(mark_e6=rng.choice((0, *[rng.randrange(1, 10**6)] * 30)), fund_index=index)
        if instrument in OPTIONS and rng.random() < 0.1:
            rows[instrument] = MarkRow(payoff_e12=rng.randrange(10**12))
    prices = {1: rng.randrange(1, 10**9)} if rng.random() < 0.9 else {}
    return OracleVector(round_number=number, rows=rows, index_e6=prices)


def small_deltas(rng: random.Random, number: int) -> NetDeltas:
    """One trade of two accounts, about as large as their money; towards the end in what cannot be judged."""
    instrument = rng.choice((1, 2, *PERPS) if number < BATCHES - 3 else (9, UNLISTED))
    buyer, seller = rng.sample(list(ACCOUNTS), 2)
    lots = rng.choice((rng.randint(1, 2_000), rng.randint(1, 9)))
    return NetDeltas(
        random_deltas(rng, list(ACCOUNTS), []).cash_e6, {(buyer, instrument): lots, (seller, instrument): -lots}
    )


def ask(world: DisputeWorld, rng: random.Random) -> None:
    """Withdrawals of some, deposits before and after them."""
    for account in rng.sample(list(ACCOUNTS), 3):
        owner = world.owners[account - 2]
        if rng.random() < 0.3:
            world.ask(RequestKind.DEPOSIT, account, owner, rng.randrange(10_000_000, 20_000_000))
        world.ask(RequestKind.WITHDRAW, account, owner, rng.choice((1, 10**7, 10**8, 10**8, 10**11)))
        if rng.random() < 0.3:
            world.ask(RequestKind.CANCEL_ALL, account, owner)


def chosen_approvals(world: DisputeWorld, rng: random.Random, terms: dict[int, ListedTerms]) -> list[int]:
    """At the boundary where there is one, else anything: a unit below is fraud, the boundary itself is not."""
    approved, moved, vault_e6 = [], dict.fromkeys(ACCOUNTS, 0), world.ledger.collateral_e6
    for request in world.requests:
        if request.kind is RequestKind.DEPOSIT:
            moved[request.account] += request.amount_e6
            vault_e6 += request.amount_e6
        if request.kind is not RequestKind.WITHDRAW:
            continue
        account = world.ledger.account(request.account)
        excess = excess_e6(account.cash_e6 + moved[request.account], account.positions, world.opening, terms)
        limit_e6 = min(request.amount_e6, max(0, excess or 0) + rng.choice((-1, 0, 1)))
        approved.append(max(0, min(limit_e6 // rng.choice((1, 1, 2)), vault_e6)))
        moved[request.account] -= approved[-1]
        vault_e6 -= approved[-1]
    return approved


@pytest.fixture(scope="module")
def world() -> Iterator[DisputeWorld]:
    """Four accounts with money."""
    world = DisputeWorld()
    for owner in world.owners[:4]:
        world.ask(RequestKind.DEPOSIT, 0, owner, 5_000_000_000)
    world.publish(OracleVector(round_number=1))
    step(world, NetDeltas(dict.fromkeys(ACCOUNTS, 0), {}), [])
    return world


def step(world: DisputeWorld, deltas: NetDeltas, approved: Sequence[int]) -> Posted:
    """Post a batch; the caller advances."""
    effect = world.effect(deltas, approved)
    posted = world.post(world.header(deltas), encoded(deltas, approved), world.root_of(effect))
    if not approved:
        world.advance(posted, effect)
    return posted


def verdicts(world: DisputeWorld, posted: Posted, rows: dict[int, Listed] | None) -> dict[int, bytes]:
    """Answer of the contract about each withdrawal of a batch, by request; without specs about its approval."""
    answers = {}
    for request in world.requests:
        if request.kind is not RequestKind.WITHDRAW:
            continue
        account = world.ledger.account(request.account)
        settled = world.opening.ending
        named = [
            number
            for number, (lots, _) in sorted(account.positions.items())
            if number not in settled and (number in PERPS or lots < 0)
        ]
        # the prover has no spec of what is not listed: any other must be refused
        specs = [] if rows is None else [rows.get(number, rows[1]).spec for number in named]
        leaf = b"" if account.is_empty else leaf_preimage(account)
        path = b"".join(world.ledger.tree.multiproof([request.account]))
        proof = (request.index, world.opening.encode(), leaf, path, specs)
        calls = world.vault.functions
        prove = calls.proveOverApproval if rows is None else calls.proveWrongRefusal
        call = prove(posted.seq, world.headers[posted.seq - 1], posted.header, proof)
        answers[request.index] = world.refusal(call)
    return answers


def seen_by_the_watcher(world: DisputeWorld, approved: Sequence[int], rows: dict[int, Listed]) -> dict[int, int]:
    """Owed amount by request, from the watcher's own code."""
    tree = AccountTree()
    tree.change(
        {index: WatchedAccount(row.owner, row.cash_e6, row.positions) for index, row in world.ledger.accounts.items()}
    )
    vector = world.opening.encode()
    found = watched.wrong_refusals(
        tree,
        world.ledger.request_done + 1,
        [QueuedRequest(int(row.kind), row.account, row.amount_e6, row.owner) for row in world.requests],
        approved,
        world.ledger.collateral_e6,
        read_vector(vector),
        watched.read_index_prices(vector),
        {number: watched.terms_of(row.spec) for number, row in rows.items()},
    )
    return {row.id: row.amount_e6 for row in found}


def overdrawn_to_the_watcher(world: DisputeWorld, approved: Sequence[int]) -> set[int]:
    """Requests approved without cover, from the watcher's own code."""
    tree = AccountTree()
    tree.change(
        {index: WatchedAccount(row.owner, row.cash_e6, row.positions) for index, row in world.ledger.accounts.items()}
    )
    requests = [QueuedRequest(int(row.kind), row.account, row.amount_e6, row.owner) for row in world.requests]
    marks = read_vector(world.opening.encode())
    found = watched.over_approvals(tree, world.ledger.request_done + 1, requests, approved, marks)
    return {row.id for row in found}


def twin(world: DisputeWorld, approved: Sequence[int], terms: dict[int, ListedTerms]) -> list[WrongRefusal]:
    """The protocol's own predicate."""
    accounts: dict[int, Account] = dict(world.ledger.accounts)
    return list(wrong_refusals(accounts, world.requests, approved, world.ledger.collateral_e6, world.opening, terms))


def test_three_readings_of_a_refusal_agree(world: DisputeWorld) -> None:
    """The contract reverts exactly what the twin and the watcher find; the boundary itself is honest."""
    rng = random.Random(17)
    rows = listed(world)
    terms = {number: row.terms for number, row in rows.items()}
    wrong = honest = 0
    for number in range(2, BATCHES + 2):
        ask(world, rng)
        world.publish(random_round(rng, number))
        deltas, approved = small_deltas(rng, number), chosen_approvals(world, rng, terms)
        posted = step(world, deltas, approved)
        found = {row.request.index: row.owed_e6 for row in twin(world, approved, terms)}
        assert seen_by_the_watcher(world, approved, rows) == found
        amounts = {row.index: row.amount_e6 for row in world.requests if row.kind is RequestKind.WITHDRAW}
        for (index, answer), paid in zip(verdicts(world, posted, rows).items(), approved, strict=True):
            if index in found:
                assert answer == b"", (number, index)
                wrong += 1
            elif paid < amounts[index]:
                assert answer in {NO_FRAUD, BAD_INSTRUMENT}, (number, index)
                honest += answer == NO_FRAUD
        world.advance(posted, world.effect(deltas, approved))
    assert wrong >= 8
    assert honest >= 10


def generous_approvals(world: DisputeWorld, rng: random.Random) -> list[int]:
    """At what covers a withdrawal, a unit above, or far above."""
    approved, moved, vault_e6 = [], dict.fromkeys(ACCOUNTS, 0), world.ledger.collateral_e6
    for request in world.requests:
        if request.kind is RequestKind.DEPOSIT:
            moved[request.account] += request.amount_e6
            vault_e6 += request.amount_e6
        if request.kind is not RequestKind.WITHDRAW:
            continue
        account = world.ledger.account(request.account)
        cover = cover_e6(account.cash_e6 + moved[request.account], account.positions, world.opening)
        limit_e6 = rng.choice((max(0, cover or 0) + rng.choice((0, 0, 1)), 10**7))
        approved.append(min(request.amount_e6, limit_e6, vault_e6))
        moved[request.account] -= approved[-1]
        vault_e6 -= approved[-1]
    return approved


def test_three_readings_of_an_approval_agree(world: DisputeWorld) -> None:
    """What covers a withdrawal to the unit is honest, a unit more is not; a perpetual without a mark covers nothing."""
    rng = random.Random(29)
    wrong = honest = 0
    for _ in range(BATCHES):
        ask(world, rng)
        world.publish(random_round(rng, world.opening.round_number + 1))
        deltas, approved = small_deltas(rng, 0), generous_approvals(world, rng)
        posted = step(world, deltas, approved)
        accounts: dict[int, Account] = dict(world.ledger.accounts)
        found = {row.index for row in over_approvals(accounts, world.requests, approved, world.opening)}
        assert overdrawn_to_the_watcher(world, approved) == found
        for (index, answer), paid in zip(verdicts(world, posted, None).items(), approved, strict=True):
            assert answer == (b"" if index in found else NO_FRAUD), (index, paid)
            wrong += index in found
            honest += index not in found and paid > 0
        world.advance(posted, world.effect(deltas, approved))
    assert wrong >= 5
    assert honest >= 5


def test_gas_of_a_proof_at_the_cap(world: DisputeWorld) -> None:
    """128 positions, each with its spec, and a vector of as many rows: one call, far from the limit."""
    call = cap_call(world)
    receipt = world.send(call, world.prover, gas=16_000_000)
    assert receipt["gasUsed"] < 3_000_000


def cap_call(world: DisputeWorld) -> Any:
    """A refusal of an account that holds 128 perpetuals."""
    numbers = [0x80001000 + place for place in range(128)]
    assets = [Web3.to_checksum_address(number.to_bytes(20, "big")) for number in numbers]
    for asset in assets:
        world.send(world.vault.functions.setAsset(asset, (True, True, 1, 10**15, 10, 1)))
    world.send(world.vault.functions.listInstruments(numbers, assets, [0] * 128))
    rows = {number: MarkRow(mark_e6=100) for number in numbers} | dict(world.opening.rows)
    world.publish(OracleVector(round_number=world.opening.round_number + 1, rows=rows, index_e6={1: 10**9}))
    owner = world.owners[4]
    world.ask(RequestKind.DEPOSIT, 0, owner, 5_000_000_000)
    account = world.requests[-1].account
    cells = {(account, number): 1 for number in numbers}
    cells |= {(ACCOUNTS[place % 4], number): -1 for place, number in enumerate(numbers)}
    step(world, NetDeltas(dict.fromkeys((*ACCOUNTS, account), 0), cells), [])
    world.ask(RequestKind.WITHDRAW, account, owner, 10**7)
    deltas = NetDeltas({account: 0}, {})
    posted = step(world, deltas, [0])
    held = world.ledger.account(account)
    specs = [(asset, 0, True, False, 1, 0, 0, 10**15, 10, 1) for asset in assets]
    path = b"".join(world.ledger.tree.multiproof([account]))
    proof = (world.requests[-1].index, world.opening.encode(), leaf_preimage(held), path, specs)
    return world.vault.functions.proveWrongRefusal(posted.seq, world.headers[posted.seq - 1], posted.header, proof)
