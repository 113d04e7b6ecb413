"""`python -m tests.fuzz --minutes N --seed S`: the compiled book against the reference on hostile input.

Runs under AddressSanitizer and UndefinedBehaviorSanitizer. Stop it with Ctrl-C; the same command goes on. Exit 0
without a divergence, 1 with one, 130 when stopped.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.fuzz.campaign import Campaign
from tests.fuzz.run_state import RunState, core_fingerprint
from tests.sanitizers.build import (
    EXTENSION,
    ROOT,
    SanitizerMissing,
    compile_planted,
    compile_sanitized,
    sanitized_environment,
)

__all__ = ["main"]

CANARIES = ("demote-maker", "fok-per-level", "stale-cancel", "wild-read")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--fresh", action="store_true", help="start at case 0 instead of where the last run stood")
    parser.add_argument("--build", choices=("sanitized", "shipped"), default="sanitized")
    parser.add_argument("--canary", choices=CANARIES, help="a deliberate defect, which must be found")
    parser.add_argument("--divergences-max", type=int, default=3, help="stop after so many")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the case a divergence was written to")
    return parser.parse_args(arguments)


def replay(options: argparse.Namespace) -> int:
    """Run one file in a worker."""
    canary = ["--canary", options.canary] if options.canary else []
    command = ["-m", "tests.fuzz.worker", "--build", options.build, "--replay", str(options.replay), *canary]
    environment = sanitized_environment() if options.build == "sanitized" else dict(os.environ)
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=False).returncode


def summary(state: RunState, canary: str | None) -> str:
    """The last lines of a run."""
    lines = [f"{name:>20} {count:,}" for name, count in state.drawn.most_common()]
    lines += [f"{name:>40} {count:,}" for name, count in state.codes.most_common()]
    lines.append(f"seed {state.seed}: {state.next_case:,} cases, {state.commands:,} commands in {state.seconds:,.0f} s")
    for place in state.divergences:
        lines.append(f"replay: python -m tests.fuzz --replay {place}{f' --canary {canary}' if canary else ''}")
    lines.append(f"{len(state.divergences)} divergences")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Build, run, print."""
    # A shell starts its background jobs deaf to the interrupt; this run promises to stop and go on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = parse(arguments)
    try:
        if options.build == "sanitized":
            compile_sanitized()
            compile_planted()
    except SanitizerMissing as missing:
        sys.stderr.write(f"fuzz: {missing}\n")
        return 1
    if options.replay:
        return replay(options)
    state_file = None if options.canary else options.folder / f"state-{options.build}-{options.seed}.json"
    core = core_fingerprint()
    state = RunState(options.seed, core)
    if state_file and not options.fresh:
        state = RunState.load(state_file, seed=options.seed, core=core)
    state.divergences.clear()
    seconds = state.seconds_left or options.minutes * 60
    begun = f"goes on at case {state.next_case:,} after {state.commands:,} commands" if state.next_case else "starts"
    core_name = EXTENSION.relative_to(ROOT) if options.build == "sanitized" else "the shipped core"
    sys.stdout.write(f"fuzz: seed {options.seed} {begun}, {seconds:.0f} s, {options.jobs} jobs, {core_name}\n")
    campaign = Campaign(
        state,
        folder=options.folder,
        jobs=options.jobs,
        build=options.build,
        canary=options.canary,
        divergences_max=options.divergences_max,
    )
    stopped = campaign.run(seconds, state_file)
    sys.stdout.write(summary(state, options.canary))
    if state.divergences:
        return 1
    if stopped:
        sys.stdout.write("stopped; the same command goes on from here\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
