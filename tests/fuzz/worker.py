"""`python -m tests.fuzz.worker`: one process of the fuzz run, started by it under the sanitizers.

It may die: that is a finding, and the run starts another.
"""

import argparse
import sys
from pathlib import Path

from tests.sanitizers.substitute import require_sanitized, substitute

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Load the core under test, then serve cases, minimize one, or replay a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.worker", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", choices=("sanitized", "shipped"), default="sanitized")
    parser.add_argument("--canary")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--minimize", type=int, metavar="CASE")
    parser.add_argument("--replay", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.build == "sanitized":
        substitute()
    from tests.fuzz import duties  # noqa: PLC0415 - whatever imports the core comes after the substitution

    if options.build == "sanitized":
        require_sanitized()
    if options.canary:
        duties.plant(options.canary)
    if options.replay:
        return duties.replay(options.replay)
    if options.minimize is not None:
        return duties.minimize(options.seed, options.minimize, options.canary, options.folder)
    return duties.serve(options.seed)


if __name__ == "__main__":
    sys.exit(main())
