"""One case of the fuzz run: a capacity and a stream of calls, all drawn from (seed, number)."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from matching_core.fills import COMMAND_BYTES
from tests.differential.command_streams import CELLS, GUARDS, INSTRUMENTS, KINDS, CommandStream
from tests.fuzz.mutations import mutate
from tests.fuzz.setters import SETTERS, draw_setter
from tests.fuzz.steps import Step

__all__ = ["Case"]

STEPS = 120
CAPACITIES = (1, 2, 5, 60, 60, 500, 500, 5_000)
"""Small ones often: a slot too many is then also a byte too many, which the sanitizer sees."""
DAMAGE_PERCENT = (0, 2, 10, 40)
BATCH_COMMANDS = (1, 1, 2, 8, 30, 64, 64, 200)
LONG_BATCH_COMMANDS = 2_500
"""Enough events to fill the first event buffer, so that batches and sweeps pause and continue."""
BANK = 40
"""Commands of each kind a stream picks from."""


class Case:
    """Draws the steps of one case. Show it the events: it learns handles from them, as a client would."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = Random(f"{seed}:{number}")
        self.options = self._draw_options()
        self._damage_percent = self._random.choice(DAMAGE_PERCENT)
        self._longest = self._random.choice(BATCH_COMMANDS)
        weights = {kind: weight * self._random.choice((1, 1, 1, 0, 6)) for kind, weight in KINDS.items()}
        self._stream = CommandStream(self._random.getrandbits(48), weights={**weights, "gtc": KINDS["gtc"]}, bank=BANK)
        self.observe = self._stream.observe
        self._drawn: Counter[str] = Counter()

    @property
    def drawn(self) -> Counter[str]:
        """What was drawn so far, by kind."""
        return self._drawn + self._stream.counts

    def steps(self) -> Iterator[Step]:
        """Yield the steps; show the events of each to `observe` before the next."""
        for _ in range(STEPS):
            draw = self._random.randrange(100)
            if draw < 5:
                yield self._setter()
            elif draw < 7:
                yield self._listing()
            elif draw < 9:
                yield self._question()
            elif draw < 12:
                yield self._restart()
            elif draw < 17:
                yield from self._settings()
            else:
                yield self._batch()

    def _draw_options(self) -> dict[str, int]:
        """Room for orders, and just enough for the other tables in half the cases."""
        options = {"order_capacity": self._random.choice(CAPACITIES)}
        if self._random.randrange(2):
            options |= {"cell_capacity": len(CELLS) + 1, "guard_capacity": len(GUARDS)}
            options["instrument_capacity"] = len(INSTRUMENTS)
        return options

    def _batch(self) -> Step:
        random = self._random
        draw = random.randrange(200)
        if draw < 8:
            self._drawn["arbitrary bytes"] += 1
            commands = random.randbytes(COMMAND_BYTES * random.randrange(1, 9))
        elif draw < 10:
            self._drawn["broken length"] += 1
            commands = random.randbytes(random.randrange(1, 300))
        else:
            count = LONG_BATCH_COMMANDS if draw == 10 else random.randint(1, self._longest)
            commands = b"".join(self._damaged(command) for command in self._stream.batch(count))
        return Step("submit", {"commands": commands, "now_ns": self._time()})

    def _damaged(self, command: bytes) -> bytes:
        if self._random.randrange(100) >= self._damage_percent:
            return command
        self._drawn["damaged"] += 1
        return mutate(self._random, command)

    def _time(self) -> int:
        """Forward as a rule, rarely where no clock would go."""
        if self._random.randrange(100) == 0:
            return self._random.choice((0, -1, 2**62, 2**63 - 1, 2**63))
        return self._stream.now_ns()

    def _settings(self) -> Iterator[Step]:
        """The stream's own calls, which keep cells moving and guards thawing."""
        for name, positional, named in self._stream.settings():
            self._drawn[name] += 1
            yield Step(name, {**dict(zip(SETTERS[name], positional, strict=False)), **named})

    def _restart(self) -> Step:
        """Both books from a snapshot, damaged every second time, under a fitting digest every second time of these."""
        random = self._random
        self._drawn["restart"] += 1
        damage = random.choice((0, 0, 1, 1 << random.randrange(64), random.getrandbits(64)))
        return Step("restart", {"damage_at": random.randrange(1 << 20), "damage": damage, "seal": random.randrange(2)})

    def _setter(self) -> Step:
        step = draw_setter(self._random, wild_percent=10)
        self._drawn[step.call] += 1
        return step

    def _listing(self) -> Step:
        """Close an instrument, mostly refused; or list one again, mostly refused too."""
        instrument, (low, high) = self._random.choice(tuple(INSTRUMENTS.items()))
        self._drawn["listing"] += 1
        if self._random.randrange(2):
            return Step("delist_instrument", {"instrument": instrument})
        band = self._random.choice(((low, high), (low, high), (low, low), (-(2**58), 2**58), (high, low)))
        arguments = {"instrument": instrument, "price_min_ticks": band[0], "price_max_ticks": band[1]}
        return Step("list_instrument", arguments)

    def _question(self) -> Step:
        random = self._random
        instrument, (low, high) = random.choice(tuple(INSTRUMENTS.items()))
        self._drawn["fillable"] += 1
        arguments: dict[str, Any] = {
            "instrument": instrument,
            "side": random.randrange(2),
            "price_ticks": random.choice((low, (low + high) // 2, high)),
            "quantity_lots": random.choice((1, 30, 2**47)),
        }
        return Step("fillable", arguments)
