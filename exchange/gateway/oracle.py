"""What oracle rounds said: funding rates of the last day and the prices of settled expiries, in bounded memory.

Rates begin with the process; settled expiries are asked for at its start.
"""

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Final

from exchange.bus.interface import ExchangePort
from exchange.domain.events import Event
from exchange.domain.money import floor_div
from exchange.domain.rounds import ExpirySettled, OracleRoundSet
from exchange.domain.views import Answer, ExpiryView, GetExpiries
from exchange.wire.decimals import format_e18
from exchange.wire.errors import WireError
from exchange.wire.market_shapes import hourly_rate

__all__ = ["OracleHistory", "funding_rows"]

_RATES_KEPT: Final = 8_640
"""A day of rounds, one each ten seconds."""
_PERIODS: Final = (900, 3_600, 14_400, 28_800, 86_400)
_HOURLY_E18: Final = 125_000_000
"""From 1e-9 per 8 hours to 1e-18 per hour, exactly."""
Rate = tuple[int, int]
"""Unix milliseconds, and 1e-9 per 8 hours."""


class OracleHistory:
    """Rings of rates by perpetual, and settlement prices (1e-9 USDC) by underlying and expiry."""

    EVENTS: ClassVar[frozenset[type]] = frozenset({OracleRoundSet, ExpirySettled})

    def __init__(self) -> None:
        """Start empty; `load` asks for what was settled before."""
        self.rates: dict[int, deque[Rate]] = {}
        self.settled: dict[tuple[str, int], int] = {}

    def load(self, port: ExchangePort) -> None:
        """Ask for settled expiries."""

        def learned(answer: Answer) -> None:
            for row in answer if isinstance(answer, tuple) else ():
                if isinstance(row, ExpiryView):
                    self.settled[row.underlying, row.expiry_s] = row.price_e9

        port.ask(GetExpiries(), learned)

    def record(self, event: Event, timestamp_ns: int) -> None:
        """Take one event of a round."""
        if isinstance(event, ExpirySettled):
            self.settled[event.underlying, event.expiry_s] = event.price_e9
        elif isinstance(event, OracleRoundSet):
            for row in event.funding:
                ring = self.rates.setdefault(row.instrument, deque(maxlen=_RATES_KEPT))
                ring.append((timestamp_ns // 1_000_000, row.rate_e9))


def funding_rows(
    rates: Iterable[Rate], currency: str, *, period_s: int, start_ms: int | None, end_ms: int | None
) -> list[dict[str, object]]:
    """One row per period with a round in [start, end], oldest first; rates per hour, their mean rounded down to 1e-18.

    WireError -32602 for a period that is none of ours.
    """
    if period_s not in _PERIODS:
        raise WireError.bad_param("period", f"must be one of {', '.join(map(str, _PERIODS))}")
    periods: dict[int, list[int]] = {}
    for at_ms, rate_e9 in rates:
        if (start_ms is None or at_ms >= start_ms) and (end_ms is None or at_ms <= end_ms):
            periods.setdefault(at_ms // (1_000 * period_s), []).append(rate_e9)
    return [_row(1_000 * period_s * place, found, currency) for place, found in periods.items()]


def _row(at_ms: int, rates_e9: list[int], currency: str) -> dict[str, object]:
    return {
        "timestamp": at_ms,
        "funding_rate": format_e18(floor_div(sum(rates_e9) * _HOURLY_E18, len(rates_e9))),
        "open": hourly_rate(rates_e9[0]),
        "high": hourly_rate(max(rates_e9)),
        "low": hourly_rate(min(rates_e9)),
        "close": hourly_rate(rates_e9[-1]),
        "currency": currency,
        "risk_universe_id": 1,
    }
