"""The runner's lines, selection and exit codes."""

import json

import pytest

from bench.__main__ import goal_line, main

FIGURES = {"name": "bench_x.py::test_y", "goal": "B1", "unit": "x", "result_hash": "1234abcdef", "median_s": 0.0123}


@pytest.mark.parametrize(
    ("value", "target", "met", "line"),
    [
        (12.3, 10, True, "B1  12.3 x  target >= 10  met  hash 1234abcd"),
        (9.5, 10, False, "B1  9.5 x  target >= 10  MISSED  hash 1234abcd"),
        (9.5, 10.0, True, "B1  9.5 x  target <= 10  met  hash 1234abcd"),
        (12345.6, 10, False, "B1  12,346 x  target <= 10  MISSED  hash 1234abcd"),
        (10, 10, True, "B1  10 x  target = 10  met  hash 1234abcd"),
        (1234, None, False, "B1  1,234 x  no target  for information  hash 1234abcd"),
    ],
)
def test_a_goals_line(value, target, met, line):
    """The direction of the target follows from value and outcome."""
    assert goal_line(FIGURES | {"value": value, "target": target, "met": met}) == line


def test_the_line_of_a_benchmark_without_goal():
    """Name and median."""
    assert goal_line({"name": "bench_x.py::test_y", "median_s": 0.0123}) == "-  bench_x.py::test_y  median 12.300 ms"


def test_an_unknown_goal_is_refused(capsys):
    """Exit code 2, and what is known."""
    assert main(["--goals", "Z9"]) == 2
    assert "no benchmark answers Z9; known: B1 B1-batch" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Benchmarks of every fate."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # the inner run is alone, whoever runs this test
    monkeypatch.setenv("SIZE", "full")
    monkeypatch.setenv("GOALS", "")
    (tmp_path / "bench_import.py").write_text("import nothing_here\n")
    (tmp_path / "bench_fates.py").write_text(FATES)
    return tmp_path


FATES = """
import os
import pytest

def test_wrong_result(benchmark):
    benchmark(int)
    benchmark.extra_info.update(goal="X1")
    assert benchmark.extra_info == {}

def test_tool_is_absent(benchmark):
    pytest.skip("no tool")

def test_missed(benchmark):
    benchmark(int)
    benchmark.extra_info.update(goal="X2", value=3, unit=os.environ["SIZE"], target=4, met=False, result_hash="ab")

def test_variant(benchmark):
    benchmark(int)
    benchmark.extra_info.update(goal="X2-wide", value=5, unit="x", target=4, met=True, result_hash="ab")

def test_without_goal(benchmark):
    benchmark(int)
"""


def test_failures_do_not_hide_figures(folder, capsys):
    """Exit code 1; what could be measured was; the file has it all."""
    assert main([], folder=folder, results=folder / "results") == 1
    text = capsys.readouterr().out
    assert "No module named 'nothing_here'" in text
    assert "X2  3 full  target >= 4  MISSED  hash ab" in text
    stored = json.loads((folder / "results" / "latest.json").read_text())
    assert [one["name"].partition("::")[2] for one in stored["figures"]] == [
        "test_missed",
        "test_variant",
        "test_without_goal",
    ]
    assert list(stored["skipped"].values()) == ["no tool"]
    assert [name.rpartition("/")[2] for name in stored["failed"]] == [
        "bench_fates.py::test_wrong_result",
        "bench_import.py",
    ]
    assert text.endswith("1 of 2 goals met, 1 figures without target, 1 skipped, 2 failed\n")


def test_a_missed_goal_is_no_failure(folder, capsys):
    """Selected goals run alone, at the size asked for, and exit with 0."""
    (folder / "bench_import.py").unlink()
    assert main(["--size", "small", "--goals", "X2"], folder=folder, results=folder / "results") == 0
    stored = json.loads((folder / "results" / "latest.json").read_text())
    assert [one["goal"] for one in stored["figures"]] == ["X2", "X2-wide"]
    assert (stored["size"], stored["goals"], stored["failed"]) == ("small", ["X2"], [])
    assert {"cpu", "cores", "python", "commit", "fdatasync_p50_us"} <= set(stored["machine"])
    assert capsys.readouterr().out.startswith("machine: ")


def test_every_goal_is_listed(folder, capsys):
    """With the benchmark that answers it."""
    assert main(["--list"], folder=folder) == 0
    assert "X2-wide    bench_fates.py::test_variant\n" in capsys.readouterr().out
