"""The lengths that bars of trades and of index prices may have, and how many one reply holds."""

from typing import Final

from exchange.wire.errors import WireError

__all__ = ["MAX_BARS", "check_period"]

MAX_BARS: Final = 5_000
_PERIODS_S: Final = (60, 300, 900, 1_800, 3_600, 14_400, 28_800, 86_400, 604_800)


def check_period(period_s: int) -> None:
    """WireError -32602 for a length of bars that is none of ours."""
    if period_s not in _PERIODS_S:
        raise WireError.bad_param("period", f"must be one of {', '.join(map(str, _PERIODS_S))}")
