"""One case of the fuzz run: a capacity and a stream of calls, all drawn from (seed, number)."""

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from matching_core.fills import COMMAND_BYTES
from tests.differential.command_streams import INSTRUMENTS, CommandStream
from tests.fuzz.commands import KIND_NAMES
from tests.fuzz.mutations import mutate
from tests.fuzz.setters import HAS_TIME, draw_setter
from tests.fuzz.steps import Step

__all__ = ["Case"]

STEPS = 120
CAPACITIES = (1, 2, 5, 60, 60, 500, 500, 5_000)
"""Small ones often: a slot too many is then also a byte too many, which the sanitizer sees."""
DAMAGE_PERCENT = (0, 2, 10, 40)
BATCH_COMMANDS = (1, 1, 2, 8, 30, 64, 64, 200)
LONG_BATCH_COMMANDS = 2_500
"""Enough events to fill the first event buffer, so that batches and sweeps pause and continue."""
PAUSES_NS = (0, 0, 1, 1_000, 1_000_000, 1_000_000_000)


class Case:
    """Draws the steps of one case. Show it the events: it learns handles from them, as a client would."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = Random(f"{seed}:{number}")
        self.options = {"order_capacity": self._random.choice(CAPACITIES)}
        self._damage_percent = self._random.choice(DAMAGE_PERCENT)
        self._longest = self._random.choice(BATCH_COMMANDS)
        self._now_ns = 0
        self._is_resting: Callable[[int], object] | None = None
        self._stream = CommandStream(
            self._random.getrandbits(48),
            is_resting=self._rests,
            invalid_percent=self._random.choice((0, 3, 20)),
        )
        self.observe = self._stream.observe
        self.drawn: Counter[str] = Counter()

    def steps(self, is_resting: Callable[[int], object]) -> Iterator[Step]:
        """Yield the steps; show the events of each to `observe` before the next. `is_resting` asks about a handle."""
        self._is_resting = is_resting
        for _ in range(STEPS):
            draw = self._random.randrange(100)
            if draw < 6:
                yield self._setter()
            elif draw < 8:
                yield self._listing()
            elif draw < 10:
                yield self._question()
            else:
                yield self._batch()

    def _rests(self, handle: int) -> object:
        return self._is_resting(handle) if self._is_resting else None

    def _batch(self) -> Step:
        random = self._random
        draw = random.randrange(200)
        if draw < 8:
            self.drawn["arbitrary bytes"] += 1
            commands = random.randbytes(COMMAND_BYTES * random.randrange(1, 9))
        elif draw < 10:
            self.drawn["broken length"] += 1
            commands = random.randbytes(random.randrange(1, 300))
        else:
            count = LONG_BATCH_COMMANDS if draw == 10 else random.randint(1, self._longest)
            commands = b"".join(self._command() for _ in range(count))
        return Step("submit", {"commands": commands, **self._time()})

    def _command(self) -> bytes:
        command = self._stream.draw()
        self.drawn[KIND_NAMES.get(command[0], "unknown kind")] += 1
        if self._random.randrange(100) < self._damage_percent:
            self.drawn["mutated"] += 1
            command = mutate(self._random, command)
        return command

    def _time(self) -> dict[str, int]:
        """Time of a batch: forward as a rule, rarely where no clock would go."""
        if not HAS_TIME:
            return {}
        if self._random.randrange(100) == 0:
            return {"now_ns": self._random.choice((0, -1, 2**62, 2**63 - 1, 2**63))}
        self._now_ns += self._random.choice(PAUSES_NS)
        return {"now_ns": self._now_ns}

    def _setter(self) -> Step:
        step = draw_setter(self._random, wild_percent=10)
        self.drawn[step.call] += 1
        return step

    def _listing(self) -> Step:
        """Close an instrument, mostly refused; or list one again, mostly refused too."""
        instrument, (low, high) = self._random.choice(tuple(INSTRUMENTS.items()))
        self.drawn["listing"] += 1
        if self._random.randrange(2):
            return Step("delist_instrument", {"instrument": instrument})
        band = self._random.choice(((low, high), (low, high), (low, low), (-(2**58), 2**58), (high, low)))
        arguments = {"instrument": instrument, "price_min_ticks": band[0], "price_max_ticks": band[1]}
        return Step("list_instrument", arguments)

    def _question(self) -> Step:
        random = self._random
        instrument, (low, high) = random.choice(tuple(INSTRUMENTS.items()))
        self.drawn["fillable"] += 1
        arguments: dict[str, Any] = {
            "instrument": instrument,
            "side": random.randrange(2),
            "price_ticks": random.choice((low, (low + high) // 2, high)),
            "quantity_lots": random.choice((1, 30, 2**47)),
        }
        return Step("fillable", arguments)
