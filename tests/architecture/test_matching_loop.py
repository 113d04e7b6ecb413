"""The matching loop owns no Python object: read in the C that Cython writes, with proof that the reading can fail."""

import re
import shutil

import pytest

from tests.architecture.generated_c import compile_to_c, functions_of, loop_source, python_in, reached_from

MATCHED = (
    "core_apply",
    "core_apply_many",
    "core_continue",
    "apply_new",
    "apply_cancel",
    "apply_amend",
    "walk",
    "trade",
    "finish",
    "emit",
    "dry_fill",
    "make_level",
)
"""Functions no loop is without: were they not reached, the call graph would be read wrongly."""


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """Give the functions of the real book."""
    return functions_of(compile_to_c(loop_source(), tmp_path_factory.mktemp("c") / "_order_book.c"))


def test_the_loop_touches_no_python_object(functions):
    """The three doors and all they call hold no token of the Python API and call nothing unknown."""
    assert list(python_in(functions, reached_from(functions))) == []


def test_the_loop_reaches_every_step_of_a_command(functions):
    """The call graph leads from the doors to checking, matching, resting and reporting."""
    reached = reached_from(functions)
    assert [name for name in MATCHED if not any(re.search(rf"_{name}$", found) for found in reached)] == []


def test_what_is_not_the_loop_is_seen_to_touch_python(functions):
    """`list` building functions of the same file are full of it: the reading sees what is there."""
    outside = {name for name in functions if name.endswith(("side_depth", "hash_side"))}
    assert len(outside) == 2
    assert len(list(python_in(functions, outside))) > 20


INJECTED = [
    # statement in C                            what is reported
    ("Py_INCREF(__pyx_v_core);", "Py_INCREF"),
    ("PyObject *object = NULL;", "PyObject"),
    ("__Pyx_RaiseZeroDivision();", "__Pyx_RaiseZeroDivision"),
    ("PyGILState_STATE state = PyGILState_Ensure();", "PyGILState_Ensure"),
    ("printf(0);", "calls printf"),
]


@pytest.mark.parametrize(("statement", "words"), INJECTED, ids=[row[1] for row in INJECTED])
def test_a_python_call_deep_in_the_loop_is_reported(functions, statement, words):
    """One statement in the function that writes an event, five calls below the door."""
    (deep,) = (name for name in reached_from(functions) if re.search(r"_entry_checks_emit$", name))
    spoiled = {**functions, deep: functions[deep] + statement}
    assert f"{deep}: {words}" in list(python_in(spoiled, reached_from(spoiled)))


MUTATED = [
    # what a hand may write          header of a function                           line added below it
    ("an object", r"cdef inline void proceed\(.*\) noexcept nogil:\n", "    with gil:\n        print(1)\n"),
    ("a checked division", r"cdef inline void proceed\(.*\) noexcept nogil:\n", "    core.walk //= core.phase\n"),
]


@pytest.mark.parametrize(("header", "line"), [row[1:] for row in MUTATED], ids=[row[0] for row in MUTATED])
def test_a_mutated_source_is_reported(tmp_path, header, line):
    """The same reading over a copy of the sources with one line more finds Python in the loop."""
    package = tmp_path / "matching_core"
    shutil.copytree(loop_source(), package, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    spoiled = 0
    for path in sorted(package.glob("*.p[xy][dx]")):
        text, count = re.subn(header, lambda found: found[0] + line, path.read_text())
        path.write_text(text)
        spoiled += count
    assert spoiled == 1
    functions = functions_of(compile_to_c(package, tmp_path / "_order_book.c"))
    assert any("_proceed: " in found for found in python_in(functions, reached_from(functions)))
