"""`MUTATIONS.md`: each defence that was switched off once, and the test that failed then."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.threats.mutation_rows import MUTATIONS, Mutation
from tests.threats.rows import ROWS
from tests.threats.tree_mutation_rows import TREE_MUTATIONS, TreeMutation

__all__ = ["TABLE", "UNJUDGED", "table"]

TABLE: Final = Path(__file__).with_name("MUTATIONS.md")
UNJUDGED: Final = "not run yet"
_HEAD: Final = """# Defences of the contracts, switched off one by one

Made by `python -m tests.threats.mutations --table LOG ...`; what it reads is written with `--log LOG`, by that command
for tests of forge and by `python -m tests.threats.tree_mutations` for tests of Python.
A row: number of the threat (`python -m tests.threats`), what was changed in a copy, the test that must fail then, and
whether it did.

| Threat | Source | Defence | Became | Test | Verdict |
|---|---|---|---|---|---|
"""


def table(logs: Sequence[Mapping[str, str]]) -> str:
    """The whole file. `logs` give verdicts by a mutation's name; a later one wins."""
    judged = {name: found for log in logs for name, found in log.items()}
    numbers = {threat: number for number, threat in enumerate(ROWS, 1)}
    every: tuple[Mutation | TreeMutation, ...] = (*MUTATIONS, *TREE_MUTATIONS)
    rows = [_row(numbers[one.threat], one, judged.get(one.name, UNJUDGED)) for one in every]
    verdicts = [judged.get(one.name, UNJUDGED) for one in every]
    counts = ", ".join(f"{verdicts.count(kind)} {kind}" for kind in dict.fromkeys(verdicts))
    return f"{_HEAD}{''.join(rows)}\n{counts}, of {len(every)}.\n"


def _row(number: int, one: Mutation | TreeMutation, verdict: str) -> str:
    cells = (str(number), f"`{one.file}`", _code(one.old), _code(one.new), f"`{one.test}`", verdict)
    return f"| {' | '.join(cells)} |\n"


def _code(text: str) -> str:
    """Solidity in a cell: no line ends, no bars."""
    flat = " ".join(text.split()).replace("|", "\\|")
    return f"`{flat}`" if flat else "(nothing)"
