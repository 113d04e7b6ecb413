"""S1 to S3: gas and compressed bytes per fill of one posted batch, 100 accounts x 10 instruments, embedded chain.

The receipt of the `post` transaction alone counts, on a contract that has posted before. Batches are real: the ledger
of the deposits takes each, and the light verifier rebuilds every root from the chain alone before a figure counts.
The work is seeded and the same at every SIZE, because gas does not depend on the machine. py-evm applies the rules of
Prague, calldata floor of EIP-7623 included; what an L2 charges for its own data is not part of the figure.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from bench.gas_world import TRADES_A_CALL, GasWorld, embedded_chain, make_fills, per_trade_gas
from bench.harness import record_goal
from settlement.onchain.l1_fee import compressed_size_e6
from settlement.protocol.keccak import keccak256
from settlement.protocol.netting import net_fills

MINIMUM_CELLS = {100: 150, 1_000: 700, 10_000: 980, 100_000: 990}
DESIGN_TRADE_GAS = 67_800
"""settlement.md section 9: two recovered signatures, filled amounts and positions, 200 trades a call."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GasWorld]:
    """A contract with 100 accounts and the batches of their deposits behind it."""
    with embedded_chain(tmp_path_factory.mktemp("chain")) as chain:
        yield GasWorld(chain)


@pytest.fixture(scope="module")
def trade_gas(world: GasWorld) -> tuple[float, int]:
    """Gas per trade of the reference, and bytes of its call; measured once, on the same chain."""
    return per_trade_gas(world.chain)


def measured_post(benchmark: Any, world: GasWorld, count: int) -> dict[str, Any]:
    """Post a batch of so many fills once; what stands beside each of its figures."""
    fills = make_fills(count)
    found = benchmark.pedantic(world.post, args=(fills,), rounds=1)
    cells = len(net_fills(fills).positions_lots)
    assert cells >= MINIMUM_CELLS[count]
    assert world.verified()
    return {
        "result_hash": keccak256(found.batch.data).hex(),
        "root": found.batch.new_root.hex(),
        "fills": count,
        "cells": cells,
        "gas": found.gas,
        "calldata_bytes": len(found.calldata),
        "compressed_bytes": round(compressed_size_e6(found.calldata) / 1e6, 1),
        "node": "py-evm, Prague",
    }


def test_gas_per_fill(benchmark: Any, world: GasWorld, trade_gas: tuple[float, int]) -> None:
    """S1: receipt's gas of the post over its fills; the reference is a contract that verifies every trade."""
    found = measured_post(benchmark, world, 10_000)
    value = round(found["gas"] / 10_000, 3)
    record_goal(
        benchmark,
        goal="S1",
        value=value,
        unit="gas per fill of 10,000",
        target=23.0,
        at_least=False,
        reference=round(trade_gas[0]),
        ratio=round(trade_gas[0] / value, 1),
        **found,
    )


def test_compressed_bytes_per_fill(benchmark: Any, world: GasWorld) -> None:
    """S2: bytes of the calldata per fill as the Fjord formula takes them to be compressed."""
    found = measured_post(benchmark, world, 10_000)
    value = round(found["compressed_bytes"] / 10_000, 3)
    unit = "compressed bytes per fill of 10,000"
    record_goal(benchmark, goal="S2", value=value, unit=unit, target=0.45, at_least=False, **found)


def test_gas_of_a_hundred_thousand_fills(benchmark: Any, world: GasWorld) -> None:
    """S3: as S1, ten times the fills in as many cells."""
    found = measured_post(benchmark, world, 100_000)
    value = round(found["gas"] / 100_000, 3)
    unit = "gas per fill of 100,000"
    record_goal(benchmark, goal="S3", value=value, unit=unit, target=2.5, at_least=False, **found)


@pytest.mark.parametrize("count", [100, 1_000])
def test_gas_of_few_fills(benchmark: Any, world: GasWorld, count: int) -> None:
    """S1-few: for information: what a fill costs where little can be netted."""
    found = measured_post(benchmark, world, count)
    value = round(found["gas"] / count, 1)
    benchmark.extra_info.update(goal="S1-few", value=value, unit=f"gas per fill of {count:,}", target=None, met=False)
    benchmark.extra_info.update(found)


def test_gas_of_a_trade_that_is_verified(benchmark: Any, trade_gas: tuple[float, int]) -> None:
    """S-trade: what S1 is compared with: two signatures, filled amounts, two positions; within 10 % of the design's."""
    gas, calldata_bytes = benchmark.pedantic(lambda: trade_gas, rounds=1)
    benchmark.extra_info.update(
        goal="S-trade",
        value=round(gas),
        unit=f"gas per trade, {TRADES_A_CALL} a call",
        target=None,
        met=False,
        reference=DESIGN_TRADE_GAS,
        ratio=round(gas / DESIGN_TRADE_GAS, 3),
        calldata_bytes=calldata_bytes,
        node="py-evm, Prague",
    )
    assert abs(gas / DESIGN_TRADE_GAS - 1) <= 0.1
