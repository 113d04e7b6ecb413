"""What is known of mutants and tests, lines of JSON each, and which of it still counts after files have changed."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

__all__ = ["Log", "Outcome", "Trace", "Traces", "digest", "digest_of_test"]

Outcome = tuple[str, dict[str, str]]
"""Test that noticed a mutant, empty for a survivor; and the test functions that did not, with their digests."""
Trace = tuple[float, list[tuple[str, int]]]
"""Seconds of a test, and the lines it ran."""


def digest(*contents: bytes) -> str:
    """Short name of contents."""
    return hashlib.blake2b(b"\0".join(contents), digest_size=8).hexdigest()


def digest_of_test(root: Path, name: str) -> str:
    """Digest of a test function with its decorators, empty for one that is gone; `name` as pytest writes it."""
    path, _, rest = name.partition("::")
    return _functions(root / path).get(rest.partition("[")[0].rpartition("::")[2], "")


@cache
def _functions(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines, found = path.read_bytes().splitlines(), {}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef):
            first = min(row.lineno for row in (node, *node.decorator_list)) - 1
            found[node.name] = digest(*lines[first : node.end_lineno])
    return found


class Log:
    """A noticed mutant stays noticed while its file and the test that noticed it are as they were.

    A survivor is asked again when a test file has changed, by tests that have not been asked yet.
    """

    def __init__(self, path: Path, root: Path) -> None:
        """Read what stands in `path`."""
        self.path, self._root = path, root
        self._known: dict[str, dict[str, str]] = {}
        self._asked: dict[str, dict[str, str]] = {}
        self.read()

    def read(self) -> None:
        """Take what others have added."""
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            row = json.loads(line)
            self._asked[row["key"]] = row.pop("asked")
            self._known[row["key"]] = row

    def find(self, key: str, tests: str) -> str | None:
        """Test that noticed a mutant, empty for a survivor; None: to be judged. `tests` is the digest of all files."""
        row = self._known.get(key)
        if row is None or row["contents"] != (digest_of_test(self._root, row["killer"]) if row["killer"] else tests):
            return None
        return row["killer"]

    def asked(self, key: str) -> dict[str, str]:
        """Test functions that did not notice the mutant and are as they were."""
        return {
            name: known for name, known in self._asked.get(key, {}).items() if digest_of_test(self._root, name) == known
        }

    def add(self, key: str, outcome: Outcome, tests: str) -> None:
        """Keep an outcome."""
        killer, asked = outcome
        contents = digest_of_test(self._root, killer) if killer else tests
        self._known[key] = {"key": key, "killer": killer, "contents": contents}
        self._asked[key] = {} if killer else asked
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({**self._known[key], "asked": self._asked[key]}) + "\n")


class Traces:
    """Which lines of the judged files each test ran; counts while the test and all of these files are as they were."""

    def __init__(self, path: Path, root: Path, files: dict[str, str]) -> None:
        """Read what stands in `path`; `files` are the judged ones with their digests."""
        self._path, self._root, self._files = path, root, files
        self._known: dict[str, dict[str, object]] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            row = json.loads(line)
            self._known[row["test"]] = row

    def find(self, test: str) -> Trace | None:
        """What is known of a test."""
        row = self._known.get(test)
        if row is None or row["digest"] != digest_of_test(self._root, test):
            return None
        files = row["files"]
        if any(files.get(file) != contents for file, contents in self._files.items()):
            return None
        return row["seconds"], [(file, line) for file, line in row["lines"]]

    def add(self, test: str, trace: Trace) -> None:
        """Keep the lines of a test."""
        seconds, lines = trace
        known = digest_of_test(self._root, test)
        row = {"test": test, "digest": known, "files": self._files, "seconds": seconds, "lines": sorted(lines)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
