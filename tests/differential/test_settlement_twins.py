"""Twins of the settlement protocol: compiled and reference keccak, tree and netting, and random ledgers."""

import random
from dataclasses import replace

import pytest

from settlement.protocol import eip712
from settlement.protocol.batch import BatchInput, build_batch, order_fills_of
from settlement.protocol.encoding import decode_batch
from settlement.protocol.keccak import COMPILED, keccak256, reference_keccak256
from settlement.protocol.ledger import LedgerState
from settlement.protocol.merkle import CompiledTree, ReferenceTree, fold_multiproof
from settlement.protocol.netting import Fill, legs_of, net, net_fills, reference_net_fills
from settlement.protocol.transition import ChainRequest, RequestKind, apply_batch

if COMPILED:
    from settlement.protocol._keccak import permuted

needs_compiled = pytest.mark.skipif(not COMPILED, reason="settlement.protocol._keccak is not built (run make setup)")
INSTRUMENTS = (1, 2, 3, 0x80000001, 0x80000002)


@needs_compiled
def test_keccak_agrees_on_every_length_up_to_four_blocks() -> None:
    """Lengths around the block limits are where padding goes wrong."""
    rng = random.Random(1)
    for length in range(4 * 136 + 2):
        data = rng.randbytes(length)
        assert keccak256(data) == reference_keccak256(data)


@needs_compiled
@pytest.mark.parametrize("way", ["plain", "avx2", "avx512f", ""])
def test_eight_hashes_side_by_side_are_eight_hashes(way: str) -> None:
    """Every way that this processor has to permute eight states gives the eight hashes of the plain Keccak."""
    rng = random.Random(8)
    blocks = [rng.randbytes(rng.randrange(136)) for _ in range(8)]
    padded = [bytearray(block.ljust(200, b"\0")) for block in blocks]
    for block, state in zip(blocks, padded, strict=True):
        state[len(block)] ^= 0x01
        state[135] ^= 0x80
    states = b"".join(state[8 * word : 8 * word + 8] for word in range(25) for state in padded)
    after = permuted(states, way)
    if after is None:
        pytest.skip(f"this processor has no {way}")
    for number, block in enumerate(blocks):
        found = b"".join(after[8 * (8 * word + number) :][:8] for word in range(4))
        assert found == reference_keccak256(block)


@needs_compiled
def test_eight_states_are_asked_for_whole() -> None:
    """Fewer bytes than eight states and an unknown way are refused."""
    assert permuted(bytes(1600), "sideways") is None
    with pytest.raises(ValueError, match="1,600"):
        permuted(bytes(1599), "")


def random_number(rng: random.Random, *, signed: bool) -> int:
    """Return a number of any size that fits a word, often at an edge of the machine word."""
    edge = rng.choice((0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, (1 << 255) - 1, rng.getrandbits(200)))
    return -edge - 1 if signed and rng.random() < 0.5 else edge


def test_order_digests_agree() -> None:
    """The compiled digest equals the general one for numbers of every size."""
    rng = random.Random(3)
    for _ in range(300):
        trade = {
            "asset": rng.randbytes(20),
            "sub_id": random_number(rng, signed=False),
            "limit_price_e18": random_number(rng, signed=True),
            "amount_e18": random_number(rng, signed=True),
            "max_fee_e18": random_number(rng, signed=False),
            "is_bid": rng.random() < 0.5,
        }
        common = {
            "subaccount_id": random_number(rng, signed=False),
            "nonce": random_number(rng, signed=False),
            "expiry_s": random_number(rng, signed=False),
            "owner": rng.randbytes(20),
            "signer": rng.randbytes(20),
        }
        data = eip712.encode_trade(**trade, recipient_subaccount_id=common["subaccount_id"])
        action = eip712.Action(module=eip712.TRADE_MODULE, data=data, **common)
        separator = rng.randbytes(32)
        assert eip712.digest(separator, action) == eip712.trade_digest(separator, **trade, **common)


def random_indices(rng: random.Random, depth: int, count: int) -> list[int]:
    """Return ascending indices: dense ones, far ones, and often the first and the last leaf."""
    size = 1 << depth
    pool = {rng.randrange(min(size, 200)) for _ in range(count)} | {rng.randrange(size) for _ in range(count // 4)}
    if rng.random() < 0.5:
        pool |= {0, size - 1}
    return sorted(pool)


@needs_compiled
@pytest.mark.parametrize("depth", [1, 2, 7, 20])
def test_trees_agree(depth: int) -> None:
    """Same roots and proofs after each of many random updates, cleared leaves included."""
    rng = random.Random(depth)
    compiled, reference = CompiledTree(depth), ReferenceTree(depth)
    for _ in range(60):
        indices = random_indices(rng, depth, rng.randint(1, 24))
        leaves = {index: rng.choice((bytes(32), rng.randbytes(32))) for index in indices}
        compiled.set_leaves(leaves)
        reference.set_leaves(leaves)
        assert compiled.root == reference.root
        asked = random_indices(rng, depth, rng.randint(1, 12))
        proof = compiled.multiproof(asked)
        assert proof == reference.multiproof(asked)
        proven = {index: reference.leaf(index) for index in asked}
        assert proven == {index: compiled.leaf(index) for index in asked}
        assert fold_multiproof(depth, proven, proof) == compiled.root


@needs_compiled
@pytest.mark.parametrize("count", [0, 1, 5, 128])
def test_build_equals_single_updates(count: int) -> None:
    """Building from a buffer gives the tree that updates give."""
    from settlement.protocol._keccak import DenseTree  # noqa: PLC0415 - absent without a compiler

    leaves = [random.Random(count).randbytes(32) for _ in range(count)]
    dense, reference = DenseTree(7), ReferenceTree(7)
    dense.build(b"".join(leaves))
    reference.set_leaves(dict(enumerate(leaves)))
    assert dense.root == reference.root


def random_fill(rng: random.Random, accounts: list[int]) -> Fill:
    """Return a fill between two different accounts, now and then too big for a narrow row."""
    buyer, seller = rng.sample(accounts, 2)
    lots = rng.choice((rng.randint(1, 50), rng.randint(1, 1 << 23)))
    notional_e6 = lots * rng.randint(1, 10_000)
    return Fill(
        buyer=buyer,
        seller=seller,
        instrument=rng.choice(INSTRUMENTS),
        quantity_lots=lots,
        notional_e6=notional_e6,
        buyer_fee_e6=notional_e6 // 2_000,
        seller_fee_e6=-(notional_e6 // 10_000),
        buyer_ref=rng.randbytes(32),
        seller_ref=rng.randbytes(32),
    )


@pytest.mark.parametrize("seed", range(5))
def test_netting_of_fills_equals_netting_of_legs(seed: int) -> None:
    """The fast path and the plain one agree."""
    rng = random.Random(seed)
    fills = [random_fill(rng, list(range(2, 12))) for _ in range(500)]
    expected = net(leg for fill in fills for leg in legs_of(fill))
    assert expected == reference_net_fills(fills)
    assert expected == net_fills(fills)
    assert list(expected.positions_lots) == list(net_fills(fills).positions_lots)


@pytest.mark.parametrize("field", ["quantity_lots", "notional_e6", "buyer_fee_e6", "seller_fee_e6"])
@pytest.mark.parametrize("value", [(1 << 62) + 1, (1 << 63) - 1, 1 << 63, -(1 << 63), 1 << 200])
def test_netting_agrees_at_the_edge_of_the_machine_word(field: str, value: int) -> None:
    """Sums beyond int64 fall back to the reference and stay exact."""
    fill = replace(random_fill(random.Random(1), [2, 3]), **{field: value})
    assert net_fills([fill] * 3) == reference_net_fills([fill] * 3)


def test_netting_agrees_on_many_cells() -> None:
    """Far more cells than the compiled table begins with."""
    rng = random.Random(9)
    fills = [random_fill(rng, [0, 1, *range(2, 3_000), (1 << 32) - 1]) for _ in range(5_000)]
    assert net_fills(fills) == reference_net_fills(fills)


def random_requests(rng: random.Random, state: LedgerState) -> list[ChainRequest]:
    """Return up to 8 requests that continue the queue: deposits to old and new accounts, withdrawals, keys."""
    requests = []
    for index in range(state.request_done + 1, state.request_done + 1 + rng.randint(0, 8)):
        kind = rng.choice((RequestKind.DEPOSIT, RequestKind.DEPOSIT, RequestKind.WITHDRAW, RequestKind.SET_KEY))
        known = [account for account in state.accounts if account >= 2]
        account = rng.randint(2, 30) if kind is RequestKind.DEPOSIT or not known else rng.choice(known)
        kind = kind if known else RequestKind.DEPOSIT
        amount_e6 = 0 if kind is RequestKind.SET_KEY else rng.randint(1, 10**9)
        requests.append(
            ChainRequest(index=index, kind=kind, account=account, amount_e6=amount_e6, owner=bytes([account]) * 20)
        )
    return requests


def random_approvals(rng: random.Random, state: LedgerState, requests: list[ChainRequest]) -> list[int]:
    """Return an approval per withdrawal, in order, that the collateral at its place covers."""
    approvals_e6: list[int] = []
    collateral_e6 = state.collateral_e6
    for request in requests:
        if request.kind is RequestKind.DEPOSIT:
            collateral_e6 += request.amount_e6
        elif request.kind is RequestKind.WITHDRAW:
            approvals_e6.append(rng.randint(0, min(request.amount_e6, collateral_e6)))
            collateral_e6 -= approvals_e6[-1]
    return approvals_e6


def random_input(rng: random.Random, state: LedgerState) -> BatchInput:
    """Return an input that the ledger accepts."""
    requests = random_requests(rng, state)
    accounts = [account for account in state.accounts if account >= 2]
    fills = [random_fill(rng, accounts) for _ in range(rng.randint(0, 60))] if len(accounts) >= 2 else []
    return BatchInput(
        seq=state.seq + 1,
        match_from_s=state.last_match_to_s,
        match_to_s=state.last_match_to_s + rng.randint(0, 5),
        fills=fills,
        order_fills=order_fills_of(fills),
        requests=requests,
        approvals_e6=random_approvals(rng, state, requests),
        request_up_to=state.request_done + len(requests),
        fee_e6=sum(fill.buyer_fee_e6 + fill.seller_fee_e6 for fill in fills),
    )


@pytest.mark.parametrize("seed", range(6))
def test_ledger_rebuilt_from_posted_bytes_equals_the_builder(seed: int) -> None:
    """Replaying header, data and requests alone reaches the same root; lots and cash balance after each batch."""
    rng = random.Random(seed)
    builder, watcher = LedgerState(), LedgerState(ReferenceTree())
    for _ in range(60):
        batch_input = random_input(rng, builder)
        batch = build_batch(builder, batch_input)
        data = decode_batch(batch.data, batch.withdraws)
        watcher.commit(apply_batch(watcher, batch.header, data, batch_input.requests))
        builder.check()
        assert batch.new_root == builder.root == watcher.root
        assert builder.to_bytes() == watcher.to_bytes()
