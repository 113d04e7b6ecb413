"""What reads of the index take (api.md 6.1)."""

from typing import ClassVar

from exchange.wire.params import CurrencyParams

__all__ = ["IndexCandleParams"]


class IndexCandleParams(CurrencyParams):
    """public/get_index_chart_data; times in seconds."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("currency", "period", "start_timestamp", "end_timestamp")
    period: int | None = None
    start_timestamp: int | None = None
    end_timestamp: int | None = None
