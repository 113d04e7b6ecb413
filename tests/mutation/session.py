"""One pytest session that judges many mutants: every test runs once under a tracer, then only those that ran a line.

The tests are collected once. A mutant is judged in a fork of the session: it has the mutant's code, runs the tests that
ran the lines of its statement, and ends at the first that fails. A test that needs ten times the processor time that
it needed without a mutant, or a gigabyte more, has failed. Nothing on disk changes and nothing compiled is built.
"""

import gc
import os
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.mutation.outcomes import Outcome, Trace, Traces, digest_of_test
from tests.mutation.swap import Swap, put_in_place

__all__ = ["OPTIONS", "Session", "load_profile"]

OPTIONS = ("-q", "--tb=no", "--no-header", "-m", "not risk_search", "-p", "no:cacheprovider", "-p", "no:benchmark")
"""Of every run of pytest here; long searches have commands of their own."""
_LEAST_S = 3.0
_TIMES = 10
_MORE_BYTES = 1 << 30
_FAILED, _LIVED, _BROKEN = 1, 0, 3


def load_profile() -> None:
    """Hypothesis without its search for the smallest example: to be noticed is enough. The examples never change."""
    # pytest wants to load it first.
    from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415

    settings.register_profile(
        "mutation",
        settings.get_profile("default"),
        phases=(Phase.explicit, Phase.generate),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutation")


class Session:
    """Plugin of pytest: traces the tests once, then hands itself to `work`, which asks `killer_of` for each mutant."""

    def __init__(self, files: Sequence[str], root: Path, traces: Traces, work: "Callable[[Session], None]") -> None:
        """Judge mutants of `files`, named relative to `root`."""
        self._names = {str(root / file): file for file in files}
        self._root, self._traces = root, traces
        self._work = work
        self._lines: dict[tuple[str, int], set[int]] = defaultdict(set)
        self._seconds: dict[int, float] = {}
        self._killers: Counter[tuple[str, int]] = Counter()
        self._items: list[pytest.Item] = []
        self._failed, self._is_skipped = "", False

    def pytest_sessionstart(self) -> None:
        """Before the tests are read, which take their settings from the profile."""
        load_profile()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The rows in C are the twin of what is mutated here: they would only show it twice."""
        items[:] = [one for one in items if getattr(one, "callspec", None) is None or not _is_of_rows(one)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that the test failed, or asked nothing."""
        self._is_skipped |= report.skipped
        if report.failed:
            self._failed = self._failed or f"{report.nodeid}: {report.longreprtext[-2000:]}"

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of running the tests once."""
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        self._items = session.items
        for number, item in enumerate(session.items):
            self._trace(number, item)
        # What a fork does not touch it need not copy.
        gc.collect()
        gc.freeze()
        self._work(self)
        return True

    def outcome_of(self, file: str, lines: range, swaps: list[Swap], asked: dict[str, str]) -> Outcome:
        """Of the mutant of a statement in these lines; tests `asked` before are left out."""
        numbers = {number for line in lines for number in self._lines[file, line]}
        new = [one for one in numbers if self._function(one) not in asked]
        order = sorted(new, key=lambda one: (-self._killers[file, one], self._seconds[one]))
        found = self._fork(file, swaps, order) if order else None
        if found is not None:
            self._killers[file, found] += 1
            return self._items[found].nodeid, {}
        return "", asked | {name: digest_of_test(self._root, name) for name in {self._function(one) for one in order}}

    def _function(self, number: int) -> str:
        return self._items[number].nodeid.partition("[")[0]

    def _trace(self, number: int, item: pytest.Item) -> None:
        found = self._traces.find(item.nodeid)
        if found is None:
            found = self._trace_now(item)
            self._traces.add(item.nodeid, found)
        self._seconds[number], lines = found
        for place in lines:
            self._lines[place].add(number)

    def _trace_now(self, item: pytest.Item) -> Trace:
        seen: set[tuple[str, int]] = set()
        self._is_skipped = False

        def enter(frame: FrameType, event: str, argument: Any) -> Any:
            file = self._names.get(frame.f_code.co_filename)
            if file is None:
                return None

            def line(inner: FrameType, kind: str, given: Any) -> Any:
                seen.add((file, inner.f_lineno))
                return line

            return line

        started = time.process_time()
        sys.settrace(enter)
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        finally:
            sys.settrace(None)
        if self._failed:
            raise RuntimeError(f"without a mutant: {self._failed}")
        return time.process_time() - started, [] if self._is_skipped else sorted(seen)

    def _fork(self, file: str, swaps: list[Swap], order: list[int]) -> int | None:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            self._run_in_child(file, swaps, order, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            began = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == _BROKEN:
            raise RuntimeError(f"{file}: a mutant could not be judged")
        # What began last is what failed, ran out of its time or took the process with it.
        return None if code == _LIVED else int.from_bytes(began[-4:], "big")

    def _run_in_child(self, file: str, swaps: list[Swap], order: list[int], writer: int) -> None:
        code = _BROKEN
        try:
            _be_quiet(self._items[0].config)
            put_in_place(file, swaps)
            code = _LIVED
            for number in order:
                os.write(writer, number.to_bytes(4, "big"))
                signal.setitimer(signal.ITIMER_PROF, max(_LEAST_S, _TIMES * self._seconds[number]))
                code = _FAILED
                _run(self._items[number])
                code = _LIVED
        finally:
            os._exit(code)


def _is_of_rows(item: Any) -> bool:
    return item.callspec.params.get("world_state") == "rows"


def _run(item: Any) -> None:
    """As pytest's own protocol does it, without the reports: those of a failure cost more than the test."""
    item._initrequest()
    try:
        item.session._setupstate.setup(item)
        item.runtest()
    finally:
        item.session._setupstate.teardown_exact(None)
    item._request = False
    item.funcargs = None


def _be_quiet(config: pytest.Config) -> None:
    config.pluginmanager.unregister(name="terminalreporter")
    with open("/proc/self/statm") as file:  # noqa: PTH123 - no Path in a fork that may run out of memory
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + _MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
