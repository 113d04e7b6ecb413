"""The two books side by side: each step on both, answers and states compared."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import matching_core
from matching_core import ReferenceOrderBook
from tests.differential.command_streams import INSTRUMENTS
from tests.differential.test_order_book import build_book
from tests.fuzz.setters import COUNTED, methods_with
from tests.fuzz.steps import Step

__all__ = ["Diverged", "Twins", "answer", "build_reference", "run_steps"]

REFUSALS = (ValueError, KeyError)
"""What a book may raise at its caller; anything else is a finding even when both raise it."""
NAMED = {"instrument": tuple(INSTRUMENTS), "cell": COUNTED, "guard": COUNTED, "levels": (1000,)}
CHANGING = ("set_", "reset_", "delist_")


class Diverged(Exception):
    """The books differ, or one of them broke; the text says where."""


class Twins:
    """A reference and a compiled book that have seen the same steps."""

    def __init__(self, options: dict[str, int]) -> None:
        self.reference = build_reference(options)
        self.compiled = build_book(matching_core.OrderBook, **options)

    def apply(self, step: Step) -> Any:
        """Make the step on both; returns the reference's answer, Diverged when the other's differs."""
        expected = answer(self.reference, step)
        actual = answer(self.compiled, step)
        if expected != actual:
            raise Diverged(f"{step.call}: {difference(expected, actual)}")
        return expected

    def compare(self) -> None:
        """Compare everything the books show, and check the structure of each."""
        for view in VIEWS:
            expected, actual = answer(self.reference, view), answer(self.compiled, view)
            if expected != actual:
                raise Diverged(f"{view.call}{tuple(view.arguments.values())}: {difference(expected, actual)}")
        if self.reference.resting_count != self.compiled.resting_count:
            raise Diverged(f"resting_count: {self.reference.resting_count}, {self.compiled.resting_count}")


def build_reference(options: dict[str, int]) -> Any:
    """Make a fresh reference book as Twins does."""
    return build_book(ReferenceOrderBook, **options)


def answer(book: Any, step: Step) -> Any:
    """Return what a call answers, or the name of the refusal it raised; Diverged for any other exception."""
    try:
        return step.on(book)
    except REFUSALS as refusal:
        return f"raised {type(refusal).__name__}"
    except Exception as error:
        raise Diverged(f"{type(book).__name__}.{step.call} raised {type(error).__name__}: {error}") from error


def views() -> list[Step]:
    """List every look at a book; the answers of twins are equal."""
    looks = []
    for name, arguments in methods_with(set(NAMED)):
        if not name.startswith(CHANGING):
            looks += [Step(name, dict(zip(arguments, values, strict=True))) for values in _values_of(arguments)]
    return looks


def _values_of(arguments: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
    return product(*(NAMED[argument] for argument in arguments))


VIEWS = views()


def difference(expected: Any, actual: Any) -> str:
    """Name the first 32 bytes, or the whole values, that differ."""
    if not isinstance(expected, bytes) or not isinstance(actual, bytes):
        return f"reference {expected!r:.300}, compiled {actual!r:.300}"
    for start in range(0, max(len(expected), len(actual)), 32):
        left, right = expected[start : start + 32], actual[start : start + 32]
        if left != right:
            return f"record {start // 32}: reference {left.hex() or 'nothing'}, compiled {right.hex() or 'nothing'}"
    return "equal"


def run_steps(options: dict[str, int], steps: list[Step]) -> str:
    """Run steps on fresh books, comparing state after each; returns the first difference in words, or ""."""
    twins = Twins(options)
    for index, step in enumerate(steps):
        try:
            twins.apply(step)
            twins.compare()
        except Diverged as diverged:
            return f"step {index + 1} of {len(steps)}: {diverged}"
    return ""
