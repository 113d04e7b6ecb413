"""Public reads of what the venue is made of rather than of its instruments: index bars, rates, margin universes."""

from exchange.domain.ids import FUND_ACCOUNT
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.index_history import index_bars
from exchange.wire.index_params import IndexCandleParams
from exchange.wire.market_shapes import risk_universe
from exchange.wire.params import required

__all__ = ["VenueMethods"]


class VenueMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Read `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "public/get_index_chart_data": self._index_bars,
            "public/get_interest_rate_history": self._interest_rates,
            "public/get_risk_universes": self._universes,
        }

    def _index_bars(self, call: Call) -> None:
        params: IndexCandleParams = call.params
        currency = self._core.underlying(required(params.currency, "currency").upper())
        minutes = self._core.history.index.minutes.get(currency, ())
        start_s, end_s = params.start_timestamp or 0, params.end_timestamp or 0
        call.result(index_bars(minutes, period_s=params.period or 0, start_s=start_s, end_s=end_s))

    def _interest_rates(self, call: Call) -> None:
        """Nothing is lent, so no rate has a history."""
        self._core.underlying(required(call.params.currency, "currency").upper())
        call.result({"interest_rate_history": []})

    def _universes(self, call: Call) -> None:
        names = [row.name for row in self._core.market.of_kind(None, None)]
        call.result([risk_universe(self._core.venue, names, self._core.venue.subaccount_id(FUND_ACCOUNT))])
