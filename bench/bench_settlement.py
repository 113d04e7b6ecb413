"""S5 to S7: netting of a million fills, and the state tree of a million accounts, beside their plain Python twins."""

import random
from typing import Any

from bench.fills import ACCOUNTS, drawn_fill
from bench.harness import interleaved, record_goal, result_hash, sized
from settlement.protocol.encoding import encode_batch
from settlement.protocol.keccak import keccak256
from settlement.protocol.merkle import (
    CompiledTree,
    ReferenceTree,
    reference_root_of_prefix,
    root_of_prefix,
)
from settlement.protocol.netting import Fill, net_fills, reference_net_fills

FILLS = sized(small=50_000, full=1_000_000)
LEAVES = sized(small=1 << 15, full=1_000_000)
UPDATED = 100
ROUNDS = 5
SEED = 5


def make_fills() -> list[Fill]:
    """Return seeded fills between any two of 100 accounts."""
    rng = random.Random(SEED)
    return [drawn_fill(rng, *rng.sample(ACCOUNTS, 2), refs=False) for _ in range(FILLS)]


def make_leaves() -> list[bytes]:
    """Return one leaf per account."""
    return [keccak256(number.to_bytes(4, "big")) for number in range(LEAVES)]


def test_netting_of_a_million_fills(benchmark: Any) -> None:
    """S5: median of netting alone; the twin gives the same bytes of a batch."""
    fills = make_fills()
    data = encode_batch(net_fills(fills), ())
    assert data == encode_batch(reference_net_fills(fills), ())
    found = interleaved(lambda: reference_net_fills(fills), lambda: net_fills(fills), rounds=ROUNDS)
    benchmark.pedantic(net_fills, args=(fills,), rounds=1)
    record_goal(
        benchmark,
        goal="S5",
        value=round(found.subject_s * 1e3, 1),
        unit=f"ms for {FILLS:,} fills",
        target=300.0 * FILLS / 1_000_000,
        at_least=False,
        result_hash=result_hash((data,)),
        ratio=round(found.ratio, 2),
        data_bytes=len(data),
    )


def test_tree_of_a_million_leaves(benchmark: Any) -> None:
    """S6: median of a build from leaves to root."""
    leaves = make_leaves()
    root = root_of_prefix(leaves)
    assert root == reference_root_of_prefix(leaves)
    found = interleaved(
        lambda: reference_root_of_prefix(leaves), lambda: root_of_prefix(leaves), rounds=ROUNDS, warmup=0
    )
    benchmark.pedantic(root_of_prefix, args=(leaves,), rounds=1)
    record_goal(
        benchmark,
        goal="S6",
        value=round(found.subject_s, 3),
        unit=f"s for {LEAVES:,} leaves",
        target=0.5 * LEAVES / 1_000_000,
        at_least=False,
        result_hash=result_hash((root,)),
        ratio=round(found.ratio, 2),
    )


def test_a_hundred_leaves_of_a_million(benchmark: Any) -> None:
    """S7: median of replacing 100 leaves anywhere, up to the root; others in each round."""
    rng, leaves = random.Random(SEED), dict(enumerate(make_leaves()))
    trees = CompiledTree(), ReferenceTree()
    for tree in trees:
        tree.set_leaves(leaves)
    drawn = [{rng.randrange(LEAVES): rng.randbytes(32) for _ in range(UPDATED)} for _ in range(101)]
    compiled, plain = (iter(drawn) for _ in trees)
    found = interleaved(
        lambda: trees[1].set_leaves(next(plain)), lambda: trees[0].set_leaves(next(compiled)), rounds=100
    )
    assert trees[0].root == trees[1].root
    benchmark.pedantic(trees[0].set_leaves, args=(drawn[0],), rounds=1)
    record_goal(
        benchmark,
        goal="S7",
        value=round(found.subject_s * 1e3, 3),
        unit="ms for 100 leaves",
        target=0.6,
        at_least=False,
        result_hash=result_hash((trees[0].root,)),
        ratio=round(found.ratio, 2),
        leaves=LEAVES,
    )
