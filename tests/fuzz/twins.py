"""The two books side by side: each step on both, answers and states compared."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import matching_core
from matching_core import ReferenceOrderBook
from matching_core.snapshots import seal, unseal
from tests.differential.command_streams import INSTRUMENTS, open_book
from tests.fuzz.setters import CELL_NUMBERS, GUARD_NUMBERS, methods_with
from tests.fuzz.steps import Step

__all__ = ["Diverged", "Twins", "run_steps"]

REFUSALS = (ValueError, KeyError)
"""What a book may raise at its caller; anything else is a finding even when both raise it."""
NAMED = {
    "instrument": tuple(INSTRUMENTS),
    "cell": CELL_NUMBERS,
    "guard": GUARD_NUMBERS,
    "levels": (1000,),
    "reference_ticks": (0, 20, 150_000),
}
CAPACITY_BYTES = 16
WORD_BYTES = 8
COMPARED_EVERY = 16
CHANGING = ("set_", "reset_", "delist_")


class Diverged(Exception):
    """The books differ, or one of them broke; the text says where."""


class Twins:
    """A reference and a compiled book that have seen the same steps."""

    def __init__(self, options: dict[str, int], *, compiled: Any = None) -> None:
        self.reference = open_book(ReferenceOrderBook, **options)
        self.compiled = open_book(compiled or matching_core.OrderBook, **options)

    def apply(self, step: Step) -> Any:
        """Make the step on both; returns the reference's answer, Diverged when the other's differs."""
        if step.call == "restart":
            return self._restart(**step.arguments)
        return self._same(step)

    def compare(self) -> None:
        """Compare everything the books show, and check the structure of each."""
        for view in VIEWS:
            shown = self._same(view)
            if view.call == "orders" and isinstance(shown, list):
                for row in shown:
                    self._same(Step("extension", {"handle": row[0]}))
        if self.reference.resting_count != self.compiled.resting_count:
            raise Diverged(f"resting_count: {self.reference.resting_count}, {self.compiled.resting_count}")

    def _same(self, step: Step) -> Any:
        expected, actual = answer(self.reference, step), answer(self.compiled, step)
        if expected != actual:
            raise Diverged(f"{step.call} {_numbers(step)}: {difference(expected, actual)}")
        return expected

    def _restart(self, *, damage_at: int, damage: int, seal: int) -> None:
        """Both books from the other's snapshot; damaged (`damage` not 0), both refuse it or both take it."""
        saved = answer(self.reference, Step("snapshot", {})), answer(self.compiled, Step("snapshot", {}))
        if saved[0] != saved[1]:
            raise Diverged(f"snapshot: {difference(*saved)}")
        spoiled = spoil(saved[0], damage_at, damage, is_sealed=bool(seal))
        step = Step("restore", {"snapshot": spoiled})
        books = [answer(type(book), step) for book in (self.reference, self.compiled)]
        refusals = [book if isinstance(book, str) else "" for book in books]
        if refusals[0] != refusals[1]:
            raise Diverged(f"restore: reference {refusals[0] or 'took it'}, compiled {refusals[1] or 'took it'}")
        if not refusals[0]:
            self.reference, self.compiled = books


def spoil(snapshot: bytes, at: int, damage: int, *, is_sealed: bool) -> bytes:
    """XOR eight bytes of a snapshot with `damage`: anywhere, or in its body under a digest that fits.

    The four capacities that begin a body are left alone there: how much memory a machine gives is not a book's to say.
    """
    start = CAPACITY_BYTES if is_sealed else 0
    spoiled = bytearray(unseal(snapshot) if is_sealed else snapshot)
    at = start + at % (len(spoiled) - start - WORD_BYTES + 1)
    word = int.from_bytes(spoiled[at : at + WORD_BYTES], "little") ^ damage
    spoiled[at : at + WORD_BYTES] = word.to_bytes(WORD_BYTES, "little")
    return seal(bytes(spoiled)) if is_sealed else bytes(spoiled)


def _numbers(step: Step) -> str:
    return " ".join(str(value) for value in step.arguments.values() if not isinstance(value, bytes))


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
    """Run steps on fresh books; returns the first difference in words, or "".

    State is compared after each step of a short list, after every sixteenth of a long one.
    """
    twins = Twins(options)
    every = 1 if len(steps) <= 4 * COMPARED_EVERY else COMPARED_EVERY
    for index, step in enumerate(steps, start=1):
        try:
            twins.apply(step)
            if index % every == 0 or index == len(steps):
                twins.compare()
        except Diverged as diverged:
            return f"step {index} of {len(steps)}: {diverged}"
    return ""
