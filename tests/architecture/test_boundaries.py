"""Boundaries that import-linter cannot see: Cython sources, banned calls, the environment's one reader."""

import ast
import re

import pytest

from tests.architecture.source_tree import ROOT, cython_files, in_zone, python_files, tree_of

CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))", re.MULTILINE)
ALLOWED_IN_CYTHON = {
    "matching_core": ("matching_core", "hashlib", "libc", "cpython", "cython", "array"),
    "settlement": ("settlement", "hashlib", "libc", "cpython", "cython"),
    "exchange": ("exchange", "matching_core", "settlement", "libc", "cpython", "cython"),
}
BANNED_CALLS = {
    "float": "integers only in the deterministic zone",
    "open": "no files in the deterministic zone",
    "eval": "never",
    "exec": "never",
    "print": "write to sys.stdout in the cli",
}


def relative(path):
    """Path for ids and messages."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", cython_files(), ids=relative)
def test_cython_sources_import_only_downwards(path):
    """A .pyx that imports upwards would pass import-linter silently."""
    package = relative(path).split("/")[0]
    found = [first or second for first, second in CYTHON_IMPORT.findall(path.read_text())]
    assert [name for name in found if name.split(".")[0] not in ALLOWED_IN_CYTHON[package]] == []


@pytest.mark.parametrize("path", [p for p in python_files() if in_zone(p)], ids=relative)
def test_the_deterministic_zone_calls_nothing_that_differs_between_runs(path):
    """Floats, files and prints do not exist where replay must give the same bytes."""
    lines = path.read_text().splitlines()
    found = [
        f"{relative(path)}:{node.lineno} {node.func.id}(): {BANNED_CALLS[node.func.id]}"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in BANNED_CALLS
        and "det-ok" not in lines[node.lineno - 1]
    ]
    assert found == []


@pytest.mark.parametrize("path", [p for p in python_files() if in_zone(p)], ids=relative)
def test_the_deterministic_zone_has_no_float_literals_or_true_division(path):
    """`/` on integers makes a float; the named divisions of exchange.domain.money do not."""
    lines = path.read_text().splitlines()
    found = [
        f"{relative(path)}:{node.lineno}"
        for node in ast.walk(tree_of(path))
        if (
            (isinstance(node, ast.Constant) and isinstance(node.value, float))
            or (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))
        )
        and "det-ok" not in lines[node.lineno - 1]
    ]
    assert found == []


def test_only_app_config_reads_the_environment():
    """Configuration has one reader; everybody else is told."""
    readers = [
        relative(path)
        for path in python_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert sorted(set(readers)) == ["exchange/app/config.py"]


@pytest.mark.parametrize("path", [p for p in python_files() if p.name != "__main__.py"], ids=relative)
def test_modules_say_what_they_export(path):
    """Each module has a docstring and, when it defines anything public, `__all__`."""
    tree = tree_of(path)
    assert ast.get_docstring(tree)
    public = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    named = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and any(getattr(t, "id", "") == "__all__" for t in getattr(node, "targets", [getattr(node, "target", None)]))
    ]
    assert not public or named


def test_no_room_has_a_name_without_meaning():
    """utils, common, helpers and misc say nothing about what lives there."""
    banned = {"utils", "common", "helpers", "misc", "util", "helper"}
    assert [relative(p) for p in python_files() if p.stem in banned or p.parent.name in banned] == []
