"""Gas and bytes of F1: a usual batch, and a batch at every cap at once; the figures are printed."""

import random
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from web3 import HTTPProvider, Web3

from settlement.protocol.caps import (
    MAX_CALLDATA_BYTES,
    MAX_CLOSES,
    MAX_DATA_BYTES,
    MAX_LISTED,
    MAX_ORACLE_ROWS,
    MAX_POSITIONS,
)
from settlement.protocol.encoding import BatchData
from settlement.protocol.ledger import Effect
from settlement.protocol.netting import NetDeltas
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.state_tree import Account
from settlement.protocol.transition import RequestKind, apply_batch
from settlement.protocol.wrong_root import chunks_of, wrong_root_proof
from tests.differential.dispute_world import NO_FRAUD, DisputeWorld, Posted, encoded

pytestmark = pytest.mark.needs_node
ANVIL = Path(__file__).parents[2] / "settlement/contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
PERP = 0x80000000
F1_GAS_LIMIT = 15_000_000
TRANSACTION_GAS_LIMIT = 1 << 24  # EIP-7825
BLOCK_GAS = 60_000_000
HOSTILE_GAS_LIMIT = 18_000_000
BLOCKS = 20
"""The seed of the mark table differs from block to block, and the gas with it: a prover waits for one that fits. About
half of them do, so that twenty without any are one in a million; a dispute window has hundreds."""
CLOSING = MAX_CLOSES


@dataclass(frozen=True)
class Size:
    """How much a batch touches: listed accounts, traded instruments, positions before it, oracle rows."""

    accounts: int
    instruments: int
    positions: int
    rows: int
    first_row: int = 100_000


def vector_of(number: int, size: Size, held: Sequence[int]) -> OracleVector:
    """Rows of everything that is held and of as many others as the size says; funding moves, nothing expires."""
    rows = {key: MarkRow(mark_e6=1000, fund_index=number * 10**9 if key & PERP else 0) for key in held}
    rows |= {size.first_row + place: MarkRow(mark_e6=5) for place in range(size.rows - len(rows))}
    return OracleVector(round_number=number, rows=rows)


def spread_indices(count: int) -> list[int]:
    """Account indices all over the tree, so that few siblings are shared."""
    return [2 + place * ((1 << 20) // (count + 1)) for place in range(count)]


def pretend_state(world: DisputeWorld, indices: Sequence[int], held: Sequence[int], size: Size) -> None:
    """Post a root of invented leaves: F1 takes the root before a batch for granted."""
    owner = bytes.fromhex(world.owners[0][2:])
    positions = dict.fromkeys(held, (7, 0))
    accounts = {index: Account(owner, 10**12, positions) for index in indices}
    accounts[0] = Account(cash_e6=10**12, positions=positions)
    accounts[1] = Account(cash_e6=-5)
    world.publish(vector_of(1, size, held))
    head = world.header(NetDeltas({}, {}))
    effect = Effect(
        accounts=accounts,
        collateral_e6=0,
        request_done=head.request_up_to,
        last_match_to_s=head.match_to_s,
    )
    world.advance(world.post(head, b"\x00\x00\x00", world.root_of(effect)), effect)


def deltas_of(indices: Sequence[int], traded: Sequence[int]) -> NetDeltas:
    """Every account moves in every traded instrument, without opening or closing a position."""
    rng = random.Random(1)
    cells: dict[tuple[int, int], int] = {}
    for instrument in traded:
        lots = {index: rng.choice((-3, -2, -1, 1, 2, 3)) for index in indices}
        lots[indices[0]] = 0
        lots[indices[0]] = -sum(lots.values()) or 0
        if lots[indices[0]] in (0, -7):
            lots[indices[1]] += 10
            lots[indices[0]] -= 10
        cells.update({(index, instrument): amount for index, amount in lots.items() if amount})
    return NetDeltas(dict.fromkeys(indices, 0), cells)


def held_instruments(count: int) -> list[int]:
    """Three options to each perpetual."""
    return [1 + place if place % 4 else PERP + 1 + place for place in range(count)]


def post_next(world: DisputeWorld, indices: Sequence[int], size: Size, held: Sequence[int], *, honest: bool) -> Posted:
    """Post the measured batch, whose root is right or not."""
    deltas = deltas_of(indices, sorted(held)[: size.instruments])
    world.publish(vector_of(2, size, held))
    head = world.header(deltas)
    effect = apply_batch(world.ledger, head, BatchData(deltas, ()), world.requests, world.opening)
    root = world.root_of(effect) if honest else b"\x5a" * 32
    return world.post(head, encoded(deltas), root)


@pytest.fixture
def world() -> Iterator[DisputeWorld]:
    """A deployment of its own on anvil: these batches pretend a state, and are long in Python's machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(ANVIL), "-q", "-p", str(port), "--gas-limit", "60000000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    web3 = Web3(HTTPProvider(f"http://127.0.0.1:{port}", request_kwargs={"timeout": 120}))
    deadline_s = time.monotonic() + 20
    while not web3.is_connected() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    try:
        yield DisputeWorld(web3)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.parametrize("positions", [10, 30])
def test_proof_of_a_usual_batch(world: DisputeWorld, positions: int) -> None:
    """100 accounts on 10 instruments: one transaction, its calldata below the limit of the pools."""
    size = Size(accounts=100, instruments=10, positions=positions, rows=100)
    held, indices = held_instruments(positions), spread_indices(100)
    pretend_state(world, indices, held, size)
    with world.aside():
        assert world.verdict(post_next(world, indices, size, held, honest=True)) == NO_FRAUD
    posted = post_next(world, indices, size, held, honest=False)
    proof = wrong_root_proof(world.ledger, posted.data, world.opening)
    gas = world.send(world.accusation(posted, proof), world.prover, gas=BLOCK_GAS)["gasUsed"]
    print(f"F1, 100 x 10, {positions} positions: {gas} gas, {len(proof)} bytes")  # noqa: T201
    assert len(proof) <= MAX_CALLDATA_BYTES
    assert gas <= 5_000_000


@pytest.mark.slow
@pytest.mark.parametrize("closing", [0, CLOSING])
def test_huge_batch_stays_provable(world: DisputeWorld, closing: int) -> None:
    """Threat "huge batch makes proof impossible": at the caps the final call costs less than 15M gas in any block."""
    size = Size(accounts=MAX_LISTED, instruments=64, positions=MAX_POSITIONS, rows=MAX_ORACLE_ROWS)
    held, indices = held_instruments(MAX_POSITIONS), spread_indices(MAX_LISTED)
    if closing:
        indices = [*range(2, 2 + closing), *indices[closing + 1 :], (1 << 20) - 1]
        ask_for_closing(world, closing)
    pretend_state(world, indices, held, size)
    if closing:
        for account in range(2, 2 + closing):
            world.ask(RequestKind.CLOSE_ALL, account, world.owners[0])
    with world.aside():
        assert staged_verdict(world, post_next(world, indices, size, held, honest=True)) == NO_FRAUD
    posted = post_next(world, indices, size, held, honest=False)
    assert len(posted.data) > MAX_DATA_BYTES - 1000
    size_bytes = stage(world, posted, 2)
    found = sorted(gas_of_proof(world, posted) for _ in range(3))
    print(f"F1 at the caps, {closing} closing: {found} gas, {size_bytes} bytes staged")  # noqa: T201
    assert found[-1] < F1_GAS_LIMIT


@pytest.mark.slow
def test_huge_batch_under_a_hostile_vector_is_provable_soon(world: DisputeWorld) -> None:
    """2,048 perpetuals fill the table half: its seed is another in each block, so a prover waits for a good one."""
    size = Size(MAX_LISTED, instruments=64, positions=MAX_POSITIONS, rows=MAX_ORACLE_ROWS, first_row=PERP + 100_000)
    held, indices = held_instruments(MAX_POSITIONS), spread_indices(MAX_LISTED)
    pretend_state(world, indices, held, size)
    posted = post_next(world, indices, size, held, honest=False)
    stage(world, posted, 2)
    found = sorted(gas_of_proof(world, posted) for _ in range(BLOCKS))
    print(f"F1 at the caps, 2,048 perpetuals: {found} gas")  # noqa: T201
    assert found[0] < TRANSACTION_GAS_LIMIT
    # No bound is known for the worst block: 18.2 million were seen. A prover waits, so the better half counts.
    assert found[BLOCKS // 2] < HOSTILE_GAS_LIMIT


def ask_for_closing(world: DisputeWorld, count: int) -> None:
    """Open `count` accounts on chain; the pretended state has them anyhow."""
    for _ in range(count):
        world.ask(RequestKind.DEPOSIT, 0, world.owners[0], 10_000_000)
    world.requests = world.requests[-CLOSING:]


def stage(world: DisputeWorld, posted: Posted, nonce: int) -> int:
    """Stage the proof in chunks and return its size."""
    proof = wrong_root_proof(world.ledger, posted.data, world.opening)
    for chunk in chunks_of(proof):
        world.send(world.vault.functions.stageProof(nonce, chunk), world.prover)
    return len(proof)


def staged_call(world: DisputeWorld, posted: Posted, nonce: int):
    """The call that reads what was staged."""
    previous = world.headers[posted.seq - 1]
    return world.vault.functions.proveWrongRootStaged(posted.seq, previous, posted.header, nonce)


def staged_verdict(world: DisputeWorld, posted: Posted) -> bytes:
    """Selector with which the staged accusation reverts."""
    stage(world, posted, 1)
    return world.refusal(staged_call(world, posted, 1))


def gas_of_proof(world: DisputeWorld, posted: Posted) -> int:
    """Gas of the final call in the next block, which is another each time; nothing is changed."""
    world.web3.provider.make_request("evm_mine", [])
    with world.aside():
        return int(world.send(staged_call(world, posted, 2), world.prover, gas=BLOCK_GAS)["gasUsed"])
