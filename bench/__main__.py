"""`python -m bench [--size small|full] [--goals "M1 G5"] [--list]`: run benchmarks.

One line per goal is printed as soon as it is measured; the figures are kept in `bench/results/latest.json`.

Exit code 0 also when a goal is missed: figures inform, tests decide. 1: a benchmark failed. 2: wrong usage.
"""

import argparse
import json
import os
import sys
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from bench import machine
from bench.selection import FOLDER, answers, goal_index, goals_of_item

__all__ = ["Collector", "figures_of", "goal_line", "main"]

RESULTS: Final = FOLDER / "results"
_LATEST: Final = "latest.json"
_SECONDS_MAX: Final = 900


def main(arguments: Sequence[str] | None = None, *, folder: Path = FOLDER, results: Path = RESULTS) -> int:
    """Run what was asked for from `folder`, write figures to `results`; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    if parsed.list:
        _say("\n".join(f"{goal:<10} {', '.join(where)}" for goal, where in goal_index(folder).items()))
        return 0
    wanted = parsed.goals.replace(",", " ").split()
    known = goal_index(folder)
    unknown = [goal for goal in wanted if not answers(known, [goal])]
    if unknown:
        sys.stderr.write(f"bench: no benchmark answers {' '.join(unknown)}; known: {' '.join(known)}\n")
        return 2
    os.environ.update(SIZE=parsed.size, GOALS=" ".join(wanted))
    results.mkdir(exist_ok=True)
    described = machine.describe(results)
    _say(machine.line(described))
    collector = Collector(wanted)
    code = int(pytest.main(_pytest_arguments(folder, parsed.keyword), plugins=[collector]))
    _write(results / _LATEST, described, parsed.size, wanted, collector)
    _say(collector.summary())
    nothing_ran = code == pytest.ExitCode.NO_TESTS_COLLECTED
    return 1 if collector.failed or (code and not nothing_ran) else 0


class Collector:
    """Pytest plugin: keeps the wanted benchmarks, prints each as it ends, gathers the figures."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self.figures: list[dict[str, Any]] = []
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self._wanted = tuple(wanted)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the marker that names goals where the source does not."""
        config.addinivalue_line("markers", "goal(*names): goals that a benchmark answers")

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Run only what answers a wanted goal."""
        if self._wanted:
            unwanted = [item for item in items if not answers(goals_of_item(item), self._wanted)]
            config.hook.pytest_deselected(items=unwanted)
            items[:] = [item for item in items if item not in unwanted]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported is a failure with its reason."""
        if report.failed:
            self._fail(report.nodeid, report.longreprtext)
        elif report.skipped:
            self._skip(report)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Generator[None, Any, None]:  # noqa: ARG002
        """Take the figures while the item still has its fixtures."""
        outcome = yield
        report = outcome.get_result()
        if report.failed:
            self._fail(report.nodeid, report.longreprtext)
        elif report.skipped:
            self._skip(report)
        elif report.when == "call" and "benchmark" in item.funcargs:
            self._take(figures_of(item.nodeid, item.funcargs["benchmark"]))

    def summary(self) -> str:
        """How many goals were met."""
        goals = [one for one in self.figures if one.get("target") is not None]
        met = sum(bool(one.get("met")) for one in goals)
        return (
            f"{met} of {len(goals)} goals met, {len(self.figures) - len(goals)} figures without target, "
            f"{len(self.skipped)} skipped, {len(self.failed)} failed"
        )

    def _take(self, figures: dict[str, Any]) -> None:
        if self._wanted and not answers([str(figures.get("goal", ""))], self._wanted):
            return
        self.figures.append(figures)
        _say(goal_line(figures))

    def _fail(self, name: str, reason: str) -> None:
        self.failed[name] = reason
        _say(f"FAILED  {name}\n{reason}")

    def _skip(self, report: Any) -> None:
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        self.skipped[report.nodeid] = reason.removeprefix("Skipped: ")
        _say(f"skipped  {report.nodeid}: {self.skipped[report.nodeid]}")


def figures_of(name: str, benchmark: Any) -> dict[str, Any]:
    """A benchmark's own figures, its name and the median duration of a round in seconds (None when nothing ran)."""
    median_s = None if benchmark.stats is None else benchmark.stats.stats.median
    return {"name": name.rpartition("/")[2], **benchmark.extra_info, "median_s": median_s}


def goal_line(figures: dict[str, Any]) -> str:
    """`B1  12.3 x  target >= 10  met  hash 1234abcd`; without a goal the name and the median."""
    if "goal" not in figures:
        median_s = figures["median_s"]
        return f"-  {figures['name']}  median {'none' if median_s is None else f'{1e3 * median_s:,.3f} ms'}"
    value, target, met = figures["value"], figures.get("target"), bool(figures.get("met"))
    sign = "=" if value == target else ">=" if target is not None and (value > target) == met else "<="
    return "  ".join(
        (
            str(figures["goal"]),
            f"{_number(value)} {figures['unit']}",
            "no target" if target is None else f"target {sign} {_number(target)}",
            "met" if met else "for information" if target is None else "MISSED",
            f"hash {str(figures.get('result_hash', '-'))[:8]}",
        )
    )


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run benchmarks and print one line per goal.")
    parser.add_argument("--size", choices=["small", "full"], default="full", help="small: the CI size (default: full)")
    parser.add_argument("--goals", default="", help='names of goals, e.g. "M1 G5" (default: every benchmark)')
    parser.add_argument("--list", action="store_true", help="name every goal and the benchmark that answers it")
    parser.add_argument("-k", dest="keyword", default="", help="only benchmarks whose name matches, as in pytest")
    return parser


def _pytest_arguments(folder: Path, keyword: str) -> list[str]:
    return [
        str(folder),
        "-o",
        "python_files=bench_*.py",
        "-o",
        "addopts=--strict-markers --import-mode=importlib",
        "-p",
        "no:terminal",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        f"--rootdir={FOLDER.parent}",
        "-c",
        str(FOLDER.parent / "pyproject.toml"),
        f"--timeout={_SECONDS_MAX}",
        *(["-k", keyword] if keyword else []),
    ]


def _write(path: Path, described: dict[str, object], size: str, wanted: list[str], collector: Collector) -> None:
    content = {
        "machine": described,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "size": size,
        "goals": wanted,
        "figures": collector.figures,
        "skipped": collector.skipped,
        "failed": sorted(collector.failed),
    }
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")
    temporary.replace(path)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
