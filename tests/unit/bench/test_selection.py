"""Which goals a benchmark answers is read from its source."""

import pytest

from bench.selection import answers, goal_index, goals_of_source

SOURCE = """
import pytest

def report(benchmark, batch):
    store(benchmark, batch)

def store(benchmark, batch):
    benchmark.extra_info.update(goal="G3" if batch == 1 else "G3-batch", unit="us")

def test_helper(benchmark):
    report(benchmark, 1)

def test_direct(benchmark):
    benchmark.extra_info.update({"goal": "M1"})

def test_subscript(benchmark):
    benchmark.extra_info["goal"] = "M2"

def test_recorded(benchmark):
    record_goal(benchmark, "M3", value=1, unit="x")

@pytest.mark.goal("M4", "M5")
def test_marked(benchmark):
    benchmark.extra_info.update(goal=f"M{4}")

def test_none(benchmark):
    benchmark.extra_info.update(rows=3)
"""


@pytest.mark.parametrize(
    ("test", "goals"),
    [
        ("test_helper", {"G3", "G3-batch"}),
        ("test_direct", {"M1"}),
        ("test_subscript", {"M2"}),
        ("test_recorded", {"M3"}),
        ("test_marked", {"M4", "M5"}),
        ("test_none", set()),
    ],
)
def test_goals_of_a_test(tmp_path, test, goals):
    """Stored by the test, by a helper at any depth, or marked."""
    path = tmp_path / "bench_sample.py"
    path.write_text(SOURCE)
    assert goals_of_source(path)[test] == goals


@pytest.mark.parametrize(
    ("goals", "wanted", "expected"),
    [
        (["B1"], ["B2"], False),
        (["B10"], ["B1"], False),
        ([], ["B1"], False),
        (["B1"], ["B2", "B1"], True),
        (["B1-batch"], ["B1"], True),
        (["B1"], ["B1-batch"], False),
    ],
)
def test_a_goal_asks_for_its_variants(goals, wanted, expected):
    """B1 asks for B1-batch, not for B10."""
    assert answers(goals, wanted) is expected


def test_the_index_names_file_and_test(tmp_path):
    """Sorted by goal; files that are no benchmarks are left out."""
    (tmp_path / "bench_sample.py").write_text(SOURCE)
    (tmp_path / "workloads.py").write_text(SOURCE)
    found = goal_index(tmp_path)
    assert list(found) == ["G3", "G3-batch", "M1", "M2", "M3", "M4", "M5"]
    assert found["M1"] == ["bench_sample.py::test_direct"]
