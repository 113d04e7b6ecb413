"""`python -m tests.fuzz.canaries`: suite, differential and fuzz run must each find every deliberate defect.

A tool passes when it fails for the right reason: pytest by failed tests (not by an error before them), the fuzz run
with a short case in a file, which fails again on the defective book and not on the true one.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.sanitizers.build import ROOT, compile_planted, compile_sanitized

__all__ = ["main"]

DEFECTS = ("demote-maker", "fok-per-level", "stale-cancel")
SUITE = "tests/unit/matching_core"
DIFFERENTIAL = "tests/differential/test_order_book.py"
FAILED = re.compile(r"^FAILED (.+?)(?: - |$)", re.MULTILINE)
REPLAY = re.compile(r"--replay (\S+)")
MINUTES = "1"


class Missed(Exception):
    """A defect that was not found, or something else went wrong instead."""


def run(*arguments: str) -> tuple[int, str]:
    """Run a module of ours; returns the exit code and what it wrote."""
    command = [sys.executable, "-m", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def by_tests(path: str) -> Callable[[str], str]:
    """Make a check which runs tests over the defective book; it answers the first that failed."""

    def check(canary: str) -> str:
        arguments = ("-q", "-x", "-p", "tests.fuzz.canary_plugin", "--core-canary", canary, path)
        code, text = run("pytest", *arguments)
        failed = FAILED.search(text)
        if code != 1 or failed is None:
            raise Missed(f"pytest ended with {code}:\n{text[-3000:]}")
        return failed[1]

    return check


def by_fuzz(canary: str) -> str:
    """Let the fuzz run find it; answers the length of the minimized case."""
    folder = ROOT / "build" / "fuzz" / f"canary-{canary}"
    arguments = ("--minutes", MINUTES, "--jobs", "1", "--divergences-max", "1", "--folder", str(folder))
    code, text = run("tests.fuzz", *arguments, "--canary", canary)
    found = REPLAY.search(text)
    if code != 1 or found is None:
        raise Missed(f"the fuzz run ended with {code}:\n{text[-3000:]}")
    path = Path(found[1])
    again, text = run("tests.fuzz", "--replay", str(path), "--canary", canary)
    if again != 1:
        raise Missed(f"the replay ended with {again}:\n{text[-3000:]}")
    whole, text = run("tests.fuzz", "--replay", str(path))
    if whole != 0:
        raise Missed(f"the true book fails too:\n{text[-3000:]}")
    return f"{len(json.loads(path.read_text())['steps'])} calls, replayed"


CHECKS: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "suite": (by_tests(SUITE), DEFECTS),
    "differential": (by_tests(DIFFERENTIAL), DEFECTS),
    "fuzz": (by_fuzz, (*DEFECTS, "wild-read")),
}


def try_one(trial: tuple[str, str]) -> str:
    """Let one tool look for one defect; says what it found."""
    tool, canary = trial
    try:
        return f"caught: {CHECKS[tool][0](canary)}"
    except Missed as reason:
        return f"MISSED: {reason}"


def main() -> int:
    """Try every defect on every tool; 1 when one was missed."""
    # Once, before several runs at a time would.
    compile_sanitized()
    compile_planted()
    trials = [(tool, canary) for tool, (_, canaries) in CHECKS.items() for canary in canaries]
    missed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (tool, canary), found in zip(trials, pool.map(try_one, trials), strict=True):
            missed += found.startswith("MISSED")
            sys.stdout.write(f"core canary {canary:<13} {tool:<12} {found}\n")
            sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
