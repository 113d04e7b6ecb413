"""`python -m tests.mutation [FILE ...]`: whether the tests of margin and liquidation notice a slip in the code.

Every mutant of every file is put into a copy of the tree and its tests run until one fails. A mutant that no test
notices, the second row of tests included, has survived and is printed; what takes longer than the limit counts as
noticed. Finished mutants stand in the log as lines of JSON; the same command goes on after them, unless file or tests
changed. Exit 1 below --least.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants_of

__all__ = ["FILES", "Judge", "main"]

ROOT = Path(__file__).parents[2]
RISK = "tests/unit/exchange/risk"
ENGINE = "tests/unit/exchange/engine"
LIQUIDATION = tuple(
    f"{ENGINE}/test_{name}.py" for name in ("liquidation_orders", "liquidation", "deleveraging", "forced")
)
FILES: dict[str, tuple[str, ...]] = {
    "exchange/risk/adaptive.py": (f"{RISK}/test_adaptive.py", *LIQUIDATION),
    "exchange/risk/auction.py": (f"{RISK}/test_auction.py",),
    "exchange/risk/insurance.py": (f"{RISK}/test_insurance.py", *LIQUIDATION),
    "exchange/risk/limits.py": (f"{RISK}/test_limits.py",),
    "exchange/risk/liquidation.py": (f"{RISK}/test_liquidation.py", *LIQUIDATION),
    "exchange/risk/liquidation_ticks.py": (f"{RISK}/test_liquidation_ticks.py",),
    "exchange/risk/open_orders.py": (f"{RISK}/test_standard.py", f"{ENGINE}/test_margin.py"),
    "exchange/risk/standard.py": (f"{RISK}/test_standard.py", f"{ENGINE}/test_margin.py"),
    "exchange/risk/waterfall.py": (f"{RISK}/test_waterfall.py", *LIQUIDATION),
    "exchange/engine/deleveraging.py": LIQUIDATION,
    "exchange/engine/deleveraging_ranks.py": (f"{ENGINE}/test_deleveraging_ranks.py",),
    "exchange/engine/index_ranges.py": (f"{ENGINE}/test_index_ranges.py", *LIQUIDATION),
    "exchange/engine/liquidation.py": LIQUIDATION,
    "exchange/engine/liquidation_orders.py": LIQUIDATION,
    "exchange/engine/liquidation_terms.py": LIQUIDATION,
}
"""Tests of each file, in the order in which they are asked."""
_LIMIT_S = 120
_COPIED = ("exchange", "matching_core", "settlement", "tests")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", "*.c", "contracts", "web")


class Judge:
    """A copy of the tree in which one file at a time is a mutant."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        """Copy what the tests need."""
        self._folder = folder
        for name in _COPIED:
            if (root / name).exists():
                shutil.copytree(root / name, folder / name, ignore=_LEFT_OUT)
        shutil.copy(root / "pyproject.toml", folder)

    def is_noticed(self, file: str, source: str, tests: Sequence[str]) -> bool:
        """Whether a test fails (or does not end) with `source` in the file's place; the file comes back."""
        path = self._folder / file
        before = path.read_text()
        path.write_text(source)
        try:
            return any(not self._pass(test) for test in tests)
        finally:
            path.write_text(before)

    def _pass(self, test: str) -> bool:
        # The rows in C are the twin of what is mutated here: they would only show it twice.
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", "not rows", test]
        # A path of the caller's would bring the unchanged source back.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        try:
            done = subprocess.run(
                [*command, "--hypothesis-seed=0"], cwd=self._folder, env=environment, timeout=_LIMIT_S,
                capture_output=True, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        if done.returncode not in (0, 1, 2):
            raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout.decode()[-2000:]}")
        return done.returncode == 0


class Log:
    """Outcomes by file and mutant, a line of JSON each; of another file or other tests they do not count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, bool] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            row = json.loads(line)
            self._known[row["key"]] = row["noticed"]

    def find(self, key: str) -> bool | None:
        """Outcome of a mutant that was judged before."""
        return self._known.get(key)

    def add(self, key: str, *, noticed: bool) -> None:
        """Keep an outcome."""
        self._known[key] = noticed
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "noticed": noticed}) + "\n")


def judge_file(judge: Judge, log: Log, file: str, tests: Sequence[str]) -> tuple[int, list[Mutant]]:
    """(number of mutants, survivors) of a file. Raises RuntimeError when its tests fail without a change."""
    source = (ROOT / file).read_text()
    contents = b"".join((ROOT / name).read_bytes() for name in (file, *tests))
    print_now = hashlib.blake2b(contents, digest_size=8).hexdigest()
    if judge.is_noticed(file, source, tests):
        raise RuntimeError(f"the tests of {file} fail without a mutant")
    mutants, survivors = list(mutants_of(source)), []
    for number, mutant in enumerate(mutants):
        key = f"{file} {print_now} {number}"
        noticed = log.find(key)
        if noticed is None:
            noticed = judge.is_noticed(file, mutant.source, tests)
            log.add(key, noticed=noticed)
        if not noticed:
            survivors.append(mutant)
            sys.stdout.write(f"{file}:{mutant.line}: {mutant.what} survived\n")
            sys.stdout.flush()
    return len(mutants), survivors


def main(arguments: list[str] | None = None) -> int:
    """Judge the files, print what survived and the share that was noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="*", default=sorted(FILES), metavar="FILE")
    parser.add_argument("--log", type=Path, default=ROOT / "build" / "mutation" / "log.jsonl")
    parser.add_argument("--least", type=float, default=90.0, metavar="PER_CENT")
    parsed = parser.parse_args(arguments)
    total = lived = 0
    with tempfile.TemporaryDirectory() as folder:
        judge, log = Judge(Path(folder) / "tree"), Log(parsed.log)
        for file in parsed.files:
            count, survivors = judge_file(judge, log, file, FILES[file])
            total, lived = total + count, lived + len(survivors)
            sys.stdout.write(f"{file}: {count - len(survivors)} of {count} noticed\n")
            sys.stdout.flush()
    share = 100.0 * (total - lived) / total
    sys.stdout.write(f"{total} mutants, {lived} survived: {share:.1f} % noticed, {parsed.least:g} % wanted\n")
    return int(share < parsed.least)


if __name__ == "__main__":
    sys.exit(main())
