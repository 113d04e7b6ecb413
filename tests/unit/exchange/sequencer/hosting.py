"""A sequencer over a journal that commits on command and a clock that is set by hand."""

from collections.abc import Callable
from typing import Any

from exchange.engine.state import State
from exchange.journal.group import Group
from exchange.sequencer.sequencer import Sequencer
from matching_core import ReferenceOrderBook
from tests.unit.exchange.engine.world import SECOND_NS, START_S, World

__all__ = ["FakeEventLog", "FakeJournal", "Host"]


class FakeJournal:
    """Keeps staged groups; `busy` and `cancel_only` are set by tests."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.busy = False
        self.cancel_only = False
        self.on_stage: Callable[[], None] = lambda: None

    def stage(self, group: Group) -> None:
        """Take a group."""
        self.on_stage()
        self.groups.append(group)


class FakeEventLog:
    """Keeps (first, last) of each blob; `refuse` is raised instead once per entry."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.refuse: list[OSError] = []

    def append(self, epoch: int, first_sequence: int, last_sequence: int, timestamp_ns: int, blob: bytes) -> None:
        """Take a blob or refuse it."""
        if self.refuse:
            raise self.refuse.pop(0)
        self.ranges.append((first_sequence, last_sequence))


class Host:
    """The sequencer with its surroundings; `heard` is everything that left it, in order."""

    def __init__(self, state: State | None = None, *, inbox_limit: int = 64) -> None:
        self.now_ns = START_S * SECOND_NS
        self.wakes = 0
        self.journal = FakeJournal()
        self.log = FakeEventLog()
        self.heard: list[Any] = []
        self.sequencer = Sequencer(
            state or State(ReferenceOrderBook),
            self.journal,
            self.log,
            epoch=1,
            clock_ns=lambda: self.now_ns,
            wake=self._wake,
            inbox_limit=inbox_limit,
        )
        self.sequencer.listen(lambda outputs: self.heard.append([output.sequence for output in outputs]))

    @classmethod
    def with_market(cls, **fields: Any) -> "Host":
        """A host over a small open market; orders come from `world.order`."""
        world = World().open()
        host = cls(world.state, **fields)
        host.world = world
        host.now_ns = world.now_ns
        return host

    world: World

    def reply(self, name: str) -> Callable[[Any], None]:
        """A callback that notes (name, sequence)."""
        return lambda output: self.heard.append((name, output.sequence))

    def commit(self) -> None:
        """Everything staged is on disk."""
        self.sequencer.committed(self.journal.groups[-1].last_sequence)

    def _wake(self) -> None:
        self.wakes += 1
