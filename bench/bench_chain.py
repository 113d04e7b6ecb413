"""S1: gas per fill of one posted batch: 10,000 fills over 100 accounts and 10 instruments, on the embedded chain.

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

import pytest

from bench.fills import ACCOUNTS, drawn_fill
from settlement.onchain.contract import PostCall, encode_post
from settlement.onchain.deploy import Deployment, deploy_demo
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.rpc import RpcChain
from settlement.onchain.wallet import Wallet
from settlement.protocol.encoding import Header, encode_batch
from settlement.protocol.keccak import keccak256
from settlement.protocol.netting import Fill, NetDeltas, net_fills

ROOT = Path(__file__).resolve().parents[1]
FILLS = 10_000
MINIMUM_CELLS = 980
TARGET_GAS_PER_FILL = 23.0
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


def post_two(chain: RpcChain) -> tuple[Deployment, int, int]:
    """Deploy, post a small batch, then the measured one; return its gas and the bytes of its calldata."""
    deployment = deploy_demo(
        chain, account_key(SEED, DEPLOYER_INDEX), account_address(account_key(SEED, OPERATOR_INDEX))
    )
    operator = Wallet(chain, account_key(SEED, OPERATOR_INDEX))
    operator.send(deployment.settlement, calldata(chain, 1, net_fills(make_fills(100, SEED))))
    measured = calldata(chain, 2, net_fills(make_fills(FILLS, SEED)))
    return deployment, operator.send(deployment.settlement, measured).gas_used, len(measured)


def test_gas_per_fill(benchmark, chain: RpcChain) -> None:
    """S1: receipt's gas of the post over its fills; the reference is two verified signatures per trade."""
    deltas = net_fills(make_fills(FILLS, SEED))
    cells = len(deltas.positions_lots)
    assert cells >= MINIMUM_CELLS
    _, gas, calldata_bytes = benchmark.pedantic(post_two, args=(chain,), rounds=1)
    value = gas / FILLS
    benchmark.extra_info.update(
        goal="S1",
        value=round(value, 3),
        unit="gas per fill",
        target=TARGET_GAS_PER_FILL,
        met=value <= TARGET_GAS_PER_FILL,
        result_hash=keccak256(encode_batch(deltas, ())).hex(),
        reference=SIGNATURES_GAS_PER_FILL,
        ratio=round(SIGNATURES_GAS_PER_FILL / value, 1),
        fills=FILLS,
        cells=cells,
        gas=gas,
        calldata_bytes=calldata_bytes,
        node="py-evm, Prague",
    )
