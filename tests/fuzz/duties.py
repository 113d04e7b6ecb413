"""What a worker of the fuzz run does: run cases, make a failing one short, replay a file. It speaks in lines."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from matching_core.fills import COMMAND_BYTES, EVENT, CoreEvent
from tests.fuzz.attempts import attempt
from tests.fuzz.cases import Case
from tests.fuzz.commands import CODE_NAMES
from tests.fuzz.defective_books import plant
from tests.fuzz.findings import find_again, lines_of, load, save
from tests.fuzz.twins import Diverged, Twins, run_steps

__all__ = ["minimize", "plant", "replay", "run_case", "serve"]

COMPARED_EVERY = 16


def run_case(seed: int, number: int) -> dict[str, Any]:
    """Run one case on both books; counts, and the difference in words (empty when there is none)."""
    case = Case(seed, number)
    twins = Twins(case.options)
    codes: Counter[int] = Counter()
    commands, words = 0, ""
    try:
        for index, step in enumerate(case.steps()):
            answered = twins.apply(step)
            if step.call == "submit":
                commands += len(step.arguments["commands"]) // COMMAND_BYTES
                if isinstance(answered, bytes):
                    case.observe(answered)
                    codes.update(row[2] for row in EVENT.iter_unpack(answered) if row[0] != CoreEvent.DEPTH)
            if index % COMPARED_EVERY == 0:
                twins.compare()
        twins.compare()
    except Diverged as diverged:
        words = str(diverged)
    named = {CODE_NAMES.get(code, str(code)): count for code, count in codes.items()}
    return {"case": number, "commands": commands, "drawn": dict(case.drawn), "codes": named, "divergence": words}


def serve(seed: int) -> int:
    """Say that the core is loaded, then answer each case number on stdin with a line of JSON."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run_case(seed, int(line))) + "\n")
        sys.stdout.flush()
    return 0


def minimize(seed: int, number: int, canary: str | None, folder: Path) -> int:
    """Make a failing case short and write it to a file, whose path is printed; 1 when it does not fail again."""
    finding = find_again(seed, number, canary)
    if finding is None:
        return 1
    sys.stdout.write(f"{save(finding, folder)}\n")
    return 0


def replay(path: Path) -> int:
    """Print the commands of a finding and what becomes of them now; 1 when it still fails."""
    finding = load(path)
    outcome = attempt(lambda: run_steps(finding.options, finding.steps))
    sys.stdout.write(f"books with {finding.options}\n")
    sys.stdout.write("".join(f"  {line}\n" for line in lines_of(finding.steps)))
    sys.stdout.write(f"{outcome.report}then: {outcome.words or 'both books agree'}\n")
    return 1 if outcome.words else 0
