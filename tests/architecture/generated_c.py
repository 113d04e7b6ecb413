"""What the matching loop is in C: the functions Cython wrote for it, who calls whom, and what touches Python."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source_tree import ROOT

__all__ = ["LOOP", "compile_to_c", "functions_of", "python_in", "reached_from"]

LOOP = ("core_apply", "core_apply_many", "core_continue")
DEFINITION = re.compile(r"^(?:static )[^\n;=]*?\b(__pyx_f_\w+)\([^;{]*\) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
PYTHON = re.compile(r"\b(?:Py|_Py|__Pyx|__PYX)\w+|\b__pyx_(?:mstate|n_|kp_|vtab|lineno|clineno|empty|builtin|state)\w*")
LANGUAGE = frozenset({"if", "while", "for", "switch", "return", "sizeof", "likely", "unlikely"})
FROM_C = frozenset({"memcpy", "memset", "memmove", "realloc"})
OURS = re.compile(r"offbook_\w+|__builtin_\w+")


def compile_to_c(package: Path, target: Path) -> str:
    """Let Cython translate the book in `package` (a folder named matching_core); returns the C text."""
    source = package / "_order_book.pyx"
    command = [sys.executable, "-m", "cython", "-3", "-o", str(target), str(source)]
    subprocess.run(command, cwd=package.parent, check=True, capture_output=True)
    return target.read_text()


def loop_source() -> Path:
    """Folder of the real sources."""
    return ROOT / "matching_core"


def functions_of(text: str) -> dict[str, str]:
    """Body by name of every function that came from Cython code, without comments."""
    return {name: COMMENT.sub(" ", body) for name, body in DEFINITION.findall(text)}


def reached_from(functions: dict[str, str], starts: tuple[str, ...] = LOOP) -> set[str]:
    """Names of the functions that a call of `starts` may enter, themselves among them."""
    waiting = [name for name in functions if name.endswith(tuple(f"_order_book_{start}" for start in starts))]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [called for called in CALL.findall(functions[name]) if called in functions]
    return reached


def python_in(functions: dict[str, str], reached: set[str]) -> Iterator[str]:
    """Name every token of the Python API, and every call to something unknown, in the functions reached."""
    for name in sorted(reached):
        body = functions[name]
        for token in sorted(set(PYTHON.findall(body))):
            yield f"{name}: {token}"
        for called in sorted(set(CALL.findall(body))):
            known = called in functions or called in LANGUAGE or called in FROM_C or OURS.fullmatch(called)
            if not known and not PYTHON.fullmatch(called):
                yield f"{name}: calls {called}"
