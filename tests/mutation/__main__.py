"""`python -m tests.mutation [FILE ...]`: whether the tests of margin and liquidation notice a slip in the code.

All tests of the files run once under a tracer; then every mutant meets the tests that ran its lines, in a fork, until
one fails (`session`). Mutants of what a module computes once at its import are judged by a fork that imports anew
(`fresh`). Survivors are printed, then a table by file. Outcomes stand in the log as lines of JSON; the same command
goes on after them (`outcomes`). Exit 1 when less than --least per cent of a file, or of all, is noticed.
"""

import argparse
import ast
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.mutation import fresh
from tests.mutation.equivalents import EQUIVALENTS
from tests.mutation.files import FILES
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.outcomes import Log, Traces, digest
from tests.mutation.session import OPTIONS, Session
from tests.mutation.swap import swaps_of

__all__ = ["Row", "judge", "main", "rows_of", "table"]

ROOT = Path(__file__).parents[2]


@dataclass
class Row:
    """Outcome of a file so far."""

    file: str
    noticed: int = 0
    equivalent: int = 0
    survivors: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Noticed of what can be noticed, per cent."""
        asked = self.noticed + len(self.survivors)
        return 100.0 * self.noticed / asked if asked else 100.0


@dataclass(frozen=True)
class _Task:
    file: str
    key: str
    tests: tuple[str, ...]
    contents: str
    mutant: Mutant
    line: str


def _tasks(files: Sequence[str], root: Path, tests_of: dict[str, tuple[str, ...]]) -> Iterator[_Task]:
    for file in files:
        source = (root / file).read_text()
        tests = tests_of[file]
        contents = digest(*((root / name.partition("::")[0]).read_bytes() for name in tests))
        lines = source.splitlines()
        for number, mutant in enumerate(mutants_of(source)):
            key = f"{file} {digest(source.encode())} {number}"
            yield _Task(file, key, tests, contents, mutant, lines[mutant.line - 1].strip())


def judge(files: Sequence[str], log: Log, root: Path, tests_of: dict[str, tuple[str, ...]]) -> None:
    """Judge what the log does not know. Raises RuntimeError when a test fails without a mutant."""
    left = [task for task in _tasks(files, root, tests_of) if log.find(task.key, task.contents) is None]
    originals = {file: ast.unparse(ast.parse((root / file).read_text())) for file in files}
    inside = {task.key: swaps_of(originals[task.file], task.mutant.source, task.file) for task in left}
    rest = [task for task in left if inside[task.key] is not None]

    def work(session: Session) -> None:
        for task in rest:
            swaps = inside[task.key] or []
            lines = range(task.mutant.first, task.mutant.last + 1)
            log.add(task.key, session.outcome_of(task.file, lines, swaps, log.asked(task.key)), task.contents)

    anew = [task for task in left if inside[task.key] is None]
    if rest:
        contents = {file: digest((root / file).read_bytes()) for file in files}
        traces = Traces(log.path.with_name("traces.jsonl"), root, contents)
        _run_session(Session(files, root, traces, work), dict.fromkeys(test for task in left for test in task.tests))
        log.read()
        # Lines that no test ran may have run at the import: tables that a function builds once.
        anew += [task for task in rest if log.find(task.key, task.contents) == "" and not log.asked(task.key)]
    elif anew and (killer := fresh.killer_of(root, anew[0].file, originals[anew[0].file], anew[0].tests)):
        raise RuntimeError(f"without a mutant of {anew[0].file}: {killer}")
    for task in anew:
        killer = fresh.killer_of(root, task.file, task.mutant.source, task.tests)
        log.add(task.key, (killer, {}), task.contents)


def _run_session(session: Session, tests: Iterable[str]) -> None:
    """In a fork: what imports anew must come from a process that has imported nothing."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = int(pytest.main([*OPTIONS, *tests], plugins=[session]))
        finally:
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError("the session of the tests broke off")


def rows_of(files: Sequence[str], log: Log, root: Path, tests_of: dict[str, tuple[str, ...]]) -> list[Row]:
    """What the log knows, by file."""
    rows = {file: Row(file) for file in files}
    for task in _tasks(files, root, tests_of):
        row, what = rows[task.file], f"{task.file}:{task.mutant.line}: {task.mutant.what}: {task.line}"
        killer = log.find(task.key, task.contents)
        if killer:
            row.noticed += 1
        elif killer is not None and (task.file, task.line, task.mutant.what) in EQUIVALENTS:
            row.equivalent += 1
        else:
            row.survivors.append(what if killer is not None else f"{what} (not judged)")
    return list(rows.values())


def table(rows: Sequence[Row]) -> str:
    """Survivors, then a line for each file and one for all."""
    total = Row("all")
    for row in rows:
        total.noticed, total.equivalent = total.noticed + row.noticed, total.equivalent + row.equivalent
        total.survivors += row.survivors
    lines = [f"{name} survived" for name in total.survivors]
    for row in (*rows, total):
        count = f"{row.noticed:5} noticed {len(row.survivors):4} survived {row.equivalent:4} equivalent"
        lines.append(f"{row.file:45} {count} {row.share:6.1f} %")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Judge the files, print what survived and the share that was noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="*", default=sorted(FILES), metavar="FILE")
    parser.add_argument("--log", type=Path, default=ROOT / "build" / "mutation" / "log.jsonl")
    parser.add_argument("--least", type=float, default=90.0, metavar="PER_CENT")
    parsed = parser.parse_args(arguments)
    log = Log(parsed.log, ROOT)
    judge(parsed.files, log, ROOT, FILES)
    rows = rows_of(parsed.files, log, ROOT, FILES)
    sys.stdout.write(f"{table(rows)}\n")
    return int(any(row.share < parsed.least for row in rows))


if __name__ == "__main__":
    sys.exit(main())
