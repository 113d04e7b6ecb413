"""What happened to every subaccount lately, in its own numbering: the memory from which private streams resume.

The engine counts a subaccount's events without a gap (`account_seq`), also across restarts. The newest events of all
subaccounts together are kept, in order; what fell off, and what was before this process, is in the history on disk.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from exchange.domain.account_events import ACCOUNT_EVENTS, AccountEvent, account_events_of
from exchange.domain.events import Event
from exchange.domain.views import Output

__all__ = ["AccountLog"]


class _Account:
    __slots__ = ("events", "forgotten_seq")

    def __init__(self, forgotten_seq: int) -> None:
        self.events: deque[AccountEvent] = deque()
        self.forgotten_seq = forgotten_seq
        """Newest `account_seq` that is not here any more."""


class AccountLog:
    """Events by subaccount. `touched` collects who got new ones until somebody takes it."""

    EVENTS: ClassVar[frozenset[type]] = ACCOUNT_EVENTS

    def __init__(self, kept: int) -> None:
        """Keep the newest `kept` events of all subaccounts."""
        self._kept = kept
        self._accounts: dict[int, _Account] = {}
        self._turns: deque[int] = deque()
        """Subaccounts of all kept events, oldest first."""
        self.touched: set[int] = set()

    def record(self, output: Output, event: Event) -> None:
        """Take one event of `output`, one of EVENTS."""
        told = account_events_of(
            event, sequence=output.sequence, timestamp_ns=output.timestamp_ns, orders=output.orders
        )
        for account, row in told:
            self._keep(account, row)

    def begin(self, account: int, account_seq: int) -> None:
        """Learn where the numbering of a subaccount stands of which nothing was heard yet."""
        if account not in self._accounts:
            self._accounts[account] = _Account(account_seq)

    def span(self, account: int) -> tuple[int, int] | None:
        """(newest number that is gone, newest number); None when nothing is known."""
        found = self._accounts.get(account)
        if found is None:
            return None
        return found.forgotten_seq, found.events[-1].account_seq if found.events else found.forgotten_seq

    def since(self, account: int, account_seq: int) -> Iterator[AccountEvent]:
        """Events behind `account_seq`, which is not before the oldest one kept."""
        found = self._accounts.get(account)
        if found is None:
            return iter(())
        # Numbers are contiguous, so the place follows from the newest; most who ask are near it.
        behind = min(found.events[-1].account_seq - account_seq, len(found.events)) if found.events else 0
        return islice(found.events, len(found.events) - behind, None)

    def _keep(self, account: int, row: AccountEvent) -> None:
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = _Account(row.account_seq - 1)
        elif not found.events:
            # An answer may know of events whose commit is told only now.
            found.forgotten_seq = row.account_seq - 1
        found.events.append(row)
        self.touched.add(account)
        self._turns.append(account)
        if len(self._turns) > self._kept:
            oldest = self._accounts[self._turns.popleft()]
            oldest.forgotten_seq = oldest.events.popleft().account_seq
