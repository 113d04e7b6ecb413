"""The whole history of the own subaccount, page by page behind one `async for`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

__all__ = ["Export"]

Request = Callable[[str, dict[str, Any]], Awaitable[Any]]
_ROWS: Final = 1_000


class Export:
    """Rows of one kind, oldest first, each once. `cursor` names the place behind the last page that was read whole.

    An iteration ends where the history ends; another one goes on from `cursor`, also one of a later process:

        export = client.export("trades", from_cursor=saved)
        async for trade in export:
            book(trade)
        saved = export.cursor
    """

    def __init__(
        self,
        request: Callable[[str, dict[str, Any]], Awaitable[Any]],
        subaccount_id: int,
        kind: str,
        cursor: str | None,
    ) -> None:
        """`kind`: trades, orders, cash or liquidations; the exchange refuses others with -32602."""
        self._request = request
        self._members = {"subaccount_id": subaccount_id, "kind": kind, "limit": _ROWS}
        self._kind = kind
        self.cursor = cursor
        self.begins_sequence = 0
        """First command of the history, once a page was read: what was before it is not kept."""

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Read page after page until the end of the history."""
        has_more = True
        while has_more:
            start = {} if self.cursor is None else {"from_cursor": self.cursor}
            page = await self._request("private/export", self._members | start)
            self.begins_sequence = page["begins_sequence"]
            for row in page[self._kind]:
                yield row
            self.cursor, has_more = page["next_cursor"], page["has_more"]
