"""The compiled engine against its twin over as many random commands as asked: events of each, dumps on the way.

python -m tests.differential.compiled_engine_run --commands 1000000 --seed 1
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable

from exchange.engine.apply import apply
from exchange.engine.compiled_state import CompiledState
from exchange.engine.config import EngineConfig
from exchange.engine.snapshot import dump
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.differential.engine_commands import FastStream

__all__ = ["Difference", "compare"]

CONFIG = EngineConfig(closed_orders_max=2_000, batch_accounts_max=30, open_orders_max=200)


class Difference(AssertionError):
    """The two engines gave different events or states."""


def compare(
    seed: int, commands: int, *, every: int = 50_000, progress: Callable[[str], object] | None = None
) -> tuple[str, Counter[str]]:
    """Apply one stream to both; returns the common state hash and how many events of each kind there were."""
    twin, rows = State(OrderBook, CONFIG), CompiledState(OrderBook, CONFIG)
    stream, counts = FastStream(seed), Counter[str]()
    todo = list(stream.opening())
    for number in range(commands):
        command, now_ns = todo[number] if number < len(todo) else stream.next()
        expected = apply(twin, command, now_ns)
        found = apply(rows, command, now_ns)
        if found != expected:
            raise Difference(f"seed {seed}, command {number}: {command}\ntwin {expected}\nrows {found}")
        counts.update(type(event).__name__ for event in expected)
        if number % every == 0:
            if dump(twin) != dump(rows):
                raise Difference(f"seed {seed}: states differ after command {number}")
            if progress is not None:
                progress(f"{number} commands equal\n")
    if state_hash(twin) != state_hash(rows):
        raise Difference(f"seed {seed}: state hashes differ")
    return state_hash(rows).hex(), counts


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    digest, counts = compare(given.seed, given.commands, progress=sys.stderr.write)
    rows = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    sys.stdout.write(f"{given.commands} commands of seed {given.seed}: equal, state {digest}\n{rows}\n")


if __name__ == "__main__":
    _main()
