"""What a mass quote answers (api.md 10.3)."""

import msgspec

__all__ = ["QuoteResult"]


class QuoteResult(msgspec.Struct, kw_only=True, gc=False):
    """What became of one side of a mass quote: placed, replaced, unchanged, pulled or rejected."""

    line: int | None
    """Place among the lines sent; null when the whole group was pulled."""
    direction: str
    status: str
    order_id: str | None
    error: dict[str, object] | None
