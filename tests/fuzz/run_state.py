"""Where a fuzz run stands, in a file that is replaced whole: what was run, and the case to go on with."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["RunState", "core_fingerprint"]

ROOT = Path(__file__).resolve().parents[2]
DECIDING = (
    "matching_core/*.py",
    "matching_core/*.pyx",
    "matching_core/*.pxd",
    "tests/differential/command_streams.py",
    "tests/fuzz/[cmst]*.py",
)


def core_fingerprint() -> str:
    """Digest of the two books and of what draws the cases: counts of other code are no counts of this."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in DECIDING for path in ROOT.glob(pattern)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(slots=True)
class RunState:
    """Counts of all finished cases of one seed on one core; `core` is its fingerprint."""

    seed: int
    core: str
    next_case: int = 0
    commands: int = 0
    seconds: float = 0.0
    seconds_left: float = 0.0
    """Of the last run, when it was stopped; 0 when it ended by itself."""
    drawn: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    divergences: list[str] = field(default_factory=list)

    def add(self, result: dict[str, Any]) -> None:
        """Count a finished case."""
        self.commands += result["commands"]
        self.drawn.update(result["drawn"])
        self.codes.update(result["codes"])

    def save(self, path: Path) -> None:
        """Replace the file at once, so that a stop in between leaves the old one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        row = {field.name: getattr(self, field.name) for field in fields(self)}
        partial.write_text(json.dumps(row, indent=1) + "\n")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, *, seed: int, core: str) -> "RunState":
        """Read the state of this seed on this core; a fresh one when there is none or the core is another."""
        if not path.exists():
            return cls(seed, core)
        row = json.loads(path.read_text())
        if row["core"] != core or row["seed"] != seed:
            return cls(seed, core)
        return cls(**{**row, "drawn": Counter(row["drawn"]), "codes": Counter(row["codes"])})
