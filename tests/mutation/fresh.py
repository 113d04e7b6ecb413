"""A mutant of what a module computes once (constants, defaults): its tests run in a fork that imports it anew.

The search over random accounts, which takes seconds, is not asked for these.
"""

import os
import signal
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.files import SEARCH
from tests.mutation.session import OPTIONS, load_profile
from tests.mutation.swap import module_name

__all__ = ["killer_of"]

_LIMIT_S = 60
_LIVED = 0


class _Mutated(MetaPathFinder, SourceLoader):
    """Serves one module from a text."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Only the mutant's own module."""
        return spec_from_loader(fullname, self) if fullname == self._name else None

    def get_filename(self, fullname: str) -> str:
        """Where the unchanged one stands."""
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        """The mutant; nothing of it is kept compiled."""
        if not str(path).endswith(".py"):
            raise OSError(path)
        return self._source.encode()


class _First:
    """Names the first test that fails."""

    def __init__(self, writer: int) -> None:
        self._writer = writer

    def pytest_sessionstart(self) -> None:
        """Before the tests are read, which take their settings from the profile."""
        load_profile()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """As in the session: no rows."""
        items[:] = [
            one for one in items if "rows" not in getattr(getattr(one, "callspec", None), "params", {}).values()
        ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """-x ends the run behind it."""
        if report.failed:
            os.write(self._writer, report.nodeid.encode())


def killer_of(root: Path, file: str, source: str, tests: Sequence[str]) -> str:
    """Test that noticed the mutant; empty: it survived. Needs a process that has not imported the module yet."""
    if module_name(file) in sys.modules:
        raise RuntimeError(f"{file} is imported already")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _run_in_child(root, file, source, tests, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        named = pipe.read().decode()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "" if code == _LIVED else named or tests[0]


def _run_in_child(root: Path, file: str, source: str, tests: Sequence[str], writer: int) -> None:
    code = 3
    try:
        signal.setitimer(signal.ITIMER_PROF, _LIMIT_S)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        sys.meta_path.insert(0, _Mutated(module_name(file), root / file, source))
        arguments = ["-x", *OPTIONS, *(test for test in tests if test != SEARCH)]
        code = int(pytest.main(arguments, plugins=[_First(writer)]))
    finally:
        os._exit(code)
