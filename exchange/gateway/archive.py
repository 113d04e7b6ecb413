"""What the gateway asks of the history on disk; who answers is the host's business."""

from typing import Protocol

from exchange.historian.account_events import EventPage
from exchange.historian.rows import Kind, Page, Place

__all__ = ["Archive", "HistoryUnavailable"]


class HistoryUnavailable(Exception):
    """The history cannot be read now; the text says why."""


class Archive(Protocol):
    """The history on disk."""

    async def page(self, subaccount: int, kind: Kind, after: Place, limit: int) -> Page:
        """Rows behind `after`, at most `limit`; what was committed before the call is in where that is possible.

        Raises HistoryUnavailable.
        """
        ...

    async def events(self, subaccount: int, after_seq: int, limit_bytes: int) -> EventPage:
        """Events behind `account_seq` `after_seq`, whole commands, about `limit_bytes` of them and at least one.

        An empty page that `is_current` has everything that was committed before the call. Raises HistoryUnavailable.
        """
        ...
