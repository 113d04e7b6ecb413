"""What the gateway asks of the history on disk; who answers is the host's business."""

from typing import Protocol

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
