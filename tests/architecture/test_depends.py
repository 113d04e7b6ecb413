"""Every extension names the declarations it compiles in: a stale build would read structs of another shape."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT

EXTENSIONS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
CIMPORT = re.compile(r"^from\s+([\w.]+)\s+cimport\s+(\([^)]*\)|[^\n]+)", re.MULTILINE)


def declarations(path: Path) -> set[Path]:
    """The .pxd files of ours that a source takes in at first hand."""
    found = {path.with_suffix(".pxd")}
    for module, names in CIMPORT.findall(path.read_text()):
        folder = ROOT / module.replace(".", "/")
        found.add(folder.with_suffix(".pxd"))
        found.update(folder / f"{name}.pxd" for name in re.findall(r"\w+", names))
    return {one for one in found if one.exists()}


def closure(path: Path) -> set[str]:
    """All of them, through each other."""
    seen: set[Path] = set()
    todo = [path]
    while todo:
        new = declarations(todo.pop()) - seen
        seen |= new
        todo += new
    return {str(one.relative_to(ROOT)) for one in seen}


@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda extension: extension["name"])
def test_an_extension_depends_on_every_declaration_it_compiles_in(extension) -> None:
    """What the compiler reads is what makes the build look stale."""
    (source,) = extension["sources"]
    missing = closure(ROOT / source) - set(extension.get("depends", ()))
    assert not missing, f"{extension['name']}: add to `depends` in pyproject.toml: {sorted(missing)}"


def test_the_engine_depends_on_the_core() -> None:
    """The search above finds what the hot path takes from the core, so it can fail."""
    assert "matching_core/_order_pool.pxd" in closure(ROOT / "exchange/engine/_hot_path.pyx")
