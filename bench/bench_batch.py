"""S4: netting, state tree and encoding of one batch of 10,000 fills over 100 accounts and 10 instruments.

Measured per round: fills -> net deltas -> canonical data -> transition -> leaves and root. The fills exist before,
the orders tree is measured on its own because it grows with orders, not with cells. `SIZE=small` takes 1,000 fills.
"""

import os
import random
import time
from collections.abc import Callable

import pytest

from bench.fills import ACCOUNTS, INSTRUMENTS, drawn_fill
from settlement.protocol.encoding import BatchData, Header, encode_batch
from settlement.protocol.keccak import COMPILED, keccak256
from settlement.protocol.ledger import Effect, LedgerState
from settlement.protocol.netting import Fill, NetDeltas, net_fills, order_fills_of, reference_net_fills
from settlement.protocol.orders import orders_root
from settlement.protocol.state_tree import Account
from settlement.protocol.transition import apply_batch

FILL_COUNT = 1_000 if os.environ.get("SIZE") == "small" else 10_000
TARGET_MS = 5.0
SEED = 4


def make_fills() -> list[Fill]:
    """Return seeded fills in which a few accounts trade more than the others."""
    rng = random.Random(SEED)
    weights = [1 + 3 * (number % 10 == 0) for number in range(len(ACCOUNTS))]
    fills = []
    while len(fills) < FILL_COUNT:
        buyer, seller = rng.choices(ACCOUNTS, weights, k=2)
        if buyer == seller:
            continue
        fills.append(drawn_fill(rng, buyer, seller))
    return fills


def make_ledger() -> LedgerState:
    """Return a ledger in which every account has cash and a position in each instrument."""
    state = LedgerState()
    accounts = {}
    for number in ACCOUNTS:
        lots = 1_000 if number % 2 else -1_000
        positions = dict.fromkeys(INSTRUMENTS, (lots, 0))
        accounts[number] = Account(number.to_bytes(20, "big"), 10**12, positions)
    state.commit(Effect(accounts=accounts, collateral_e6=len(accounts) * 10**12, request_done=100, last_match_to_s=10))
    return state


def settle(state: LedgerState, fills: list[Fill], netting: Callable[[list[Fill]], NetDeltas]) -> tuple[bytes, bytes]:
    """Net, encode and apply `fills` to `state`; return data and new root."""
    deltas = netting(fills)
    data = encode_batch(deltas, ())
    header = Header(request_up_to=100, match_from_s=10, match_to_s=10, fee_e6=deltas.fee_e6)
    return data, state.commit(apply_batch(state, header, BatchData(deltas, ()), ()))


def timed_ms(work: Callable[[], object]) -> float:
    """Return the duration of one call in milliseconds."""
    start = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start) / 1e6


def test_netting_tree_and_encoding(benchmark) -> None:
    """S4: median time of a batch; the reference is the same work with plain Python netting."""
    fills, snapshot = make_fills(), make_ledger().to_bytes()
    state = make_ledger()
    reference_state = make_ledger()
    reference_ms = sorted(timed_ms(lambda: settle(reference_state, fills, reference_net_fills)) for _ in range(9))[4]
    benchmark.pedantic(settle, args=(state, fills, net_fills), rounds=60, warmup_rounds=5)
    value_ms = benchmark.stats.stats.median * 1e3
    data, root = settle(LedgerState.from_bytes(snapshot), fills, net_fills)
    benchmark.extra_info.update(
        goal="S4",
        value=round(value_ms, 3),
        unit="ms per batch",
        target=TARGET_MS,
        met=value_ms <= TARGET_MS,
        result_hash=keccak256(data + root).hex(),
        reference=round(reference_ms, 3),
        ratio=round(reference_ms / value_ms, 2),
        fills=FILL_COUNT,
        cells=len(net_fills(fills).positions_lots),
        data_bytes=len(data),
        compiled_keccak=COMPILED,
    )


@pytest.mark.parametrize("orders_per_fill", [2])
def test_orders_tree(benchmark, orders_per_fill: int) -> None:
    """The worst case of the orders tree: every fill has two orders of its own."""
    rows = order_fills_of(make_fills())
    root = benchmark.pedantic(orders_root, args=(rows,), rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(orders=len(rows), orders_per_fill=orders_per_fill, result_hash=root.hex())
