"""A seeded priority queue over virtual time: one thread, no sleeps, a hash over everything that happened."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable
from random import Random

__all__ = ["SimLoop"]


class SimLoop:
    """Steps run in (time, order of scheduling). A step of a life that ended never runs."""

    def __init__(self, seed: int, start_ns: int) -> None:
        self.seed = seed
        self.now_ns = start_ns
        self.steps = 0
        self.releases = self.random("world").random() > 0.7
        """Whether this run drops journal segments behind its snapshots."""
        self._heap: list[tuple[int, int, str, Callable[[], None], str, int]] = []
        self._order = 0
        self._lives: Counter[str] = Counter()
        self._trace = hashlib.blake2b(digest_size=16)

    def random(self, name: str) -> Random:
        """The source of chance of one actor: a function of seed and name."""
        return Random(f"{self.seed}/{name}")

    def schedule(self, delay_ns: int, name: str, step: Callable[[], None], *, life: str = "") -> None:
        """Run `step` after `delay_ns`, unless `life` ends before."""
        self._order += 1
        heapq.heappush(self._heap, (self.now_ns + delay_ns, self._order, name, step, life, self._lives[life]))

    def end_life(self, life: str) -> None:
        """Forget everything that was scheduled under this life."""
        self._lives[life] += 1

    def step(self) -> None:
        """Run the next step; time jumps to it."""
        while True:
            at_ns, order, name, step, life, number = heapq.heappop(self._heap)
            if self._lives[life] == number:
                break
        self.now_ns = at_ns
        self.steps += 1
        self.note(f"{at_ns} {order} {name}".encode())
        step()

    def note(self, what: bytes) -> None:
        """Add to the trace."""
        self._trace.update(len(what).to_bytes(4, "big") + what)

    @property
    def trace_hash(self) -> str:
        """Hash over every step and every released output so far."""
        return self._trace.hexdigest()
