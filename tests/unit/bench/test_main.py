"""The runner's lines, selection and exit codes."""

import json

import pytest

import bench.__main__ as runner
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
        (1234, None, False, "B1  1,234 x  no target  no target to miss  hash 1234abcd"),
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


def test_one_goal_runs_alone(tmp_path, monkeypatch, capsys):
    """Netting at the small size: a line, a machine, and the file of figures."""
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setenv("SIZE", "full")
    monkeypatch.setenv("GOALS", "")
    collected = []
    monkeypatch.setattr(runner.pytest, "main", lambda arguments, plugins: collected.append((arguments, plugins)) or 0)
    assert main(["--size", "small", "--goals", "S4"]) == 0
    stored = json.loads((tmp_path / "latest.json").read_text())
    assert (stored["size"], stored["goals"], stored["figures"]) == ("small", ["S4"], [])
    assert {"cpu", "cores", "python", "commit", "fdatasync_p50_us"} <= set(stored["machine"])
    assert capsys.readouterr().out.startswith("machine: ")
    assert "python_files=bench_*.py" in collected[0][0]
