"""Draws for the calls that set a book's counters: found by name, so that new ones are drawn too."""

import inspect
from collections.abc import Iterator
from random import Random

from matching_core import ReferenceOrderBook
from tests.differential.command_streams import CELLS, GUARDS, INSTRUMENTS
from tests.fuzz.steps import Step

__all__ = ["CELL_NUMBERS", "GUARD_NUMBERS", "SETTERS", "draw_setter", "methods_with"]

CELL_NUMBERS = (*CELLS, 6)
GUARD_NUMBERS = (*GUARDS, 4)
"""Those of the stream, and one that is not set."""
WITH_SIGN = ("set_cell", "set_weights")
SIGNED = (0, 1, 5, 40, -40, 500, -500)
LIMITS = (0, 0, 1, 2, 5, 40, 500, 1_000_000_000)
WILD = (2**32 - 1, 2**32, 2**61, 2**61 + 1, 2**62, -(2**62), 2**62 + 1, 2**63 - 1, -(2**63), -1)


def methods_with(names: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the public methods of a book whose arguments are all integers, at least those in `names` and no others."""
    for name, method in inspect.getmembers(ReferenceOrderBook, inspect.isfunction):
        parameters = list(inspect.signature(method).parameters.values())[1:]
        arguments = tuple(parameter.name for parameter in parameters)
        are_integers = all(parameter.annotation is int for parameter in parameters)
        if not name.startswith("_") and are_integers and (not names or set(arguments) <= names):
            yield name, arguments


SETTERS = {name: names for name, names in methods_with(set()) if name.startswith(("set_", "reset_"))}


def draw_setter(random: Random, *, wild_percent: int = 0) -> Step:
    """One call of a setter; `wild_percent` of them with a value at or beyond a bound."""
    name = random.choice(tuple(SETTERS))
    lots = SIGNED if name in WITH_SIGN else LIMITS
    arguments = {argument: _draw_argument(random, argument, lots) for argument in SETTERS[name]}
    if random.randrange(100) < wild_percent:
        arguments[random.choice(SETTERS[name])] = random.choice(WILD)
    return Step(name, arguments)


def _draw_argument(random: Random, name: str, others: tuple[int, ...]) -> int:
    numbers = {"instrument": tuple(INSTRUMENTS), "cell": CELL_NUMBERS, "guard": GUARD_NUMBERS}
    return random.choice(numbers.get(name, others))
