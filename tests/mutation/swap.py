"""A mutant in place of loaded code: the functions that differ get its code; what a module computes once cannot."""

import importlib
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from pathlib import PurePosixPath
from types import CodeType, FunctionType
from typing import Any

__all__ = ["module_name", "put_in_place", "swaps_of"]

Swap = tuple[str, CodeType]


class _OutsideFunctionsError(Exception):
    """The module differs where it is executed once, at its import."""


def module_name(file: str) -> str:
    """Dotted name of a source file."""
    return ".".join(PurePosixPath(file).with_suffix("").parts)


def swaps_of(source: str, mutant: str, file: str) -> list[Swap] | None:
    """(qualified name, new code) of the functions that differ; None where others than named functions do.

    `source` is the unchanged one as `ast.unparse` writes it: both are written alike.
    """
    try:
        swaps = list(_differing(compile(source, file, "exec"), compile(mutant, file, "exec")))
    except _OutsideFunctionsError:
        return None
    return None if any("<" in name for name, _ in swaps) else swaps


def put_in_place(file: str, swaps: list[Swap]) -> None:
    """Give the loaded functions their new code, for everybody who has imported them."""
    for name, code in swaps:
        function = _find(name, file)
        function.__code__ = code


def _differing(before: CodeType, after: CodeType) -> Iterator[Swap]:
    inner = [[one for one in code.co_consts if isinstance(one, CodeType)] for code in (before, after)]
    if before.co_flags & CO_OPTIMIZED:
        if not _is_equal(before, after):
            yield after.co_qualname, after
        return
    if _shape(before) != _shape(after) or len(inner[0]) != len(inner[1]):
        raise _OutsideFunctionsError
    for one, other in zip(*inner, strict=True):
        yield from _differing(one, other)


def _is_equal(before: CodeType, after: CodeType) -> bool:
    inner = [[one for one in code.co_consts if isinstance(one, CodeType)] for code in (before, after)]
    return (
        _shape(before) == _shape(after)
        and len(inner[0]) == len(inner[1])
        and all(_is_equal(one, other) for one, other in zip(*inner, strict=True))
    )


def _shape(code: CodeType) -> tuple[Any, ...]:
    # Equal constants of other types are other constants: 1 and True.
    constants = [(type(one), one) for one in code.co_consts if not isinstance(one, CodeType)]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_exceptiontable


def _find(name: str, file: str) -> Any:
    found: Any = importlib.import_module(module_name(file))
    for part in name.split("."):
        found = vars(found)[part]
        if isinstance(found, property):
            found = found.fget
        found = getattr(found, "__func__", found)
    if not isinstance(found, FunctionType) or hasattr(found, "__wrapped__"):
        raise TypeError(f"{name} of {file} is no plain function")
    return found
