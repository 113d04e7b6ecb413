"""What clients remember of their operations: invoked, then ok, failed, or unknown because the answer never came."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from exchange.domain.commands import Command
from exchange.domain.views import Output, Query

__all__ = ["InvariantBroken", "Operation", "Outcome"]


class InvariantBroken(Exception):
    """The system did what it promised never to do. `name` is the promise, the message the evidence."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name


class Outcome(Enum):
    """State of an operation. INFO becomes FOUND or ABSENT when a restart shows what the journal holds."""

    INVOKED = "invoked"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"
    FOUND = "found"
    ABSENT = "absent"


@dataclass(slots=True, eq=False)
class Operation:
    """One call: commands that belong together, or a query. `learn` is told the outputs, or None when it is absent."""

    client: str
    commands: tuple[Command, ...]
    learn: Callable[[Sequence[Output] | None], None]
    query: Query | None = None
    outcome: Outcome = Outcome.INVOKED
    sequences: tuple[int, ...] = field(default=())
