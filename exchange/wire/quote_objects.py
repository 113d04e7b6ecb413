"""What a mass quote answers (api.md 10.3)."""

from typing import TypedDict

import msgspec

__all__ = ["QuoteError", "QuoteResult"]


class QuoteError(TypedDict):
    """An error as a reply would have it."""

    code: int
    message: str
    data: str | None


class QuoteResult(msgspec.Struct, kw_only=True, gc=False):
    """What became of one side of a mass quote: placed, replaced, unchanged, pulled or rejected."""

    line: int | None
    """Place among the lines sent; null when the whole group was pulled."""
    direction: str
    status: str
    order_id: str | None
    error: QuoteError | None
