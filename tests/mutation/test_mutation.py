"""Mutants are one change each and nothing silent; a judge tells noticed from survived."""

import ast
import json
import subprocess
import sys

import pytest

from tests.mutation.__main__ import ROOT
from tests.mutation.equivalents import EQUIVALENTS
from tests.mutation.files import COMPILED, FILES
from tests.mutation.mutants import mutants_of
from tests.mutation.outcomes import Log, _functions, digest_of_test
from tests.mutation.swap import swaps_of

SOURCE = '''"""Doc 1."""
from a import b

__all__ = ["f1"]


def g(x: int) -> None:
    """Doc 3."""
    raise ValueError(f"{x + 7} is not {8}", 9)


def f(x: int, y: int = 2) -> int:
    """Doc 2."""
    rows.append(x)
    return max(x, 0) if x < y and not x == 3 else -y
'''


def test_every_mutant_differs_in_one_thing():
    """Named, by line; what cannot matter is left alone: docstrings, annotations, names, texts for people."""
    found = [(row.line, row.what) for row in mutants_of(SOURCE)]
    assert found == [
        (12, "2"), (14, "left out"), (15, "condition"), (15, "And"), (15, "Lt"), (15, "Eq"), (15, "3"), (15, "max"),
        (15, "0"), (15, "minus"),
    ]  # fmt: skip
    assert len({row.source for row in mutants_of(SOURCE)}) == len(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = a <= b"}),
        ("x = a is None", {"x = a is not None"}),
        ("x = a * b", {"x = a + b"}),
        ("x = a or b", {"x = a and b"}),
        ("a = True", {"a = False"}),
        ("ceil_div(a, b)", {"floor_div(a, b)", "pass"}),
        ("a -= b", {"a += b", "pass"}),
        ("x: Final = 7", {"x: Final = 8"}),
        ("class A(B, gc=False):\n    x: int = 1", {"class A(B, gc=False):\n    x: int = 2"}),
    ],
)
def test_what_each_kind_becomes(source, expected):
    """A slip each."""
    assert {row.source for row in mutants_of(source)} == expected


def test_mutants_of_our_files_are_valid_sources():
    """Every one can be parsed, and there are many."""
    sources = [row.source for row in mutants_of((ROOT / "exchange/risk/waterfall.py").read_text())]
    assert len(sources) > 50
    for source in sources:
        ast.parse(source)


def test_tests_of_every_file_exist():
    """A path that is none would notice everything."""
    asked = [test.partition("::")[0] for tests in (*FILES.values(), *COMPILED.values()) for test in tests]
    assert [path for path in (*asked, *FILES, *COMPILED) if not (ROOT / path).is_file()] == []


def test_every_equivalent_is_a_mutant():
    """A line that has changed takes its reason with it."""
    known = {
        (file, lines[row.line - 1].strip(), row.what)
        for file in {name for name, _, _ in EQUIVALENTS}
        for lines in [(ROOT / file).read_text().splitlines()]
        for row in mutants_of((ROOT / file).read_text())
    }
    assert EQUIVALENTS.keys() - known == set()


@pytest.mark.parametrize(
    ("source", "mutant", "names"),
    [
        ("def f(x):\n    return 2 * x", "def f(x):\n    return 2 + x", ["f"]),
        ("class A:\n    def f(self):\n        return 1", "class A:\n    def f(self):\n        return 2", ["A.f"]),
        ("def f(x):\n    return [1 for _ in x]", "def f(x):\n    return [2 for _ in x]", ["f"]),
        ("A = 1\ndef f():\n    return A", "A = 2\ndef f():\n    return A", None),
        ("def f(x=1):\n    return x", "def f(x=2):\n    return x", None),
        ("class A:\n    x = True", "class A:\n    x = 1", None),
    ],
)
def test_functions_are_swapped_and_what_is_computed_once_is_not(source, mutant, names):
    """A comprehension belongs to its function; constants, defaults and fields of classes to the module."""
    swaps = swaps_of(source, mutant, "a.py")
    assert (None if swaps is None else [name for name, _ in swaps]) == names


@pytest.fixture(name="root")
def small_tree(tmp_path):
    """A file with a constant and two functions, a test that asks and one that does not."""
    (tmp_path / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\npythonpath = ['.']\nmarkers = ['risk_search']\n"
    )
    (tmp_path / "tree_of_one.py").write_text(
        "TIMES = 2\ndef double(x):\n    return TIMES * x\n"
        "def last(x):\n    while x > 1:\n        x -= 1\n    return x\n"
    )
    (tmp_path / "test_asks.py").write_text(
        "from tree_of_one import double, last\n"
        "def test_a():\n    assert double(3) == 6\ndef test_b():\n    assert last(4) == 1\n"
    )
    (tmp_path / "test_idle.py").write_text("from tree_of_one import double\ndef test_a():\n    double(2)\n")
    return tmp_path


@pytest.mark.parametrize(
    ("test", "noticed", "survived"),
    [
        ("test_asks.py", 8, []),
        ("test_idle.py", 0, ["1: 2", "3: Mult", "5: Gt", "5: 1", "5: condition", "6: Sub", "6: 1", "6: left out"]),
    ],
)
def test_a_judge_tells_noticed_from_survived(root, test, noticed, survived):
    """Also what runs forever, and what is computed once; the log answers the second time, and the file is untouched."""
    before = (root / "tree_of_one.py").read_text()
    command = [sys.executable, "-c", JUDGE, str(ROOT), str(root), test]
    for _ in range(2):
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["noticed"] == noticed
        found = {name.removeprefix("tree_of_one.py:").rpartition(": ")[0] for name in answer["survivors"]}
        assert found == set(survived)
    assert (root / "tree_of_one.py").read_text() == before


JUDGE = """
import json, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[1]]
from tests.mutation.__main__ import judge, rows_of
from tests.mutation.outcomes import Log, _functions, digest_of_test
root = Path(sys.argv[2])
tests = {"tree_of_one.py": (sys.argv[3],)}
log = Log(root / "log", root)
judge(["tree_of_one.py"], log, root, tests)
(row,) = rows_of(["tree_of_one.py"], log, root, tests)
print()
print(json.dumps({"noticed": row.noticed, "survivors": row.survivors}))
"""


def test_an_outcome_counts_while_its_test_is_as_it_was(tmp_path):
    """Another test in the file changes nothing for a noticed mutant; a survivor is asked by what has not been asked."""
    one, two = "def test_a():\n    assert f(1)\n", "def test_b():\n    assert f(2)\n"
    answers = []
    for number, text in enumerate((one, one + two, two)):
        name = f"test_{number}.py"  # what a file holds is read once
        (tmp_path / name).write_text(one)
        log = Log(tmp_path / f"log_{number}", tmp_path)
        log.add("noticed", (f"{name}::test_a[3]", {}), "before")
        log.add("survived", ("", {f"{name}::test_a": digest_of_test(tmp_path, f"{name}::test_a[4]")}), "before")
        (tmp_path / name).write_text(text)
        _functions.cache_clear()
        again = Log(tmp_path / f"log_{number}", tmp_path)
        answers.append((again.find("noticed", "after") is not None, len(again.asked("survived"))))
        assert [again.find(key, "after") for key in ("survived", "new")] == [None, None]
        assert again.find("survived", "before") == ""
    assert answers == [(True, 1), (True, 1), (False, 0)]
