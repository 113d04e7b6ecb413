"""S1 to S3: gas and compressed bytes per fill of one posted batch, 100 accounts x 10 instruments, embedded chain.

The receipt of the `post` transaction alone counts; it is the second batch of a contract that has posted before. The
work is seeded and the same at every SIZE, because gas does not depend on the machine. py-evm applies the rules of
Prague, calldata floor of EIP-7623 included; what an L2 charges for its own data is not part of the figure.
"""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.fills import ACCOUNTS, drawn_fill
from bench.harness import record_goal
from settlement.onchain.contract import PostCall, encode_post
from settlement.onchain.deploy import deploy_demo
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.l1_fee import compressed_size_e6
from settlement.onchain.rpc import RpcChain
from settlement.onchain.wallet import Wallet
from settlement.protocol.encoding import Header, encode_batch
from settlement.protocol.keccak import keccak256
from settlement.protocol.netting import Fill, NetDeltas, net_fills

ROOT = Path(__file__).resolve().parents[1]
MINIMUM_CELLS = {100: 150, 1_000: 700, 10_000: 980, 100_000: 990}
SIGNATURES_GAS_PER_FILL = 67_800
SEED = 1


def make_fills(count: int, seed: int) -> list[Fill]:
    """Return seeded fills; every tenth account trades four times as much as the others."""
    rng = random.Random(seed)
    weights = [4 if number % 10 == 0 else 1 for number in range(len(ACCOUNTS))]
    fills: list[Fill] = []
    while len(fills) < count:
        buyer, seller = rng.choices(ACCOUNTS, weights, k=2)
        if buyer != seller:
            fills.append(drawn_fill(rng, buyer, seller, refs=False))
    return fills


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[RpcChain]:
    """Serve an embedded chain in a process of its own."""
    command = [sys.executable, "-m", "settlement.onchain.local_chain", "--data", str(tmp_path), "--port", "0"]
    process = subprocess.Popen([*command, "--seed", str(SEED)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield RpcChain(process.stdout.readline().split()[1])
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    process.stdout.close()


def calldata(chain: RpcChain, seq: int, deltas: NetDeltas) -> bytes:
    """Return the `post` of a batch; roots are random words, as real ones are."""
    block = chain.block("latest")
    assert block is not None
    header = Header(request_up_to=0, match_from_s=block.timestamp_s, match_to_s=block.timestamp_s, fee_e6=deltas.fee_e6)
    data = encode_batch(deltas, ())
    root, orders = keccak256(b"root" + data), keccak256(b"orders" + data)
    return encode_post(PostCall(seq=seq, new_root=root, orders_root=orders, h=header.pack(), data=data))


def post_two(chain: RpcChain, count: int) -> tuple[int, bytes]:
    """Deploy, post a small batch, then the measured one; return its gas and its calldata."""
    deployment = deploy_demo(
        chain, account_key(SEED, DEPLOYER_INDEX), account_address(account_key(SEED, OPERATOR_INDEX))
    )
    operator = Wallet(chain, account_key(SEED, OPERATOR_INDEX))
    operator.send(deployment.settlement, calldata(chain, 1, net_fills(make_fills(100, SEED))))
    measured = calldata(chain, 2, net_fills(make_fills(count, SEED)))
    return operator.send(deployment.settlement, measured).gas_used, measured


def measured_post(benchmark: Any, chain: RpcChain, count: int) -> dict[str, Any]:
    """Post a batch of so many fills once; what stands beside each of its figures."""
    deltas = net_fills(make_fills(count, SEED))
    cells = len(deltas.positions_lots)
    assert cells >= MINIMUM_CELLS[count]
    gas, posted = benchmark.pedantic(post_two, args=(chain, count), rounds=1)
    return {
        "result_hash": keccak256(encode_batch(deltas, ())).hex(),
        "fills": count,
        "cells": cells,
        "gas": gas,
        "calldata_bytes": len(posted),
        "compressed_bytes": round(compressed_size_e6(posted) / 1e6, 1),
        "node": "py-evm, Prague",
    }


def test_gas_per_fill(benchmark: Any, chain: RpcChain) -> None:
    """S1: receipt's gas of the post over its fills; the reference is two verified signatures per trade."""
    found = measured_post(benchmark, chain, 10_000)
    value = round(found["gas"] / 10_000, 3)
    ratio = round(SIGNATURES_GAS_PER_FILL / value, 1)
    record_goal(
        benchmark,
        goal="S1",
        value=value,
        unit="gas per fill of 10,000",
        target=23.0,
        at_least=False,
        reference=SIGNATURES_GAS_PER_FILL,
        ratio=ratio,
        **found,
    )


def test_compressed_bytes_per_fill(benchmark: Any, chain: RpcChain) -> None:
    """S2: bytes of the calldata per fill as the Fjord formula takes them to be compressed."""
    found = measured_post(benchmark, chain, 10_000)
    value = round(found["compressed_bytes"] / 10_000, 3)
    unit = "compressed bytes per fill of 10,000"
    record_goal(benchmark, goal="S2", value=value, unit=unit, target=0.45, at_least=False, **found)


def test_gas_of_a_hundred_thousand_fills(benchmark: Any, chain: RpcChain) -> None:
    """S3: as S1, ten times the fills in as many cells."""
    found = measured_post(benchmark, chain, 100_000)
    value = round(found["gas"] / 100_000, 3)
    unit = "gas per fill of 100,000"
    record_goal(benchmark, goal="S3", value=value, unit=unit, target=2.5, at_least=False, **found)


@pytest.mark.parametrize("count", [100, 1_000])
def test_gas_of_few_fills(benchmark: Any, chain: RpcChain, count: int) -> None:
    """S1-few: for information: what a fill costs where little can be netted."""
    found = measured_post(benchmark, chain, count)
    value = round(found["gas"] / count, 1)
    benchmark.extra_info.update(goal="S1-few", value=value, unit=f"gas per fill of {count:,}", target=None, met=False)
    benchmark.extra_info.update(found)
