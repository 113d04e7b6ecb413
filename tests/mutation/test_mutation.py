"""Mutants are one change each and nothing silent; a judge tells noticed from survived."""

import ast

import pytest

from tests.mutation.__main__ import FILES, ROOT, Judge, Log
from tests.mutation.mutants import mutants_of

SOURCE = '''"""Doc 1."""
from a import b

__all__ = ["f1"]


def f(x: int, y: int = 2) -> int:
    """Doc 2."""
    rows.append(x)
    return max(x, 0) if x < y and not x == 3 else -y
'''


def test_every_mutant_differs_in_one_thing():
    """Named, by line; what cannot matter is left alone."""
    found = [(row.line, row.what) for row in mutants_of(SOURCE)]
    assert found == [
        (7, "2"), (9, "left out"), (10, "condition"), (10, "And"), (10, "Lt"), (10, "Eq"), (10, "3"), (10, "max"),
        (10, "0"), (10, "minus"),
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
    assert [test for tests in FILES.values() for test in tests if not (ROOT / test).is_file()] == []


def test_a_judge_tells_noticed_from_survived(tmp_path):
    """A test that asks notices, one that does not lets it live; the tree is as before."""
    root = tmp_path / "root"
    (root / "exchange").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['.']\n")
    (root / "exchange" / "one.py").write_text("def double(x):\n    return 2 * x\n")
    (root / "tests" / "test_asks.py").write_text(
        "from exchange.one import double\ndef test_a():\n    assert double(3) == 6\n"
    )
    (root / "tests" / "test_idle.py").write_text(
        "from exchange.one import double\ndef test_a():\n    assert double(2) == 4\n"
    )
    judge = Judge(tmp_path / "copy", root)
    (mutant, _) = list(mutants_of((root / "exchange" / "one.py").read_text()))
    assert mutant.what == "Mult"
    assert judge.is_noticed("exchange/one.py", mutant.source, ["tests/test_asks.py"])
    assert not judge.is_noticed("exchange/one.py", mutant.source, ["tests/test_idle.py"])
    assert judge.is_noticed("exchange/one.py", mutant.source, ["tests/test_idle.py", "tests/test_asks.py"])
    assert (tmp_path / "copy" / "exchange" / "one.py").read_text() == (root / "exchange" / "one.py").read_text()


def test_a_judged_mutant_is_not_judged_again(tmp_path):
    """Its outcome stands in the log."""
    log = Log(tmp_path / "log")
    log.add("a 1", noticed=False)
    assert Log(tmp_path / "log").find("a 1") is False
    assert Log(tmp_path / "log").find("a 2") is None
