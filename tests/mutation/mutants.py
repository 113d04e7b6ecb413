"""Mutants of a module: its source with one small thing changed, each as a programmer's slip might change it.

Comparisons lose or win their equality, signs and roundings turn round, constants grow by one, conditions are negated,
statements that only act are left out. What cannot decide anything stays: docstrings, annotations, `__all__`,
`__slots__`, decorators, options of classes, and texts for people (f-strings and what a `raise` says).
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants_of"]

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.LShift: ast.RShift, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "floor_div": "ceil_div", "ceil_div": "floor_div", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One changed source, and what was changed where: the line, and the lines of its statement."""

    line: int
    what: str
    source: str
    first: int
    last: int


def mutants_of(source: str) -> Iterator[Mutant]:
    """Every mutant, by place in the source; each differs from it in one thing."""
    original = ast.unparse(ast.parse(source))
    spans = _spans(ast.parse(source))
    for number in range(len(list(_places(ast.parse(source))))):
        tree = ast.parse(source)
        line, what, change = list(_places(tree))[number]
        change()
        changed = ast.unparse(ast.fix_missing_locations(tree))
        if changed != original:
            yield Mutant(line, what, changed, *spans[line])


Place = tuple[int, str, Callable[[], None]]


def _spans(tree: ast.Module) -> dict[int, tuple[int, int]]:
    """First and last line of the innermost statement on each line; of one with a body, its head."""
    found: dict[int, tuple[int, int]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            body = getattr(node, "body", None)
            first = getattr(node, "lineno", None) or node.pattern.lineno  # a case begins with its pattern
            last = max(first, body[0].lineno - 1) if body else node.end_lineno
            for line in range(first, last + 1):
                if line not in found or last - first <= found[line][1] - found[line][0]:
                    found[line] = (first, last)
    return found


def _places(tree: ast.Module) -> Iterator[Place]:
    for node, owner in _code(tree):
        yield from _expressions(node)
        yield from _statements(node, owner)


def _code(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Nodes that do something, with the node around them."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "keywords") and not isinstance(node, ast.Call):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_silent(child):
                yield child, node
                yield from _code(child)


def _is_silent(node: ast.AST) -> bool:
    """Imports, names of the module and of slots, docstrings, texts for people."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.JoinedStr):
        return True
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Name) and node.targets[0].id in ("__all__", "__slots__")
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _expressions(node: ast.AST) -> Iterator[Place]:
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                yield node.lineno, type(operator).__name__, _set(node.ops, place, COMPARISONS[type(operator)]())
        case ast.BinOp() | ast.AugAssign() if type(node.op) in OPERATORS:
            yield node.lineno, type(node.op).__name__, _attribute(node, "op", OPERATORS[type(node.op)]())
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield node.lineno, type(node.op).__name__, _attribute(node, "op", other)
        case ast.UnaryOp(op=ast.USub()):
            yield node.lineno, "minus", _attribute(node, "op", ast.UAdd())
        case ast.Constant(value=bool()):
            yield node.lineno, f"{node.value}", _attribute(node, "value", not node.value)
        case ast.Constant(value=int()):
            yield node.lineno, f"{node.value}", _attribute(node, "value", int(node.value) + 1)
        case ast.Name() if node.id in NAMES:
            yield node.lineno, node.id, _attribute(node, "id", NAMES[node.id])
        case ast.If() | ast.IfExp() | ast.While():
            yield node.lineno, "condition", _attribute(node, "test", ast.UnaryOp(ast.Not(), node.test))


def _statements(node: ast.AST, owner: ast.AST) -> Iterator[Place]:
    """Calls and additions that are only there for what they do."""
    body = next((part for _, part in ast.iter_fields(owner) if isinstance(part, list) and node in part), None)
    if body is not None and isinstance(node, ast.Expr | ast.AugAssign | ast.Delete):
        yield node.lineno, "left out", _set(body, body.index(node), ast.Pass())


def _set(rows: list[ast.AST], place: int, value: ast.AST) -> Callable[[], None]:
    return lambda: rows.__setitem__(place, value)


def _attribute(node: ast.AST, name: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, name, value)
