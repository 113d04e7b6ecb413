"""The shortest form of a case that still fails: whole steps first, then the commands inside them."""

import time
from collections.abc import Callable
from typing import Any

from tests.fuzz.commands import commands_of
from tests.fuzz.steps import Step

__all__ = ["minimize", "shrink"]


def shrink(items: list[Any], fails: Callable[[list[Any]], bool]) -> list[Any]:
    """Drop ever smaller runs of items while `fails` holds for the rest; what is left fails too."""
    size = len(items)
    while size:
        start = 0
        while start < len(items):
            shorter = items[:start] + items[start + size :]
            if fails(shorter):
                items = shorter
            else:
                start += size
        size //= 2
    return items


def minimize(steps: list[Step], fails: Callable[[list[Step]], bool], *, seconds: float) -> list[Step]:
    """Shrink a failing list of steps until nothing more can go or the time is up; the result fails."""
    end = time.monotonic() + seconds

    def in_time(shorter: list[Step]) -> bool:
        return time.monotonic() < end and fails(shorter)

    before: list[Step] = []
    while steps != before:
        before = steps
        steps = shrink(_cut(shrink(steps, in_time), in_time), in_time)
    return steps


def _cut(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """Batches as single commands where the case fails that way too, else each batch with fewer commands."""
    apart = [part for step in steps for part in _parts(step)]
    if fails(apart):
        return apart
    for index in range(len(steps)):
        steps = _thin_out(steps, index, fails)
    return steps


def _thin_out(steps: list[Step], index: int, fails: Callable[[list[Step]], bool]) -> list[Step]:
    """Drop commands inside one batch while the case still fails."""
    step = steps[index]
    if step.call != "submit":
        return steps

    def instead(commands: list[bytes]) -> list[Step]:
        return [*steps[:index], _with(step, commands), *steps[index + 1 :]]

    return instead(shrink(list(commands_of(step.arguments["commands"])), lambda kept: fails(instead(kept))))


def _with(step: Step, commands: list[bytes]) -> Step:
    return Step(step.call, {**step.arguments, "commands": b"".join(commands)})


def _parts(step: Step) -> list[Step]:
    if step.call != "submit":
        return [step]
    return [_with(step, [command]) for command in commands_of(step.arguments["commands"])]
