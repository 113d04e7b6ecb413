"""What the architecture tests look at: our own sources, parsed once."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("exchange", "matching_core", "settlement")
DETERMINISTIC = ("matching_core", "settlement/protocol", "exchange/domain", "exchange/engine", "exchange/risk")
SKIPPED = ("node_modules", "__pycache__", "contracts/out", "contracts/cache")


def _ours(path: Path) -> bool:
    return not any(part in str(path) for part in SKIPPED)


@cache
def python_files() -> tuple[Path, ...]:
    """Every production .py file."""
    return tuple(sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py") if _ours(p)))


@cache
def cython_files() -> tuple[Path, ...]:
    """Every .pyx and .pxd file."""
    return tuple(
        sorted(p for name in PACKAGES for ending in ("pyx", "pxd") for p in (ROOT / name).rglob(f"*.{ending}"))
    )


@cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """(qualified name, code lines without the docstring) of each function."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            docstring = ast.get_docstring(node) is not None
            first = body[1] if docstring and len(body) > 1 else body[0]
            yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - first.lineno + 1


def in_zone(path: Path) -> bool:
    """Whether the file belongs to the deterministic zone."""
    relative = str(path.relative_to(ROOT))
    return any(relative.startswith(zone + "/") for zone in DETERMINISTIC)
