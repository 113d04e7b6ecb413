"""What nobody signed, judged by the contract and by its twin: the same first reason for random accounts and leaves."""

import ast
import random
import struct
from collections import Counter
from typing import Any

import pytest
from eth_tester.exceptions import TransactionFailed
from web3 import Web3
from web3.exceptions import ContractCustomError

from settlement.protocol.encoding import encode_batch
from settlement.protocol.forced import PRICE_BOUND_PPM, ForcedReason, NotAllowed, judge_giver, judge_liquidated
from settlement.protocol.justification import leaves_of
from settlement.protocol.netting import NetDeltas
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.orders import OrderFill, OrderKind, engine_ref, orders_root
from settlement.protocol.state_tree import Account, leaf_preimage
from settlement.protocol.transition import RequestKind
from tests.differential.dispute_world import DisputeWorld, Posted

NOT_AUTHORIZED = bytes(Web3.keccak(text="NotAuthorized(uint256,uint8)")[:4])
PERPS = (0x80000001, 0x80000002)
OPTIONS = (3, 4)
CLOSED, GIVER = 2, 3
_PPM = 10**6
_ROW = struct.Struct(">BI32sqQq")


@pytest.fixture(scope="module")
def world() -> DisputeWorld:
    """Two accounts with owners."""
    world = DisputeWorld()
    for owner in world.owners[:2]:
        world.ask(RequestKind.DEPOSIT, 0, owner, 10**9)
    world.publish(OracleVector(round_number=1))
    return world


def random_vector(rng: random.Random, number: int) -> OracleVector:
    """Marks of most instruments, now and then one that ended."""
    rows = {key: MarkRow(mark_e6=rng.choice((3, 10**6)), fund_index=rng.randrange(-(10**9), 10**9)) for key in PERPS}
    rows |= {key: MarkRow(mark_e6=rng.choice((0, 7, 10**5))) for key in OPTIONS}
    if rng.random() < 0.2:
        rows[OPTIONS[1]] = MarkRow(payoff_e12=rng.randrange(10**9))
    if rng.random() < 0.1:
        del rows[rng.choice((*PERPS, *OPTIONS))]
    return OracleVector(round_number=number, rows=rows)


def random_account(rng: random.Random, vector: OracleVector) -> Account:
    """Positions of either sign, and an equity near nothing or near a quarter of the perpetuals."""
    positions = {key: (rng.choice((-1, 1)) * rng.randint(1, 40), rng.randrange(-(10**9), 10**9)) for key in PERPS}
    positions |= {key: (rng.choice((-1, 1, 1)) * rng.randint(1, 40), 0) for key in OPTIONS if rng.random() < 0.5}
    if rng.random() < 0.3:
        del positions[PERPS[0]]
    values = {
        key: lots * (vector.rows[key].mark_e6 if key in vector.rows else 0) for key, (lots, _) in positions.items()
    }
    quarter = sum(abs(value) for key, value in values.items() if key in PERPS) // 4
    wanted = rng.choice((-(10**6), -20, 0, quarter // 2, quarter, 2 * quarter)) + rng.randint(-30, 30)
    return Account(b"\x0a" * 20, wanted - sum(values.values()), positions)


def random_leaf(rng: random.Random, account: Account, vector: OracleVector, number: int) -> OrderFill:
    """Mostly a leaf that an honest venue could have, near one of its bounds."""
    kind = rng.choice((OrderKind.LIQUIDATION,) * 5 + (OrderKind.FUND, OrderKind.ADL))
    by = rng.choice((OrderKind.LIQUIDATION, OrderKind.ADL)) if kind is OrderKind.LIQUIDATION else kind
    if kind is OrderKind.FUND:
        paid = rng.choice((1, 10**6, -account.cash_e6)) + rng.randint(-20, 20)
        return leaf(kind, engine_ref(by, number), fee_e6=-paid)
    instrument = rng.choice(list(account.positions))
    held = account.positions[instrument][0]
    lots = -held if rng.random() < 0.5 else -rng.randint(-2, 42) * (1 if held > 0 else -1)
    mark_e6 = vector.rows[instrument].mark_e6 if instrument in vector.rows else 0
    value = abs(lots) * mark_e6
    away = rng.choice((0, value * PRICE_BOUND_PPM // _PPM, 10**6)) * rng.choice((-1, 1))
    notional_e6 = max(0, value + away + rng.choice((-1, 0, 1)) * rng.randint(0, abs(lots) + 3))
    fee_e6 = rng.choice((0, 0, 0, notional_e6 // 40, notional_e6 // 40 + 1, -1))
    return leaf(kind, engine_ref(by, number), instrument, lots, notional_e6, fee_e6)


def leaf(
    kind: OrderKind, ref: bytes, instrument: int = 0, lots: int = 0, notional_e6: int = 0, fee_e6: int = 0
) -> OrderFill:
    """A leaf of the account that is closed."""
    return OrderFill(
        account=CLOSED,
        instrument=instrument,
        ref=ref,
        position_lots=lots,
        notional_e6=notional_e6,
        fee_e6=fee_e6,
        kind=kind,
    )


def deltas_of(leaves: list[OrderFill]) -> NetDeltas:
    """What the leaves move, and the other side of it."""
    cash: Counter[int] = Counter({CLOSED: 0, GIVER: 0})
    cells: Counter[tuple[int, int]] = Counter()
    for row in leaves:
        cash[CLOSED] += row.cash_effect_e6
        cash[GIVER] -= row.cash_effect_e6 + row.fee_e6
        for account, sign in ((CLOSED, 1), (GIVER, -1)):
            cells[account, row.instrument] += sign * row.position_lots
    return NetDeltas(dict(cash), {cell: lots for cell, lots in cells.items() if lots})


def post_before(world: DisputeWorld, account: Account) -> None:
    """A batch that leaves the account as it is to be found; nobody proves its root wrong here."""
    nothing = NetDeltas({}, {})
    world.ledger.accounts[CLOSED] = account
    world.ledger.tree.set_leaves({CLOSED: bytes(Web3.keccak(leaf_preimage(account)))})
    posted = world.post(world.header(NetDeltas({}, {})), encode_batch(nothing, ()), world.ledger.root)
    world.headers[posted.seq] = posted.header
    world.ledger.request_done += len(world.requests)
    world.requests = []


def proof_of(world: DisputeWorld, posted: Posted, account: Account, leaves: list[OrderFill]) -> tuple[Any, ...]:
    """The contract's `ForcedProof`."""
    shown, siblings = leaves_of(leaves, CLOSED)
    rows = b"".join(
        _ROW.pack(row.kind, row.instrument, row.ref, row.position_lots, row.notional_e6, row.fee_e6) for _, row in shown
    )
    path = b"".join(world.ledger.tree.multiproof([CLOSED]))
    return (
        world.headers[posted.seq - 1],
        world.opening.encode(),
        leaf_preimage(account),
        path,
        shown[0][0],
        rows,
        b"".join(siblings),
        posted.data,
    )


def reason_of(world: DisputeWorld, call: Any) -> int:
    """Number of the refusal; 0 when there is none."""
    raw = revert_data(world, call)
    if not raw:
        return 0
    if raw[:4] != NOT_AUTHORIZED:
        raise AssertionError(f"refused for another reason: {raw.hex()}")
    return raw[-1]


def revert_data(world: DisputeWorld, call: Any) -> bytes:
    """What `call` reverts with; nothing is changed."""
    try:
        call.call({"from": world.prover})
    except ContractCustomError as error:
        return bytes.fromhex(str(error.data)[2:])
    except TransactionFailed as error:
        return bytes(ast.literal_eval(str(error).removeprefix("execution reverted: ")))
    return b""


def verdict_of(account: Account, leaves: list[OrderFill], vector: OracleVector) -> int:
    """The twin's reason; 0 when it has none."""
    try:
        judge_liquidated(account, leaves, vector)
    except NotAllowed as refusal:
        return int(refusal.reason)
    return 0


def test_contract_and_twin_name_the_same_reason(world: DisputeWorld) -> None:
    """Ninety random liquidations; every reason occurs, and so do allowed ones."""
    rng = random.Random(5)
    seen: Counter[int] = Counter()
    for number in range(2, 92):
        vector = random_vector(rng, number)
        account = random_account(rng, vector)
        leaves = sorted(
            (random_leaf(rng, account, vector, place) for place in range(1, rng.choice((2, 2, 3, 4)))),
            key=lambda row: row.ref,
        )
        post_before(world, account)
        world.publish(vector)
        deltas = deltas_of(leaves)
        posted = world.post(world.header(deltas), encode_batch(deltas, ()), world.ledger.root, orders_root(leaves))
        call = world.vault.functions.showForced(
            posted.seq, posted.header, CLOSED, proof_of(world, posted, account, leaves)
        )
        expected = verdict_of(account, leaves, vector)
        assert reason_of(world, call) == expected, (number, account, leaves, vector)
        seen[expected] += 1
        world.headers[posted.seq] = posted.header
    print(dict(seen))  # noqa: T201
    assert seen.keys() >= {0, *map(int, set(ForcedReason) - {ForcedReason.DEPOSITED, ForcedReason.BAD_PAYMENT})}


def test_a_giver_gives_no_more_than_it_holds() -> None:
    """The twin of the other side's rules, each refusal once."""
    account = Account(b"\x0a" * 20, 0, {PERPS[0]: (5, 0)})
    good = leaf(OrderKind.ADL, engine_ref(OrderKind.ADL, 1), PERPS[0], -5, 100)
    judge_giver(account, [good])
    for bad, reason in (
        (leaf(OrderKind.LIQUIDATION, good.ref, PERPS[0], -5, 100), ForcedReason.WRONG_KIND),
        (leaf(OrderKind.ADL, good.ref, PERPS[0], -5, 100, 1), ForcedReason.FEE_TOO_HIGH),
        (leaf(OrderKind.ADL, good.ref, PERPS[0], -6, 100), ForcedReason.GROWS),
        (leaf(OrderKind.ADL, good.ref, PERPS[1], -1, 100), ForcedReason.GROWS),
    ):
        with pytest.raises(NotAllowed) as refused:
            judge_giver(account, [bad])
        assert refused.value.reason is reason


def test_an_answer_as_large_as_a_batch_fits_a_transaction(world: DisputeWorld) -> None:
    """Fourteen positions given up to a hundred accounts each: 1,400 leaves, more than a batch has cells for twice."""
    perps, givers = [0x80000001 + place for place in range(14)], range(3, 103)
    number = world.vault.functions.oracleHead().call() + 1
    vector = OracleVector(round_number=number, rows={key: MarkRow(mark_e6=100) for key in perps})
    account = Account(b"\x0a" * 20, -14 * 100 * 100 + 1, dict.fromkeys(perps, (100, 0)))
    pairs = [(key, giver) for key in perps for giver in givers]
    leaves = [
        leaf(OrderKind.LIQUIDATION, engine_ref(OrderKind.ADL, place + 1), key, -1, 100)
        for place, (key, _) in enumerate(pairs)
    ]
    cash = {CLOSED: 100 * len(pairs), **dict.fromkeys(givers, -100 * len(perps))}
    cells = {(giver, key): 1 for key, giver in pairs} | {(CLOSED, key): -100 for key in perps}
    deltas = NetDeltas(cash, cells)
    post_before(world, account)
    world.publish(vector)
    posted = world.post(world.header(deltas), encode_batch(deltas, ()), world.ledger.root, orders_root(leaves))
    proof = proof_of(world, posted, account, leaves)
    call = world.vault.functions.showForced(posted.seq, posted.header, CLOSED, proof)
    receipt = world.send(call, gas=16_777_216)
    size = sum(len(part) for part in proof if isinstance(part, bytes))
    print(f"{len(leaves)} leaves: {receipt['gasUsed']} gas, {size} bytes")  # noqa: T201
    assert receipt["gasUsed"] < 15_000_000
    assert size < 120_000
