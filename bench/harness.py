"""What benchmarks share: sizes, result hashes, interleaved comparison, and the keys of a goal's figures.

A figure is a ratio against a reference that ran in the same process between the rounds of the thing measured, so that a
slow phase of the machine hits both. A hash of the result stands beside every figure: a faster run with another hash did
other work.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

__all__ = ["IS_SMALL", "Comparison", "in_turns", "interleaved", "record_goal", "result_hash", "sized"]

IS_SMALL: Final = os.environ.get("SIZE") == "small"
"""`python -m bench --size small`: the size that CI runs so that benchmarks do not rot."""


def sized(*, small: int, full: int) -> int:
    """The value of a size parameter in this run."""
    return small if IS_SMALL else full


def result_hash(parts: Iterable[bytes]) -> str:
    """Hex SHA-256 over parts with their lengths, so that moving a border changes it."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Median durations of two ways to do the same work."""

    reference_s: float
    subject_s: float

    @property
    def ratio(self) -> float:
        """How many times faster the subject is."""
        return self.reference_s / self.subject_s


def interleaved(
    reference: Callable[[], object], subject: Callable[[], object], *, rounds: int, warmup: int = 1
) -> Comparison:
    """Time both in turns; the order changes every round, so that neither always runs on the other's heels."""
    for _ in range(warmup):
        reference()
        subject()
    reference_s: list[float] = []
    subject_s: list[float] = []
    for number in range(rounds):
        pairs = [(reference, reference_s), (subject, subject_s)]
        for work, seconds in pairs if number % 2 == 0 else reversed(pairs):
            seconds.append(_timed(work))
    return Comparison(statistics.median(reference_s), statistics.median(subject_s))


def in_turns(works: Mapping[str, Callable[[], float]], *, rounds: int, warmup: int = 1) -> dict[str, float]:
    """Medians of figures that each work measures itself (set-up and checks outside); the order changes every round."""
    for _ in range(warmup):
        for work in works.values():
            work()
    figures: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works) if number % 2 == 0 else reversed(works):
            figures[name].append(works[name]())
    return {name: statistics.median(measured) for name, measured in figures.items()}


def record_goal(
    benchmark: Any,
    goal: str,
    *,
    value: float,
    unit: str,
    target: float,
    result_hash: str,
    at_least: bool = True,
    **more: object,
) -> None:
    """Store a goal's figures in `benchmark.extra_info`; `at_least=False` for figures that should be small."""
    met = value >= target if at_least else value <= target
    benchmark.extra_info.update(
        goal=goal, value=value, unit=unit, target=target, met=met, result_hash=result_hash, **more
    )


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
