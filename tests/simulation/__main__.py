"""`python -m tests.simulation --seed N`: the production exchange in one seeded loop, with crashes.

Exit 0 when every invariant held, 1 when one was caught broken; the last line is the command that repeats the run.
"""

import argparse
import sys
import time
import traceback
from dataclasses import dataclass

from tests.simulation.canaries import CANARIES, defect
from tests.simulation.history import InvariantBroken, Outcome
from tests.simulation.world import World

__all__ = ["DEFAULT_STEPS", "Result", "main", "simulate"]

DEFAULT_STEPS = 15_000


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: `caught` names the invariant that broke, empty when all held."""

    caught: str
    detail: str
    counts: dict[str, int]
    trace_hash: str


def simulate(seed: int, steps: int, canary: str | None = None) -> Result:
    """Run one world. Whatever production raises is a broken promise of that name."""
    world = World(seed)
    caught = detail = ""
    with defect(canary):
        try:
            world.run(steps)
        except InvariantBroken as broken:
            caught, detail = broken.name, str(broken).removeprefix(f"{broken.name}: ")
        except Exception as error:  # noqa: BLE001 - any production error ends the run and is reported
            caught, detail = type(error).__name__, traceback.format_exc()
    return Result(caught, detail, _counts(world), world.loop.trace_hash)


def _counts(world: World) -> dict[str, int]:
    auditor, exchange = world.auditor, world.exchange
    outcomes = auditor.operations
    return {
        "steps": world.loop.steps,
        "commands": auditor.model.sequence,
        "fills": auditor.model.trade_count,
        "batches": len(auditor.model.batches),
        "posted": len(world.chain.posted()),
        "crashes": world.crashes,
        "restarts": exchange.starts,
        "settler_kills": world.settler_kills,
        "snapshots": exchange.snapshots,
        "segments_released": exchange.released_segments,
        "ok": outcomes[Outcome.OK],
        "shed": exchange.shed,
        "unanswered": outcomes[Outcome.INFO],
        "found": outcomes[Outcome.FOUND],
        "absent": outcomes[Outcome.ABSENT],
        "replayed": auditor.replayed_commands,
    }


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, print; 0 when every invariant held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--canary", choices=sorted(CANARIES))
    options = parser.parse_args(arguments)
    sys.stdout.write(f"seed {options.seed}\n")
    sys.stdout.flush()
    started_s = time.monotonic()
    result = simulate(options.seed, options.steps, options.canary)
    for name, count in result.counts.items():
        sys.stdout.write(f"{name:>18} {count}\n")
    sys.stdout.write(f"{'trace hash':>18} {result.trace_hash}\n{'seconds':>18} {time.monotonic() - started_s:.1f}\n")
    if result.caught:
        sys.stdout.write(f"caught by invariant {result.caught}: {result.detail}\n")
    else:
        sys.stdout.write("every invariant held\n")
    canary = f" --canary {options.canary}" if options.canary else ""
    sys.stdout.write(f"repeat: python -m tests.simulation --seed {options.seed} --steps {options.steps}{canary}\n")
    return 1 if result.caught else 0


if __name__ == "__main__":
    sys.exit(main())
