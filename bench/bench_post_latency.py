"""S-post: from the last fill of a batch to its inclusion, on anvil, through the production builder, outbox and poster.

Measured per batch: fills -> net deltas, transition, root, orders, data -> durable outbox on disk -> gas estimate,
signature, send -> receipt read back and stored. anvil mines at once, so the wait for an L2's block (2 s) and for the
posting policy (`batch_interval_s`) come on top. Skips where anvil is not installed; STRICT=1 fails instead.
"""

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bench.fills import drawn_fill
from settlement.onchain.claims import NEW_ACCOUNT, mint_and_deposit
from settlement.onchain.deploy import Deployment, DeploymentSettings, deploy_demo
from settlement.onchain.funded_accounts import (
    DEPLOYER_INDEX,
    FUNDED_ACCOUNTS,
    OPERATOR_INDEX,
    account_address,
    account_key,
)
from settlement.onchain.outbox import BatchState, BuiltBatch, Outbox
from settlement.onchain.poster import Poster
from settlement.onchain.requests import RequestReader
from settlement.onchain.rpc import RpcChain, RpcSettings
from settlement.protocol.batch import BatchInput, build_batch
from settlement.protocol.ledger import LedgerState
from settlement.protocol.netting import Fill, order_fills_of
from settlement.protocol.transition import ChainRequest

MODULES = Path(__file__).resolve().parents[1] / "settlement/contracts/node_modules"
ANVIL = MODULES / "@foundry-rs/anvil-linux-amd64/bin/anvil"
FILL_COUNT = 100 if os.environ.get("SIZE") == "small" else 10_000
BATCHES = 5 if os.environ.get("SIZE") == "small" else 20
ACCOUNTS = range(2, 12) if os.environ.get("SIZE") == "small" else range(2, 62)
DEPOSIT_E6 = 1_000 * 10**6
SEED = 1
LIMIT_S = 60
OPERATOR_KEY, DEPLOYER_KEY = account_key(SEED, OPERATOR_INDEX), account_key(SEED, DEPLOYER_INDEX)


@pytest.fixture
def chain() -> Iterator[RpcChain]:
    """Anvil in OP mode, mining at once, with ether for our keys."""
    binary = Path(os.environ.get("OFFBOOK_ANVIL", ANVIL))
    if not binary.exists():
        (pytest.fail if os.environ.get("STRICT") == "1" else pytest.skip)("anvil is not installed: run `npm ci`")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([str(binary), "-p", str(port), "-q", "-n", "optimism", "--slots-in-an-epoch", "2"])
    with contextlib.ExitStack() as ends:
        ends.callback(process.wait)
        ends.callback(process.kill)
        opened = RpcChain(f"http://127.0.0.1:{port}", RpcSettings(attempts=8))
        opened.chain_id()
        for index in range(FUNDED_ACCOUNTS):
            address = "0x" + account_address(account_key(SEED, index)).hex()
            opened._request("anvil_setBalance", [address, hex(10**24)])
        yield opened


def make_fills(rng: random.Random) -> list[Fill]:
    """Return seeded fills between any two accounts."""
    fills: list[Fill] = []
    while len(fills) < FILL_COUNT:
        buyer, seller = rng.sample(ACCOUNTS, 2)
        fills.append(drawn_fill(rng, buyer, seller))
    return fills


def deposits(chain: RpcChain, deployment: Deployment) -> list[ChainRequest]:
    """Open the accounts; returns what stands in the queue."""
    for _ in ACCOUNTS:
        mint_and_deposit(chain, deployment, DEPLOYER_KEY, account_key(SEED, 0), DEPOSIT_E6, NEW_ACCOUNT)
    reader, taken = RequestReader(chain, deployment), list[ChainRequest]()
    # A look reads a bounded number of them.
    while len(taken) < len(ACCOUNTS):
        taken += [
            ChainRequest(index=one.index, kind=one.kind, account=one.account, amount_e6=one.amount_e6, owner=one.owner)
            for one in reader.poll(len(taken)).confirmed
        ]
    return taken


def build(ledger: LedgerState, fills: list[Fill], now_s: int, taken: Sequence[ChainRequest] = ()) -> BuiltBatch:
    """Return the batch of these fills and deposits, and move the ledger past it."""
    given = BatchInput(
        seq=ledger.seq + 1,
        match_from_s=now_s,
        match_to_s=now_s,
        fills=fills,
        order_fills=order_fills_of(fills),
        requests=taken,
        approvals_e6=(),
        request_up_to=ledger.request_done + len(taken),
        fee_e6=sum(fill.buyer_fee_e6 + fill.seller_fee_e6 for fill in fills),
    )
    batch = build_batch(ledger, given)
    return BuiltBatch.of(batch, {"fills": len(fills), "legs": batch.legs})


def post_ms(
    chain: RpcChain,
    poster: Poster,
    outbox: Outbox,
    ledger: LedgerState,
    fills: list[Fill],
    taken: Sequence[ChainRequest] = (),
) -> float:
    """Milliseconds from these fills to their batch in a block, by our own rows."""
    head = chain.block("latest")
    assert head is not None
    started_ns = time.perf_counter_ns()
    batch = build(ledger, fills, head.timestamp_s, taken)
    outbox.add(batch, time.time_ns() // 1_000_000)
    while (row := outbox.batch(batch.seq)) is None or row.state < BatchState.INCLUDED:
        status = poster.step()
        assert status.state in ("idle", "waiting"), status.detail
        assert time.perf_counter_ns() - started_ns < LIMIT_S * 10**9, status
    return (time.perf_counter_ns() - started_ns) / 1e6


def test_from_the_last_fill_to_inclusion(benchmark: Any, chain: RpcChain, tmp_path: Path) -> None:
    """S-post: median of the batches; the slowest and the share of building stand beside it."""
    settings = DeploymentSettings(finality_window_s=3_600)
    deployment = deploy_demo(chain, DEPLOYER_KEY, account_address(OPERATOR_KEY), settings)
    outbox, ledger, rng = Outbox(tmp_path / "outbox.sqlite"), LedgerState(), random.Random(SEED)
    poster = Poster(chain, deployment, outbox, OPERATOR_KEY)
    drawn = [make_fills(rng) for _ in range(BATCHES)]
    taken = deposits(chain, deployment)
    post_ms(chain, poster, outbox, ledger, [], taken)
    built_ms = _build_ms(drawn, taken)

    def post_all() -> list[float]:
        return [post_ms(chain, poster, outbox, ledger, fills) for fills in drawn]

    found_ms = benchmark.pedantic(post_all, rounds=1)
    rows = outbox.batches(limit=BATCHES + 1)
    assert [row.seq for row in rows] == list(range(BATCHES + 1, 0, -1))
    benchmark.extra_info.update(
        goal="S-post",
        value=round(median(found_ms), 1),
        unit="ms from last fill to inclusion",
        target=None,
        met=False,
        result_hash=ledger.root.hex(),
        slowest_ms=round(max(found_ms), 1),
        building_ms=round(median(built_ms), 1),
        batches=BATCHES,
        fills=FILL_COUNT,
        gas=max(row.gas_used or 0 for row in rows),
        node="anvil, Optimism, mining at once",
    )
    outbox.close()


def _build_ms(drawn: list[list[Fill]], taken: Sequence[ChainRequest]) -> list[float]:
    """Milliseconds of building each batch alone, on a ledger of its own."""
    ledger, found_ms = LedgerState(), []
    build(ledger, [], 1, taken)
    for fills in drawn:
        started_ns = time.perf_counter_ns()
        build(ledger, fills, 1)
        found_ms.append((time.perf_counter_ns() - started_ns) / 1e6)
    return found_ms
