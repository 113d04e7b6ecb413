"""What is known of mutants, a line of JSON each, and which of it still counts after files have changed."""

import hashlib
import json
from pathlib import Path

__all__ = ["Log", "digest"]


def digest(*contents: bytes) -> str:
    """Short name of contents."""
    return hashlib.blake2b(b"\0".join(contents), digest_size=8).hexdigest()


class Log:
    """A noticed mutant stays noticed while its file and the test that noticed it are as they were.

    A survivor is asked again as soon as any of its tests has changed.
    """

    def __init__(self, path: Path, root: Path) -> None:
        """Read what stands in `path`."""
        self._path, self._root = path, root
        self._known: dict[str, dict[str, str]] = {}
        self.read()

    def read(self) -> None:
        """Take what others have added."""
        for line in self._path.read_text().splitlines() if self._path.exists() else []:
            row = json.loads(line)
            self._known[row["key"]] = row

    def find(self, key: str, tests: str) -> str | None:
        """Test that noticed a mutant, empty for a survivor; None: to be judged. `tests` is the digest of all asked."""
        row = self._known.get(key)
        if row is None or row["contents"] != (self._contents(row["killer"]) if row["killer"] else tests):
            return None
        return row["killer"]

    def add(self, key: str, killer: str, tests: str) -> None:
        """Keep an outcome."""
        row = {"key": key, "killer": killer, "contents": self._contents(killer) if killer else tests}
        self._known[key] = row
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _contents(self, killer: str) -> str:
        path = self._root / killer.split("::", maxsplit=1)[0]
        return digest(path.read_bytes()) if path.exists() else ""
