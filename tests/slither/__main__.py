"""`python -m tests.slither`: slither over the contracts; every finding of high or medium impact has a written reason.

Compiled without `via_ir`, in a fraction of the time: what is analysed is the source. `accepted.toml` names each finding
by check, place and line with its reason; one without a reason fails, and so does a reason without its finding, so that
a line that changes is judged again.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.slither.triage import accepted, findings, judged
from tests.threats.rows import ROOT

_CONTRACTS: Final = ROOT / "settlement/contracts"
_HIDDEN: Final = ("--exclude-informational", "--exclude-optimization", "--exclude-low")
_FOREIGN: Final = ("--filter-paths", "node_modules|contracts/test/")


def _forge() -> Path:
    found = sorted(_CONTRACTS.glob("node_modules/@foundry-rs/forge-*/bin/forge"))
    if not found:
        sys.exit("slither: forge is not installed; run settlement/contracts/tools/setup")
    return found[0]


def _report(slither: str, folder: Path) -> dict[str, Any]:
    """Slither's report; its exit code says only that there are findings."""
    forge, out, report = _forge(), folder / "out", folder / "report.json"
    environment = {
        **os.environ,
        "PATH": f"{forge.parent}{os.pathsep}{os.environ['PATH']}",
        "FOUNDRY_VIA_IR": "false",
        "FOUNDRY_OUT": str(out),
        "FOUNDRY_CACHE_PATH": str(folder / "cache"),
    }
    build = [forge, "build", "--quiet", "--build-info", "--skip", "test", "--skip", "*/test/symbolic/*"]
    subprocess.run(build, cwd=_CONTRACTS, env=environment, check=True)
    compiled = ("--compile-force-framework", "foundry", "--foundry-ignore-compile", "--foundry-out-directory", str(out))
    command = [slither, ".", *compiled, *_FOREIGN, *_HIDDEN, "--json", str(report)]
    done = subprocess.run(command, cwd=_CONTRACTS, env=environment, check=False, capture_output=True, text=True)
    if not report.exists():
        sys.exit(f"slither gave no report:\n{done.stderr[-2000:]}")
    loaded: dict[str, Any] = json.loads(report.read_text())
    return loaded


def main() -> None:
    """Print a line per fault; exit code 1 when there is one."""
    slither = sys.argv[1] if len(sys.argv) > 1 else "slither"
    with tempfile.TemporaryDirectory(prefix="slither-") as folder:
        found = findings(_report(slither, Path(folder)))
    lines = judged(found, accepted())
    summary = f"slither: {len(found)} findings of high or medium impact, {len(lines)} faults of their reasons"
    sys.stdout.write("\n".join([*lines, summary]) + "\n")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
