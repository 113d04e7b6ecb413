"""Which goals a benchmark answers: its `goal` marker, or the goals its source stores.

A benchmark stores its goal as `goal="B1"` (or the key "goal" of a dictionary), itself or in a helper of its module that
it calls. Reading that from the source saves a second list of goals that would rot.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["FOLDER", "answers", "goal_index", "goals_of_item", "goals_of_source"]

FOLDER: Final = Path(__file__).resolve().parent


def answers(goals: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether one of `goals` is wanted; B1 also asks for its variants, B1-batch."""
    wishes = tuple(wanted)
    return any(goal == wish or goal.startswith(f"{wish}-") for goal in goals for wish in wishes)


def goals_of_item(item: Any) -> frozenset[str]:
    """Goals of a collected pytest item."""
    return goals_of_source(item.path).get(item.originalname, frozenset())


@cache
def goals_of_source(path: Path) -> dict[str, frozenset[str]]:
    """Goals of each test function of a file."""
    tree = ast.parse(path.read_text())
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {
        name: _marked_goals(functions[name])
        or frozenset(goal for reached in _reach(name, functions) for goal in _stored_goals(functions[reached]))
        for name in functions
        if name.startswith("test_")
    }


def goal_index(folder: Path = FOLDER) -> dict[str, list[str]]:
    """Every goal with the benchmarks that answer it."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("bench_*.py")):
        for test, goals in goals_of_source(path).items():
            for goal in goals:
                found.setdefault(goal, []).append(f"{path.name}::{test}")
    return dict(sorted(found.items()))


def _reach(name: str, functions: dict[str, Any]) -> set[str]:
    """`name` and every function of the module that it names, directly or not."""
    reached, waiting = {name}, [name]
    while waiting:
        for node in ast.walk(functions[waiting.pop()]):
            if isinstance(node, ast.Name) and node.id in functions and node.id not in reached:
                reached.add(node.id)
                waiting.append(node.id)
    return reached


def _marked_goals(function: Any) -> frozenset[str]:
    """Arguments of `@pytest.mark.goal(...)`."""
    marks = (
        node
        for node in function.decorator_list
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "goal"
    )
    return frozenset(str(node.value) for mark in marks for node in mark.args if isinstance(node, ast.Constant))


def _stored_goals(function: ast.AST) -> Iterator[str]:
    for value in _goal_values(function):
        for node in ast.walk(value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value[:1].isupper():
                yield node.value


def _goal_values(function: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.keyword) and node.arg == "goal":
            yield node.value
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "goal")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "record_goal":
            yield from node.args[1:2]
        elif isinstance(node, ast.Assign) and any(_is_goal_key(target) for target in node.targets):
            yield node.value


def _is_goal_key(target: ast.expr) -> bool:
    return isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant) and target.slice.value == "goal"
