"""`python -m tests.differential.codec_run --batches N --seed S --log FILE`: the codec in Python and in Solidity.

Each batch is drawn from its own seed, encoded in Python and read by the contract's libraries in revm: same accounts,
cash and cells. Of damaged copies and copies with one bit changed both must say the same under the same fee: no other
bytes mean the same batch, and one bit moves owners, never amounts. Every tenth batch also folds a multiproof in all
three trees, over leaves that include the first and the last one. A line of JSON per thousand batches goes to the log;
the same command goes on after the last of them. Exit 1 with the first difference.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from settlement.protocol.encoding import BadBatch, decode_batch, encode_batch
from settlement.protocol.merkle import CompiledTree, ReferenceTree, fold_multiproof
from settlement.protocol.netting import NetDeltas, Unbalanced
from tests.differential.test_batch_codec import damaged, random_deltas

__all__ = ["Difference", "check_batch", "check_tree", "main", "python_reading"]

_DEPTH: Final = 20
_LAST: Final = (1 << _DEPTH) - 1
_PER_LINE: Final = 1_000
_COPIES: Final = 2


class Difference(Exception):
    """Two readings of the same bytes."""


class Codec(Protocol):
    """The other reading; `SolidityCodec` is the one that counts."""

    def read(self, data: bytes, withdrawals: int, fee_e6: int) -> NetDeltas | None:
        """The deltas, or None where bytes or sums are refused."""

    def fold(self, leaves: Mapping[int, bytes], siblings: Sequence[bytes]) -> tuple[bytes, int]:
        """Root, and how many bytes of the siblings were used."""


def python_reading(data: bytes, withdrawals: int, fee_e6: int) -> NetDeltas | None:
    """The deltas, or None where Python refuses bytes or sums under the header's fee."""
    try:
        deltas = decode_batch(data, withdrawals).deltas
        deltas.check(fee_e6)
    except (BadBatch, Unbalanced):
        return None
    return deltas


def check_batch(codec: Codec, rng: random.Random, found: Counter[str]) -> None:
    """One random batch, damaged copies, copies with one bit changed. Raises Difference."""
    deltas = random_deltas(rng, rng.choice((0, 1, 2, 5, 20, 102)))
    approved = tuple(rng.randrange(1 << 64) for _ in range(rng.randint(0, 2)))
    data = encode_batch(deltas, approved)
    if codec.read(data, len(approved), deltas.fee_e6) != deltas:
        raise Difference(f"a batch of {len(data)} bytes is read otherwise")
    for _ in range(_COPIES):
        _check_copy(codec, damaged(rng, data), data, len(approved), found)
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        kept = _check_copy(codec, bytes(flipped), data, len(approved), found)
        if kept is not None and _amounts(kept) != _amounts(deltas):
            raise Difference("one bit changed an amount")
    found["batches"] += 1


def _check_copy(codec: Codec, copy: bytes, data: bytes, withdrawals: int, found: Counter[str]) -> NetDeltas | None:
    """What both read in the copy of a batch, which is nothing, the same bytes, or another batch."""
    fee_e6 = decode_batch(data, withdrawals).deltas.fee_e6
    ours, theirs = python_reading(copy, withdrawals, fee_e6), codec.read(copy, withdrawals, fee_e6)
    if ours != theirs:
        raise Difference(f"a copy of {len(copy)} bytes: Python {ours is not None}, Solidity {theirs is not None}")
    if ours is None:
        found["copies refused"] += 1
    elif copy == data:
        found["copies of the same bytes"] += 1
    elif decode_batch(copy, withdrawals) == decode_batch(data, withdrawals):
        raise Difference("two encodings of one batch")
    else:
        found["copies of another meaning"] += 1
    return ours


def _amounts(deltas: NetDeltas) -> tuple[list[int], list[int]]:
    return sorted(deltas.cash_e6.values()), sorted(deltas.positions_lots.values())


def check_tree(codec: Codec, rng: random.Random, found: Counter[str]) -> None:
    """Root and multiproof of random leaves with the first and the last one. Raises Difference."""
    indices = sorted({0, _LAST, *(rng.randrange(1 << _DEPTH) for _ in range(rng.randint(0, 100)))})
    leaves = {index: rng.randbytes(32) for index in indices}
    others = {rng.randrange(1 << _DEPTH): rng.randbytes(32) for _ in range(20)}
    trees = [CompiledTree(_DEPTH), ReferenceTree(_DEPTH)]
    for tree in trees:
        tree.set_leaves(others | leaves)
    proofs = [tree.multiproof(indices) for tree in trees]
    root, used = codec.fold(leaves, proofs[0])
    if {trees[0].root, trees[1].root, fold_multiproof(_DEPTH, leaves, proofs[1])} != {root}:
        raise Difference(f"roots of {len(indices)} leaves differ")
    if proofs[0] != proofs[1] or used != 32 * len(proofs[0]):
        raise Difference(f"siblings of {len(indices)} leaves differ")
    found["multiproofs"] += 1


def _run(codec: Codec, batches: int, seed: int, log: Path | None) -> Counter[str]:
    """From the first batch behind the log on."""
    found: Counter[str] = Counter()
    begun = time.monotonic()
    for line in log.read_text().splitlines() if log and log.exists() else ():
        row = json.loads(line)
        if row["seed"] == seed:
            found = Counter(row["found"])
    for number in range(found["batches"], batches):
        rng = random.Random(f"{seed}/{number}")
        try:
            check_batch(codec, rng, found)
            if number % 10 == 0:
                check_tree(codec, rng, found)
        except Difference as error:
            sys.exit(f"seed {seed}, batch {number}: {error}")
        if (number + 1) % _PER_LINE == 0:
            _note(log, {"seed": seed, "seconds": round(time.monotonic() - begun), "found": dict(found)})
    return found


def _note(log: Path | None, row: dict[str, Any]) -> None:
    sys.stdout.write(f"{row['found']['batches']:,} batches, {row['seconds']} s\n")
    sys.stdout.flush()
    if log:
        with log.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


def main() -> None:
    """Run and print the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path)
    asked = parser.parse_args()
    from tests.differential.solidity_codec import SolidityCodec, compiled_probe  # noqa: PLC0415 - revm is a judge's

    with tempfile.TemporaryDirectory(prefix="codec-") as folder:
        try:
            code = compiled_probe(Path(folder))
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"codec: the probe was not compiled: {error}")
    found = _run(SolidityCodec(code), asked.batches, asked.seed, asked.log)
    if not found["copies refused"] or not found["copies of another meaning"] or not found["multiproofs"]:
        sys.exit(f"codec: too little was drawn to show anything: {dict(found)}")
    sys.stdout.write("codec: " + ", ".join(f"{count:,} {name}" for name, count in found.items()) + ", no difference\n")


if __name__ == "__main__":
    main()
