"""Builds what benchmarks need in C, C++ and Cython with the compiler and the flags of the matching core.

Results stand in `native/build/` under a name that holds the hash of sources, flags and the core's headers, so nothing
stale is ever measured. A missing compiler is one Missing with a clear line; with STRICT=1 in the environment the rows
that need it fail instead of being skipped.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from functools import cache
from hashlib import sha256
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["Missing", "core_flags", "core_replay", "library", "margin_probe", "program", "unchecked_hot_path"]

FOLDER: Final = Path(__file__).resolve().parent / "native"
BUILD: Final = FOLDER / "build"
_ROOT: Final = FOLDER.parents[1]
_CORE: Final = "matching_core._order_book"
_ENGINE: Final = "exchange.engine._hot_path"
_C_ONLY: Final = ("-Wstrict-prototypes", "-Wmissing-prototypes")


class Missing(RuntimeError):
    """A tool that is not installed; the text is one line for people."""


@cache
def core_flags() -> tuple[str, ...]:
    """Flags that set-up compiles the core with: the interpreter's, then the extension's own."""
    return _flags_of(_CORE)


def _flags_of(extension: str) -> tuple[str, ...]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    modules = project["tool"]["setuptools"]["ext-modules"]
    own = next(module["extra-compile-args"] for module in modules if module["name"] == extension)
    return (*shlex.split(sysconfig.get_config_var("CFLAGS") or ""), *own)


@cache
def program(source: str) -> Path:
    """The built program of `native/<source>`, a .c or .cpp file."""
    path = FOLDER / source
    compiler = _compiler(path.suffix)
    flags = [flag for flag in core_flags() if flag not in _C_ONLY]
    if path.suffix == ".cpp":
        flags.append("-std=c++17")
    sources = [path, *sorted(FOLDER.glob("*.h"))]
    target = BUILD / f"{path.stem}-{_fingerprint(sources, [*compiler, *flags])}"
    if not target.exists():
        _build(target, lambda made: [*compiler, *flags, str(path), "-o", made])
    return target


@cache
def library(source: str) -> ctypes.CDLL:
    """The loaded library of `native/<source>`, a .c file, built with the flags of the pricing kernel."""
    path = FOLDER / source
    compiler = _compiler(path.suffix)
    flags = [*(flag for flag in core_flags() if flag not in _C_ONLY), "-fno-math-errno", "-fPIC", "-shared"]
    target = BUILD / f"{path.stem}-{_fingerprint([path], [*compiler, *flags])}.so"
    if not target.exists():
        _build(target, lambda made: [*compiler, *flags, str(path), "-o", made, "-lm"])
    return ctypes.CDLL(str(target))


@cache
def core_replay() -> ModuleType:
    """The extension that drives the core from C."""
    headers = [*sorted((_ROOT / "matching_core").glob("*.pxd")), FOLDER / "cycles.h"]
    return _extension("_core_replay", headers, core_flags())


@cache
def margin_probe() -> ModuleType:
    """The extension that reads the margins of a compiled engine."""
    folders = (_ROOT / "exchange/engine", _ROOT / "matching_core")
    headers = [path for folder in folders for path in sorted(folder.glob("*.pxd"))]
    return _extension("_margin_probe", headers, _flags_of(_ENGINE))


@cache
def unchecked_hot_path() -> ModuleType:
    """The engine's hot path built a second time, without its margin check: what the check costs is the difference."""
    source = _ROOT / f"{_ENGINE.replace('.', '/')}.c"
    if not source.exists():
        raise Missing("the engine's C source is not there: make build")
    compiler, flags = _compiler(".c"), [*_flags_of(_ENGINE), "-DOFFBOOK_IS_CHECKED=0", "-fPIC", "-shared"]
    target = BUILD / f"_unchecked-{_fingerprint([source], [*compiler, *flags])}.so"
    if not target.exists():
        _say("building the engine without its margin check (once)")
        includes = [f"-I{sysconfig.get_paths()['include']}", f"-I{_ROOT}"]
        _build(target, lambda made: [*compiler, *flags, *includes, str(source), "-o", made])
    return _loaded(_ENGINE, target)


def _extension(name: str, headers: list[Path], given: tuple[str, ...]) -> ModuleType:
    """The loaded extension of `native/<name>.pyx`, built once for what it is made of."""
    source = FOLDER / f"{name}.pyx"
    compiler, flags = _compiler(".c"), [*given, "-fPIC", "-shared"]
    target = BUILD / f"{name}-{_fingerprint([source, *headers], [*compiler, *flags])}.so"
    if not target.exists():
        _say(f"building {name} (once)")
        translated = BUILD / f"{target.stem}.c"
        cython = [sys.executable, "-m", "cython", "-3", "-I", str(_ROOT), "--module-name", name, str(source)]
        _build(translated, lambda made: [*cython, "-o", made])
        includes = [f"-I{sysconfig.get_paths()['include']}", f"-I{FOLDER}", f"-I{_ROOT}"]
        _build(target, lambda made: [*compiler, *flags, *includes, str(translated), "-o", made])
    return _loaded(name, target)


def _loaded(name: str, target: Path) -> ModuleType:
    spec = spec_from_file_location(name, target, loader=ExtensionFileLoader(name, str(target)))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compiler(suffix: str) -> list[str]:
    names = {".c": ("CC", "gcc"), ".cpp": ("CXX", "g++")}
    variable, usual = names[suffix]
    found = shlex.split(os.environ.get(variable) or sysconfig.get_config_var(variable) or usual)
    if not shutil.which(found[0]):
        raise Missing(f"{found[0]} is not installed: what is built with it is not measured")
    return found[:1]


def _build(target: Path, command) -> None:
    """Run a compiler into a file of its own, then move it in place, so that two runs do not meet."""
    BUILD.mkdir(exist_ok=True)
    made = target.with_name(f"{os.getpid()}-{target.name}")
    done = subprocess.run(command(str(made)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"{target.name} does not build: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    made.replace(target)


def _fingerprint(files: list[Path], words: list[str]) -> str:
    digest = sha256("\0".join(words).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
