"""Reads of what was liquidated: for everybody without names, for an account its own."""

from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.history import page_of
from exchange.wire.liquidation_shapes import own_row
from exchange.wire.params import HistoryParams

__all__ = ["LiquidationMethods"]


class LiquidationMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "public/get_liquidation_history": self._public,
            "private/get_liquidation_history": self._own,
        }

    def _public(self, call: Call) -> None:
        """Newest first. `auctions` is Derive's member and empty: what is offered now is in `public/get_auctions`."""
        params: HistoryParams = call.params
        instruments = self._core.market.of_kind(params.instrument_type, params.currency)
        if params.instrument_name is not None:
            instruments = [self._core.market.named(params.instrument_name)]
        known = self._core.history.liquidations.rows
        rows = [row for one in instruments for row in known.get(one.instrument_id, ())]
        rows.sort(key=lambda row: row.sequence, reverse=True)
        by_id = self._core.market.by_id
        fitting = (row for row in rows if _is_in_range(row.timestamp_ns, params))
        page = page_of([row.item(by_id[row.instrument]) for row in fitting], params.page, params.page_size)
        call.result({"auctions": [], "liquidations": page.rows, "pagination": page.pagination})

    def _own(self, call: Call) -> None:
        params: HistoryParams = call.params
        account, by_id = self._core.account(call, params.subaccount_id), self._core.market.by_id
        rows: list[object] = [
            own_row(row.event, row.side, by_id, sequence=row.sequence, timestamp_ns=row.timestamp_ns)
            for row in self._core.history.liquidations.of_account(account)
            if _is_in_range(row.timestamp_ns, params)
        ]
        page = page_of(rows, params.page, params.page_size)
        call.result({"subaccount_id": params.subaccount_id, "liquidations": page.rows, "pagination": page.pagination})


def _is_in_range(timestamp_ns: int, params: HistoryParams) -> bool:
    low = params.from_timestamp if params.from_timestamp is not None else params.start_timestamp
    high = params.to_timestamp if params.to_timestamp is not None else params.end_timestamp
    timestamp_ms = timestamp_ns // 1_000_000
    return (low is None or timestamp_ms >= low) and (high is None or timestamp_ms <= high)
