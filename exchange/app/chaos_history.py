"""What clients did and what they were told, kept for the comparison with a fresh replay.

An entry is invoked, then answered (ok, refused), dropped before it was sent, or open: no reply because of a kill. An
open order may be answered later by a repetition of the same signed order or by a look-up.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

__all__ = ["Entry", "EntryState", "History", "Kind"]


class Kind(IntEnum):
    """What a client asked for."""

    PLACE = 1
    REPLACE = 2
    CANCEL = 3


class EntryState(IntEnum):
    """What became of it, as the client knows."""

    INVOKED = 1
    OK = 2
    REFUSED = 3
    NOT_SENT = 4
    UNANSWERED = 5
    ABSENT = 6
    """Unanswered, and a look-up by client order id after the restart found no such order."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One command of one client. `reply` is the protocol's result object of an acknowledged one."""

    subaccount_id: int
    kind: Kind
    client_order_id: str = ""
    target_order_id: str = ""
    state: EntryState = EntryState.INVOKED
    was_unanswered: bool = False
    reply: Any = None
    code: int = 0


@dataclass(slots=True)
class History:
    """All clients' entries and everything that was streamed to them."""

    entries: list[Entry] = field(default_factory=list)
    acknowledged: int = 0
    unanswered: int = 0
    streamed_trades: list[dict[str, Any]] = field(default_factory=list)
    streamed_orders: list[dict[str, Any]] = field(default_factory=list)
    open_orders: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Open orders per subaccount, asked for after trading had stopped."""

    def invoke(self, entry: Entry) -> Entry:
        """Remember a command before it is sent."""
        self.entries.append(entry)
        return entry

    def acknowledge(self, entry: Entry, reply: Any) -> None:
        """The exchange said that it is done."""
        entry.state, entry.reply = EntryState.OK, reply
        self.acknowledged += 1

    def leave_unanswered(self, entry: Entry) -> None:
        """No reply will come: done whole or not at all."""
        entry.state = EntryState.UNANSWERED
        if not entry.was_unanswered:
            entry.was_unanswered = True
            self.unanswered += 1
