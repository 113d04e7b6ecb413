"""`python -m tests.threats.mutations`: switches each defence off in a copy of the contracts; its test must fail then.

The work is resumable: with `--log` a line is kept per mutation that was judged, and what has one there is not run
again. One copy serves all mutations, so that the compiler repeats only what depends on the changed file. The copy is
compiled without the optimizer, and tests take the contracts that they deploy from their artifacts instead of holding
their code: a test is not compiled anew when a contract changes; and the compiler stays loaded (`resident_solc.js`).
What is judged is the source, and each test must first pass there as the source is, or its mutation is called broken.
The working tree is not touched.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.threats.mutation_rows import MUTATIONS, Mutation
from tests.threats.mutation_table import table
from tests.threats.rows import ROOT, ROWS

__all__ = ["CONTRACTS", "judge", "mutated", "verdict"]

CONTRACTS: Final = ROOT / "settlement/contracts"
_COPIED: Final = ("src", "test", "bin", "tools")
_PIPELINE: Final = {
    "FOUNDRY_VIA_IR": "false",
    "FOUNDRY_OPTIMIZER": "false",
    "FOUNDRY_CODE_SIZE_LIMIT": "100000",
    "FOUNDRY_DYNAMIC_TEST_LINKING": "true",
}
_RESIDENT: Final = Path(__file__).with_name("resident_solc.js")
_START_S: Final = 60
_MARK: Final = re.compile(r"\s*\[(FAIL|PASS)")
_END: Final = "Suite result"
CAUGHT, SURVIVED, BROKEN = "caught", "survived", "broken"


def mutated(text: str, mutation: Mutation) -> str:
    """The source with the defence off. Raises ValueError unless the old text stands in it exactly once."""
    count = text.count(mutation.old)
    if count != 1:
        raise ValueError(f"{mutation.name}: stands {count} times in src/{mutation.file}")
    return text.replace(mutation.old, mutation.new)


def verdict(code: int, output: str, test: str) -> str:
    """What forge's exit code and output say; `broken` where the test did not run (no compilation, no such test)."""
    results = _results(output, test)
    if "FAIL" in results:
        return CAUGHT
    return SURVIVED if code == 0 and "PASS" in results else BROKEN


def _results(output: str, test: str) -> set[str]:
    """PASS and FAIL as forge says them of `test`. A failed invariant's name stands behind its sequence of calls."""
    found = set()
    last = ""
    for line in output.splitlines():
        mark = _MARK.match(line)
        if mark or line.startswith(_END):
            last = mark[1] if mark else ""
        if last and f" {test}(" in line and (mark or line.startswith(f" {test}(")):
            found.add(last)
    return found


def judge(copy: Path, mutation: Mutation) -> tuple[str, str]:
    """Verdict and forge's output for one mutation of the copy, which is put back."""
    path = copy / "src" / mutation.file
    original = path.read_text()
    path.write_text(mutated(original, mutation))
    try:
        return _run_test(copy, mutation.test)
    finally:
        path.write_text(original)


def _run_test(copy: Path, test: str) -> tuple[str, str]:
    code, output = _forge(copy, [test])
    return verdict(code, output, test.partition("::")[2]), output


def _forge(copy: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Exit code and output of forge for `File::name` tests; compiles these files and what they import."""
    files, names = zip(*(test.split("::") for test in tests), strict=True)
    paths = f"test/{{{','.join(sorted(set(files)))}}}.t.sol" if len(set(files)) > 1 else f"test/{files[0]}.t.sol"
    command = ["tools/forge", "test", "--match-path", paths, "--match-test", f"^({'|'.join(sorted(set(names)))})\\("]
    done = subprocess.run(
        command, cwd=copy, capture_output=True, text=True, check=False, env={**os.environ, **_PIPELINE}
    )
    return done.returncode, done.stdout + done.stderr


def _copy(folder: Path) -> Path:
    copy = folder / "contracts"
    for name in _COPIED:
        shutil.copytree(CONTRACTS / name, copy / name)
    shutil.copytree(CONTRACTS / "node_modules", copy / "node_modules", symlinks=True)
    shutil.copy(CONTRACTS / "foundry.toml", copy)
    return copy


@contextmanager
def _resident_compiler(copy: Path) -> Iterator[None]:
    """The copy's `bin/solc` asks one process that stays; it ends with this block, or when this process dies."""
    socket = copy / "solc.sock"
    (copy / "bin/solc").write_text(f'#!/bin/sh\nexec node "{_RESIDENT}" ask "{socket}" "$@"\n')
    command = ["node", str(_RESIDENT), "serve", str(socket), str(copy / "node_modules/solc")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as server:
        deadline_s = time.monotonic() + _START_S
        while not socket.exists() and server.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.05)
        try:
            yield
        finally:
            server.terminate()


def _wanted(rows: Iterable[int], *, match: str) -> list[Mutation]:
    numbers = {threat: number for number, threat in enumerate(ROWS, 1)}
    chosen = set(rows) or set(numbers.values())
    return [one for one in MUTATIONS if numbers[one.threat] in chosen and match in one.name]


def _judged(log: Path | None) -> dict[str, str]:
    """Verdicts that the log holds, by name; what was broken is tried again."""
    if log is None or not log.exists():
        return {}
    rows = (line.split("\t", 1) for line in log.read_text().splitlines())
    return {name: found for found, name in rows if found != BROKEN}


def _note(log: Path | None, found: str, mutation: Mutation) -> None:
    line = f"{found}\t{mutation.name}\n"
    sys.stdout.write(line)
    sys.stdout.flush()
    if log is not None:
        with log.open("a") as file:
            file.write(line)


def _judge_all(wanted: list[Mutation], log: Path | None) -> list[str]:
    judged = _judged(log)
    found = [judged[one.name] for one in wanted if one.name in judged]
    left = [one for one in wanted if one.name not in judged]
    if not left:
        return found
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = _copy(Path(folder))
        with _resident_compiler(copy):
            _, before = _forge(copy, [one.test for one in left])
            return found + [_judge_one(copy, one, before, log) for one in left]


def _judge_one(copy: Path, mutation: Mutation, before: str, log: Path | None) -> str:
    """Verdict for one mutation; `before` is forge's output for the unchanged source."""
    result, output = BROKEN, before
    if verdict(0, before, mutation.test.partition("::")[2]) == SURVIVED:
        result, output = judge(copy, mutation)
    _note(log, result, mutation)
    if result == BROKEN:
        sys.stderr.write(output[-2_000:] + "\n")
    return result


def main() -> int:
    """Judge what was asked for; 0 when every mutation was caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--row", type=int, action="append", default=[], help="number of a threat; may be repeated")
    parser.add_argument("--match", default="", help="only mutations with this text in their name")
    parser.add_argument("--log", type=Path, help="file with one line per judged mutation, continued")
    parser.add_argument("--table", type=Path, nargs="+", metavar="LOG", help="print the table of these logs")
    parser.add_argument("--list", action="store_true", help="print the mutations, run nothing")
    parsed = parser.parse_args()
    if parsed.table:
        sys.stdout.write(table([_judged(log) for log in parsed.table]))
        return 0
    wanted = _wanted(parsed.row, match=parsed.match)
    if parsed.list:
        sys.stdout.writelines(f"{one.name}\n" for one in wanted)
        return 0
    found = _judge_all(wanted, parsed.log)
    counts = ", ".join(f"{found.count(kind)} {kind}" for kind in (CAUGHT, SURVIVED, BROKEN))
    sys.stdout.write(f"{counts} of {len(wanted)}\n")
    return 0 if wanted and found.count(CAUGHT) == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
