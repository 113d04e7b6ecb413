"""F3 of trades three times over: contract, twin and watcher come to one verdict on every account of random batches."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from web3 import Web3

from settlement.protocol.floors import broken_floor
from settlement.protocol.ledger import Effect, LedgerState
from settlement.protocol.netting import NetDeltas
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.state_tree import Account, leaf_preimage
from settlement.protocol.transition import RequestKind
from settlement.watch import refusals as watched
from settlement.watch.accounts import WatchedAccount
from settlement.watch.chain_calls import CHUNK_BYTES, FloorProof, staged_floor_proof
from settlement.watch.floors import Rounds, deficits
from settlement.watch.posts import read_data
from settlement.watch.replay import read_vector
from tests.differential.dispute_world import NO_FRAUD, NO_REASON, DisputeWorld, Posted, encoded
from tests.differential.test_refusals import INSTRUMENTS, PERPS, Listed, listed, random_round

ACCOUNTS = range(2, 6)
BATCHES = 26
BAD_INSTRUMENT = bytes(Web3.keccak(text="BadInstrument()")[:4])
BAD_PROOF = bytes(Web3.keccak(text="BadProof()")[:4])


@pytest.fixture(scope="module")
def world() -> Iterator[DisputeWorld]:
    """Four accounts with little money."""
    world = DisputeWorld()
    for owner in world.owners[:4]:
        world.ask(RequestKind.DEPOSIT, 0, owner, 10_000_000)
    world.publish(OracleVector(round_number=1))
    deltas = NetDeltas(dict.fromkeys(ACCOUNTS, 0), {})
    effect = world.effect(deltas)
    world.advance(world.post(world.header(deltas), encoded(deltas), world.root_of(effect)), effect)
    return world


def trades(world: DisputeWorld, rng: random.Random) -> NetDeltas:
    """A trade or two, at the mark, near the bands or for nothing; sizes about as large as the money, or a position."""
    cash: dict[int, int] = dict.fromkeys(ACCOUNTS, 0)
    cells: dict[tuple[int, int], int] = {}
    for _ in range(rng.choice((1, 1, 2))):
        instrument, giver, lots = position(world, rng) if rng.random() < 0.6 else opening(world, rng)
        if any(key[1] == instrument for key in cells):
            continue
        mark_e6 = (world.opening.rows.get(instrument) or MarkRow()).mark_e6
        taker = rng.choice([account for account in ACCOUNTS if account != giver])
        percent = rng.choice((0, 0, 40, 74, 99, 100, 101)) if lots > 0 else rng.choice((100, 101, 126, 142, 200, 400))
        paid_e6 = lots * mark_e6 * percent // 100
        cash[giver] += paid_e6 - rng.randrange(1_000)
        cash[taker] -= paid_e6
        cells[giver, instrument], cells[taker, instrument] = -lots, lots
    return NetDeltas(cash, cells)


def opening(world: DisputeWorld, rng: random.Random) -> tuple[int, int, int]:
    """Instrument, who gives it away, lots (< 0: he takes them): a hundred and fifty times the money at the most."""
    instrument = rng.choice(INSTRUMENTS)
    mark_e6 = (world.opening.rows.get(instrument) or MarkRow()).mark_e6
    lots = rng.choice((rng.randint(1, 9), 10_000_000 // (mark_e6 + 1) * rng.randint(1, 160) + 1))
    return instrument, rng.choice(ACCOUNTS), rng.choice((-1, 1)) * lots


def position(world: DisputeWorld, rng: random.Random) -> tuple[int, int, int]:
    """A position that its holder closes in whole or in part."""
    held = [
        (number, account, lots)
        for account in ACCOUNTS
        for number, (lots, _) in world.ledger.account(account).positions.items()
        if number not in world.opening.ending
    ]
    if not held:
        return opening(world, rng)
    number, account, lots = rng.choice(held)
    return number, account, lots // rng.choice((1, 1, 3)) or lots


def lots_of(deltas: NetDeltas, account: int) -> dict[int, int]:
    """Of one account, by instrument."""
    return {number: lots for (index, number), lots in deltas.positions_lots.items() if index == account}


def of_contract(
    world: DisputeWorld,
    posted: Posted,
    after: LedgerState,
    before: OracleVector,
    rows: Mapping[int, Listed],
    index: int,
) -> bytes:
    """Selector with which the proof about one account is refused, b"" when it holds."""
    held = after.account(index)
    deltas = read_data(posted.data, 0).lots.get(index, {})
    named = sorted({*deltas, *(number for number in held.positions if number in PERPS)})
    # the prover has no spec of what is not listed: any other must be refused
    specs = [rows.get(number, rows[1]).spec for number in named]
    earlier = b"" if before.round_number in {0, world.opening.round_number} else before.encode()
    leaf = b"" if held.is_empty else leaf_preimage(held)
    path = b"".join(after.tree.multiproof([index]))
    proof = (index, posted.data, leaf, path, earlier, world.opening.encode(), specs)
    call = world.vault.functions.proveInsolvent(posted.seq, world.headers[posted.seq - 1], posted.header, proof)
    return world.refusal(call)


def of_watcher(
    effect: Effect, posted: Posted, before: OracleVector, own: OracleVector, rows: Mapping[int, Listed]
) -> set[int]:
    """Accounts that the watcher's own code would accuse."""
    after = {key: WatchedAccount(row.owner, row.cash_e6, row.positions) for key, row in effect.accounts.items()}
    vector = own.encode()
    earlier = None if before.round_number in {0, own.round_number} else read_vector(before.encode())
    rounds = Rounds(earlier, read_vector(vector), watched.read_index_prices(vector))
    terms = {number: watched.terms_of(row.spec) for number, row in rows.items()}
    return {row.account for row in deficits(after, read_data(posted.data, 0), rounds, terms)}


def test_three_readings_of_a_floor_agree(world: DisputeWorld) -> None:
    """The contract reverts exactly what the twin and the watcher find, for either cause; all else is no fraud."""
    rng = random.Random(32)
    rows = listed(world)
    terms = {number: row.terms for number, row in rows.items()}
    seen = Counter[str]()
    for _ in range(BATCHES):
        before = world.opening
        if rng.random() < 0.2:
            world.publish(random_round(rng, before.round_number + 1))
        deltas = trades(world, rng)
        effect = world.effect(deltas)
        posted = world.post(world.header(deltas), encoded(deltas), world.root_of(effect))
        after = world.ledger.copy()
        after.commit(effect)
        accused = of_watcher(effect, posted, before, world.opening, rows)
        for index in ACCOUNTS:
            account = effect.accounts.get(index, Account())
            moved = deltas.cash_e6[index], lots_of(deltas, index)
            found = broken_floor(index, account, *moved, before, world.opening, terms)
            answer = of_contract(world, posted, after, before, rows, index)
            assert (index in accused) == bool(found), (posted.seq, index, found)
            assert (answer == b"") == bool(found), (posted.seq, index, found, answer)
            assert answer in {b"", NO_FRAUD, BAD_INSTRUMENT}
            seen[found or answer.hex()] += 1
        world.advance(posted, effect)
    assert seen["opened risk below its floor"] >= 5, seen
    assert seen["lost more against the marks than it had"] >= 4, seen
    assert seen[NO_FRAUD.hex()] >= 30, seen


def at_the_cap(world: DisputeWorld, rows: int) -> tuple[Posted, FloorProof]:
    """128 perpetuals bought with nothing, each with its spec, between vectors of `rows` perpetuals."""
    numbers = [0x80001000 + place for place in range(rows)]
    assets = [Web3.to_checksum_address(number.to_bytes(20, "big")) for number in numbers[:128]]
    if not world.vault.functions.instrument(numbers[0]).call().strip(b"\0"):
        for asset in assets:
            world.send(world.vault.functions.setAsset(asset, (True, True, 1, 10**15, 10, 1)))
        world.send(world.vault.functions.listInstruments(numbers[:128], assets, [0] * 128))
    for owner in world.owners[4:6]:
        world.ask(RequestKind.DEPOSIT, 0, owner, 10_000_000)
    buyer, seller = (request.account for request in world.requests)
    before = world.opening
    marks = {number: MarkRow(mark_e6=10_000_000) for number in numbers}
    world.publish(OracleVector(round_number=before.round_number + 1, rows=marks, index_e6={1: 10**9}))
    deltas = NetDeltas(
        {buyer: -128 * 10_000_000_000, seller: 128 * 10_000_000_000},
        {(who, number): sign * 1_000 for who, sign in ((buyer, 1), (seller, -1)) for number in numbers[:128]},
    )
    effect = world.effect(deltas)
    posted = world.post(world.header(deltas), encoded(deltas), world.root_of(effect))
    after = world.ledger.copy()
    after.commit(effect)
    specs = [(asset, 0, True, False, 1, 0, 0, 10**15, 10, 1) for asset in assets]
    path = b"".join(after.tree.multiproof([buyer]))
    vectors = before.encode(), world.opening.encode()
    return posted, (buyer, posted.data, leaf_preimage(after.account(buyer)), path, *vectors, specs)


def test_gas_of_a_floor_at_the_cap(world: DisputeWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """128 perpetuals held and moved, in one call. Its gas is printed."""
    requests = list(world.requests)
    with world.aside():
        opening = world.opening
        posted, proof = at_the_cap(world, 128)
        headers = world.headers[posted.seq - 1], posted.header
        call = world.vault.functions.proveInsolvent(posted.seq, *headers, proof)
        gas = world.send(call, world.prover, gas=16_000_000)["gasUsed"]
        world.opening, world.requests = opening, requests
    with capsys.disabled():
        size = len(staged_floor_proof(proof))
        print(f"F3 of 128 perpetuals, {size} bytes of proof: {gas} gas")  # noqa: T201 - asked for
    assert gas < 5_000_000


def test_a_proof_too_large_for_a_transaction_is_staged(world: DisputeWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """A vector of almost as many perpetuals as there may be; a stranger's chunks and half a proof prove nothing."""
    posted, proof = at_the_cap(world, 2_046)
    staged = staged_floor_proof(proof)
    chunks = [staged[at : at + CHUNK_BYTES] for at in range(0, len(staged), CHUNK_BYTES)]
    calls = world.vault.functions
    prove = calls.proveInsolventStaged(posted.seq, world.headers[posted.seq - 1], posted.header, 7)
    assert world.refusal(prove) == BAD_PROOF
    for chunk in chunks:
        world.send(calls.stageProof(7, chunk), world.owners[6])
    assert world.refusal(prove) == BAD_PROOF
    gas = [world.send(calls.stageProof(7, chunk), world.prover)["gasUsed"] for chunk in chunks[:-1]]
    assert world.refusal(prove) == NO_REASON
    gas.append(world.send(calls.stageProof(7, chunks[-1]), world.prover)["gasUsed"])
    gas.append(world.send(prove, world.prover, gas=16_000_000)["gasUsed"])
    with capsys.disabled():
        print(f"F3 staged, {len(staged)} bytes of proof: {gas} gas")  # noqa: T201 - asked for
    assert world.vault.functions.head().call() == posted.seq - 1
    assert gas[-1] < 15_000_000
