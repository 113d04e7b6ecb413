"""A finding: the case that failed, made short, kept in a file with the command that replays it."""

import json
from dataclasses import dataclass
from pathlib import Path

from matching_core import ReferenceOrderBook
from tests.fuzz.attempts import Outcome, attempt
from tests.fuzz.cases import Case
from tests.fuzz.commands import commands_of, describe
from tests.fuzz.minimizer import minimize
from tests.fuzz.steps import Step, steps_from_json, steps_to_json
from tests.fuzz.twins import Diverged, Twins, run_steps

__all__ = ["Finding", "find_again", "lines_of", "load", "save"]

MINIMIZE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """Steps on fresh books with `options` after which the core fails as `words` say."""

    seed: int
    number: int
    canary: str | None
    options: dict[str, int]
    steps: list[Step]
    words: str
    report: str


def steps_of(seed: int, number: int) -> tuple[dict[str, int], list[Step]]:
    """Draw a case again with the reference in both places: the compiled book may end the process."""
    case = Case(seed, number)
    twins = Twins(case.options, compiled=ReferenceOrderBook)
    steps = []
    for step in case.steps():
        steps.append(step)
        try:
            answered = twins.apply(step)
        except Diverged:
            break
        if step.call == "submit" and isinstance(answered, bytes):
            case.observe(answered)
    return case.options, steps


def find_again(seed: int, number: int, canary: str | None, *, seconds: float = MINIMIZE_SECONDS) -> Finding | None:
    """Draw the case again, run it apart, and make it short; None when it does not fail any more."""
    options, steps = steps_of(seed, number)

    def run(tried: list[Step]) -> Outcome:
        return attempt(lambda: run_steps(options, tried))

    if not run(steps).words:
        return None
    steps = minimize(steps, lambda tried: bool(run(tried).words), seconds=seconds)
    outcome = run(steps)
    return Finding(seed, number, canary, options, steps, outcome.words, outcome.report)


def save(finding: Finding, folder: Path) -> Path:
    """Write a finding and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"divergence-{finding.seed}-{finding.number}.json"
    row = {**{name: getattr(finding, name) for name in Finding.__slots__}, "steps": steps_to_json(finding.steps)}
    path.write_text(json.dumps(row, indent=1) + "\n")
    return path


def load(path: Path) -> Finding:
    """Read a finding back."""
    row = json.loads(path.read_text())
    return Finding(**{**row, "steps": steps_from_json(row["steps"])})


def lines_of(steps: list[Step]) -> list[str]:
    """One line per call, batches as their commands."""
    lines = []
    for step in steps:
        if step.call == "submit":
            lines += [describe(command) for command in commands_of(step.arguments["commands"])]
        else:
            lines.append(f"{step.call} {' '.join(f'{key} {value}' for key, value in step.arguments.items())}")
    return lines
