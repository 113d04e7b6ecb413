"""Extensions that are built are used: a slow twin never takes over silently from one that does not load."""

import importlib
import subprocess
import sys
import tomllib

import pytest

from tests.architecture.source_tree import ROOT

EXTENSIONS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
NAMES = [extension["name"] for extension in EXTENSIONS]
CHOOSERS = [
    ("matching_core", "matching_core._order_book"),
    ("exchange.engine.states", "exchange.engine._state"),
    ("exchange.pricing.chains", "exchange.pricing._kernel"),
    ("exchange.pricing.grid", "exchange.pricing._kernel"),
    ("exchange.gateway.frames", "exchange.gateway._frames"),
    ("exchange.risk.scanning", "exchange.risk._margin"),
    ("settlement.protocol.keccak", "settlement.protocol._keccak"),
    ("settlement.protocol.signature", "settlement.protocol._signatures"),
    ("settlement.protocol.netting", "settlement.protocol._netting"),
]
# A finder in front of the others: the named extension is there, and its loader does with it what a build for
# another Python or of another struct layout does. Absent instead of broken, it is not found at all.
PRELUDE = """
import importlib.abc, importlib.machinery, sys

class Loader(importlib.abc.Loader):
    def create_module(self, spec):
        raise ImportError("undefined symbol: PyOfAnotherVersion")
    def exec_module(self, module):
        pass

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            return importlib.machinery.ModuleSpec(name, Loader())

sys.meta_path.insert(0, Finder())
import {chooser} as chooser
sys.stdout.write(str(chooser.COMPILED))
"""
ABSENT = """
import importlib.util, sys
known = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == {name!r} else known(name, package)
import {chooser} as chooser
sys.stdout.write(str(chooser.COMPILED))
"""


def answer(program: str, chooser: str, name: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in an interpreter of its own."""
    source = program.format(chooser=chooser, name=name)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("name", NAMES)
def test_every_extension_is_built_and_loads(name: str) -> None:
    """Without them every differential test would compare a twin with itself."""
    assert importlib.import_module(name).__file__.endswith((".so", ".pyd"))


@pytest.mark.parametrize(("chooser", "name"), CHOOSERS)
def test_a_broken_extension_stops_the_import(chooser: str, name: str) -> None:
    """The slow twin in production, and every differential test skipped, is what a silent fallback would give."""
    done = answer(PRELUDE, chooser, name)
    assert done.returncode == 1
    assert "undefined symbol: PyOfAnotherVersion" in done.stderr


@pytest.mark.parametrize(("chooser", "name"), CHOOSERS)
def test_an_absent_extension_leaves_the_twin(chooser: str, name: str) -> None:
    """A source tree without a compiler still works."""
    done = answer(ABSENT, chooser, name)
    assert (done.returncode, done.stdout) == (0, "False"), done.stderr
