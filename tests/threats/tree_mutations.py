"""`python -m tests.threats.tree_mutations`: switches defences off in a copy of the whole tree; a Python test must fail.

What `tests.threats.mutations` is for forge, this is for pytest: where a contract changes, its artifact is built anew in
the copy, so that the test deploys it. Each test must pass in the copy first. `--log` keeps verdicts, which `--table` of
the other command prints with its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.threats.rows import ROOT
from tests.threats.tree_mutation_rows import TREE_MUTATIONS, TreeMutation

__all__ = ["changed", "verdict_of"]

CAUGHT, SURVIVED, BROKEN = "caught", "survived", "broken"
_LEFT_OUT: Final = shutil.ignore_patterns(".git", ".venv", "node_modules", "__pycache__", ".benchmarks", "out", "cache")
_PASSED, _FAILED = 0, 1
_CONTRACTS: Final = "settlement/contracts"


def changed(text: str, mutation: TreeMutation) -> str:
    """The source with the defence off. Raises ValueError unless the old text stands in it exactly once."""
    count = text.count(mutation.old)
    if count != 1:
        raise ValueError(f"{mutation.name}: stands {count} times")
    return text.replace(mutation.old, mutation.new)


def verdict_of(before: int, after: int) -> str:
    """What pytest's exit codes say, of the source as it is and with the defence off."""
    if before != _PASSED or after not in (_PASSED, _FAILED):
        return BROKEN
    return CAUGHT if after == _FAILED else SURVIVED


def _pytest(copy: Path, test: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:benchmark", "-p", "no:cacheprovider", test]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False).returncode


def _build(copy: Path, part: str) -> None:
    subprocess.run(["node", "tools/build.js", part], cwd=copy / _CONTRACTS, check=True, capture_output=True)


def _judge(copy: Path, mutation: TreeMutation) -> str:
    path = copy / mutation.file
    artifact = copy / _CONTRACTS / f"artifacts/{mutation.part or 'Settlement'}.json"
    kept = [(file, file.read_text()) for file in (path, artifact)]
    before = _pytest(copy, mutation.test)
    path.write_text(changed(kept[0][1], mutation))
    try:
        if mutation.part:
            _build(copy, mutation.part)
        return verdict_of(before, _pytest(copy, mutation.test))
    finally:
        for file, text in kept:
            file.write_text(text)


def _copy(folder: Path) -> Path:
    copy = folder / "tree"
    shutil.copytree(ROOT, copy, ignore=_LEFT_OUT, symlinks=True)
    (copy / _CONTRACTS / "node_modules").symlink_to(ROOT / _CONTRACTS / "node_modules")
    return copy


def main() -> int:
    """Judge what the log does not know; 0 when every mutation was caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--log", type=Path, required=True, help="file with one line per judged mutation, continued")
    log = parser.parse_args().log
    known = log.read_text() if log.exists() else ""
    found = []
    with tempfile.TemporaryDirectory(prefix="tree-mutations-") as folder:
        copy = _copy(Path(folder))
        for mutation in (one for one in TREE_MUTATIONS if f"{CAUGHT}\t{one.name}\n" not in known):
            found.append(_judge(copy, mutation))
            line = f"{found[-1]}\t{mutation.name}\n"
            sys.stdout.write(line)
            sys.stdout.flush()
            with log.open("a") as file:
                file.write(line)
    return 0 if all(verdict == CAUGHT for verdict in found) else 1


if __name__ == "__main__":
    sys.exit(main())
