"""`python -m tests.threats.mutations`: switches each defence off in a copy of the contracts; its test must fail then.

A compilation takes minutes, so the work is resumable: with `--log` a line is kept per mutation that was judged, and
what has one there is not run again. One copy serves all mutations, so that the compiler repeats only what depends on
the changed file. The copy is compiled without `via_ir`, in a quarter of the time: what is judged is the source, and
each test must first pass there as the source is, or its mutation is called broken. The working tree is not touched.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.threats.mutation_rows import MUTATIONS, Mutation
from tests.threats.mutation_table import table
from tests.threats.rows import ROOT, ROWS

__all__ = ["CONTRACTS", "judge", "mutated", "verdict"]

CONTRACTS: Final = ROOT / "settlement/contracts"
_COPIED: Final = ("src", "test", "bin", "tools")
_PIPELINE: Final = {"FOUNDRY_VIA_IR": "false", "FOUNDRY_OPTIMIZER_RUNS": "1"}
CAUGHT, SURVIVED, BROKEN = "caught", "survived", "broken"


def mutated(text: str, mutation: Mutation) -> str:
    """The source with the defence off. Raises ValueError unless the old text stands in it exactly once."""
    count = text.count(mutation.old)
    if count != 1:
        raise ValueError(f"{mutation.name}: stands {count} times in src/{mutation.file}")
    return text.replace(mutation.old, mutation.new)


def verdict(code: int, output: str, test: str) -> str:
    """What forge's exit code and output say; `broken` where the test did not run (no compilation, no such test)."""
    lines = [line for line in output.splitlines() if f" {test}(" in line]
    if any(line.lstrip().startswith("[FAIL") for line in lines):
        return CAUGHT
    return SURVIVED if code == 0 and any(line.lstrip().startswith("[PASS]") for line in lines) else BROKEN


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
        _, before = _forge(copy, [one.test for one in left])
        for one in left:
            result, output = BROKEN, before
            if verdict(0, before, one.test.partition("::")[2]) == SURVIVED:
                result, output = judge(copy, one)
            _note(log, result, one)
            found.append(result)
            if result == BROKEN:
                sys.stderr.write(output[-2_000:] + "\n")
    return found


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
