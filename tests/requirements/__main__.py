"""`python -m tests.requirements`: the table of P1 to P60, with the test that shows each or why none does."""

import sys

from tests.requirements.coverage import ELSEWHERE, MISSING, NUMBERS, PARTLY, here


def main() -> int:
    """Print one row per requirement and the counts; 1 while one is missing."""
    tests = here()
    for number in NUMBERS:
        shown = tests.get(number) or ([ELSEWHERE[number]] if number in ELSEWHERE else [])
        state = "missing" if not shown else "partly" if number in PARTLY else "shown"
        text = MISSING.get(number) or "; ".join(shown) + (f" ({PARTLY[number]})" if number in PARTLY else "")
        sys.stdout.write(f"P{number:<3} {state:8} {text}\n")
    whole = len(NUMBERS) - len(MISSING) - len(PARTLY)
    sys.stdout.write(f"{whole} shown, {len(PARTLY)} partly, {len(MISSING)} missing of {len(NUMBERS)}\n")
    return 1 if MISSING else 0


if __name__ == "__main__":
    sys.exit(main())
