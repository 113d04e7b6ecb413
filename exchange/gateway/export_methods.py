"""`private/export`: the whole history of a subaccount by cursor, from the history on disk (P44, P45).

A cursor names a place in the history, not a time and not a page: whoever goes on from `next_cursor` gets each row once,
however many share a moment and whatever happens meanwhile. Everything that was committed before the call is in the
answer or behind its cursor, unless the historian lags; `sequence` says how far it had come.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from exchange.domain.instrument import Instrument
from exchange.gateway.archive import HistoryUnavailable
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.historian.rows import BEGINNING, FillRow, Kind, LiquidationRow, Page, Place, Row
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.export_shapes import ExportParams, cash_entry
from exchange.wire.liquidation_shapes import own_row
from exchange.wire.params import Text, text_of

__all__ = ["ExportMethods"]

_DEFAULT_ROWS: Final = 100
_MAX_ROWS: Final = 1_000
_CURSOR_PARTS: Final = 2
_MAX_CURSOR_NUMBER: Final = 1 << 62


class ExportMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core
        self._shapes: dict[Kind, Callable[[Row, dict[int, Instrument]], object]] = {
            Kind.TRADES: self._trade,
            Kind.ORDERS: self._order,
            Kind.CASH: _cash,
            Kind.LIQUIDATIONS: _liquidation,
        }
        self._running: set[asyncio.Task[None]] = set()

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {"private/export": self._export}

    def stop(self) -> None:
        """Give up what is being read."""
        for task in self._running:
            task.cancel()

    def _export(self, call: Call) -> None:
        params: ExportParams = call.params
        account = self._core.account(call, params.subaccount_id)
        kind, after, limit = _kind(params.kind), _place(params.from_cursor), _limit(params.limit)
        archive = self._core.archive
        if archive is None:
            raise WireError(RpcCode.HISTORY_UNAVAILABLE, {"reason": "this server keeps none"})

        async def run() -> None:
            try:
                page = await archive.page(account, kind, after, limit)
                result = self._result(params, kind, after, page)
            except HistoryUnavailable as error:
                call.fail(WireError(RpcCode.HISTORY_UNAVAILABLE, {"reason": str(error)[:200]}))
            except Exception as error:  # noqa: BLE001 - a fault of one answer must not end the loop
                call.crash(error)
            else:
                call.result(result)

        task = asyncio.get_running_loop().create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _result(self, params: ExportParams, kind: Kind, after: Place, page: Page) -> dict[str, object]:
        last = page.rows[-1].place if page.rows else after
        shape = self._shapes[kind]
        return {
            "subaccount_id": params.subaccount_id,
            kind.name.lower(): [shape(row, page.instruments) for row in page.rows],
            "next_cursor": f"{last[0]}.{last[1]}",
            "has_more": page.has_more,
            "sequence": page.sequence,
            "begins_sequence": page.begins,
        }

    def _trade(self, row: Row, instruments: dict[int, Instrument]) -> object:
        body: FillRow = row.body
        batch = self._core.history.batch_of(row.place[0])
        return self._core.shapes.trade(
            body.trade,
            instruments[body.trade.instrument],
            is_maker=body.is_maker,
            timestamp_ns=row.timestamp_ns,
            label=body.label,
            client_order_id=body.client_order_id,
            batch_status=batch.status if batch else None,
            tx_hash=batch.tx_hash if batch else None,
        )

    def _order(self, row: Row, instruments: dict[int, Instrument]) -> object:
        return self._core.shapes.order(row.body, instruments[row.body.instrument])


def _cash(row: Row, instruments: dict[int, Instrument]) -> object:
    return cash_entry(row.body.event, instruments, sequence=row.place[0], timestamp_ns=row.timestamp_ns)


def _liquidation(row: Row, instruments: dict[int, Instrument]) -> object:
    body: LiquidationRow = row.body
    return own_row(body.event, body.side, instruments, sequence=row.place[0], timestamp_ns=row.timestamp_ns)


def _kind(text: Text | None) -> Kind:
    names = [kind.name.lower() for kind in Kind]
    if text_of(text) not in names:
        raise WireError.bad_param("kind", f"must be one of {', '.join(names)}")
    return Kind[text_of(text).upper()]


def _place(cursor: Text | None) -> Place:
    if cursor is None:
        return BEGINNING
    parts = text_of(cursor).split(".")
    if len(parts) == _CURSOR_PARTS and parts[0].isdecimal() and parts[1].removeprefix("-").isdecimal():
        sequence, number = int(parts[0]), int(parts[1])
        if sequence < _MAX_CURSOR_NUMBER and abs(number) < _MAX_CURSOR_NUMBER:
            return sequence, number
    raise WireError.bad_param("from_cursor", "must be a next_cursor of this method")


def _limit(limit: int | None) -> int:
    if limit is None:
        return _DEFAULT_ROWS
    if not 1 <= limit <= _MAX_ROWS:
        raise WireError.bad_param("limit", f"must be 1 to {_MAX_ROWS}")
    return limit
