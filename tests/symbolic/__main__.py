"""`python -m tests.symbolic [HALMOS]`: proofs for all inputs of a shape, by halmos, of codec and conservation.

First the sources must pass every `check_` function of settlement/contracts/test/symbolic; then a copy that is broken in
four places must fail the check that stands for each, or the proofs would prove nothing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.symbolic.verdicts import BREAKS, expected, faults, missed
from tests.threats.rows import ROOT

_CONTRACTS: Final = ROOT / "settlement/contracts"
_SOLVER: Final = Path(__file__).with_name("solver.py")
_LEFT: Final = ("node_modules", "out", "cache", "artifacts", "*.t.sol")
_LOOPS: Final = 20
_SOLVER_SECONDS: Final = 120
_MOST_SECONDS: Final = 450


def _forge() -> Path:
    found = sorted(_CONTRACTS.glob("node_modules/@foundry-rs/forge-*/bin/forge"))
    if not found:
        sys.exit("symbolic: forge is not installed; run settlement/contracts/tools/setup")
    return found[0]


def _prove(halmos: Path, contracts: Path, folder: Path, names: str) -> dict[str, object]:
    """Halmos' results of the checks whose names match, by contract."""
    report, out = folder / "report.json", folder / "out"
    environment = {
        **os.environ,
        "PATH": f"{_forge().parent}{os.pathsep}{os.environ['PATH']}",
        "FOUNDRY_PROFILE": "symbolic",
        "FOUNDRY_OUT": str(out),
        "FOUNDRY_CACHE_PATH": str(folder / "cache"),
    }
    bounds = ("--loop", str(_LOOPS), "--solver-timeout-assertion", f"{_SOLVER_SECONDS}s")
    solver = ("--solver-command", f"{halmos.parent / 'python'} {_SOLVER}")
    places = ("--root", str(contracts), "--forge-build-out", str(out), "--json-output", str(report))
    command = [str(halmos), *places, *bounds, *solver, "--match-test", names, "--no-status"]
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=_MOST_SECONDS, cwd=contracts
    )
    if not report.exists() or not json.loads(report.read_text())["test_results"]:
        sys.exit(f"halmos gave no report:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}")
    results: dict[str, object] = json.loads(report.read_text())["test_results"]
    return results


def _broken_copy(folder: Path) -> Path:
    """The sources with every break, in a folder of their own."""
    copy = folder / "contracts"
    shutil.copytree(
        _CONTRACTS, copy, ignore=shutil.ignore_patterns("node_modules", "out", "cache", "artifacts", "*.t.sol")
    )
    (copy / "node_modules").symlink_to(_CONTRACTS / "node_modules")
    for broken in BREAKS:
        source = copy / broken.path
        text = source.read_text()
        if text.count(broken.old) != 1:
            sys.exit(f"symbolic: {broken.path} does not hold once what a break replaces: {broken.old}")
        source.write_text(text.replace(broken.old, broken.new))
    return copy


def main() -> None:
    """Print a line per fault; exit code 1 when there is one."""
    halmos = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else Path("halmos")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="symbolic-") as folder:
        results = _prove(halmos, _CONTRACTS, Path(folder), "^check_")
    lines = faults(results, expected())
    with tempfile.TemporaryDirectory(prefix="symbolic-") as folder:
        names = "|".join(broken.check for broken in BREAKS)
        lines += missed(_prove(halmos, _broken_copy(Path(folder)), Path(folder), f"^({names})"))
    seconds = time.monotonic() - begun
    proven = f"{len(expected())} proofs, {len(BREAKS)} breaks to be found"
    sys.stdout.write("\n".join([*lines, f"symbolic: {proven}, {len(lines)} faults after {seconds:.0f} s"]) + "\n")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
