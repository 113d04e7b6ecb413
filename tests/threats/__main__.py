"""`python -m tests.threats`: every threat with the tests that show its defence, and what they do not show."""

import sys

from tests.threats.rows import OPEN, ROWS


def main() -> int:
    """Print the table and the counts; 1 while a threat has no test."""
    for number, (threat, tests) in enumerate(ROWS.items(), 1):
        sys.stdout.write(f"{number:>2} {threat}\n")
        for test in tests:
            sys.stdout.write(f"     {test}\n")
        if threat in OPEN:
            sys.stdout.write(f"     open: {OPEN[threat]}\n")
    bare = sum(not tests for tests in ROWS.values())
    whole = len(ROWS) - len(OPEN)
    sys.stdout.write(f"{whole} shown, {len(OPEN) - bare} partly, {bare} without a test, of {len(ROWS)}\n")
    return 1 if bare else 0


if __name__ == "__main__":
    sys.exit(main())
