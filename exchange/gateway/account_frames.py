"""Frames of private streams out of a subaccount's events: the same bytes live and replayed."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from exchange.domain.account_events import AccountEvent
from exchange.domain.events import Trade, TriggerFailed
from exchange.domain.instrument import Instrument
from exchange.gateway.frames import text_frame
from exchange.wire.account_items import deleveraging_members, order_event_name, other_members, refusal_members
from exchange.wire.channels import Channel
from exchange.wire.envelope import notification
from exchange.wire.objects import Order
from exchange.wire.objects import Trade as TradeRow
from exchange.wire.order_shapes import OrderShapes

__all__ = ["AccountFrames"]


class AccountFrames:
    """A builder for one set of instruments, which may grow."""

    def __init__(self, shapes: OrderShapes, instruments: Mapping[int, Instrument]) -> None:
        """`instruments` by number has every one that an event names."""
        self._shapes = shapes
        self._instruments = instruments

    def frames(self, channel: Channel, rows: Iterable[AccountEvent], prev_seq: int) -> Iterator[tuple[int, bytes]]:
        """(seq, frame) of events on a channel: one for each on `account`, one for each command on the others."""
        name, kind = channel.name, channel.kind
        if kind == "account":
            for row in rows:
                item = self._item(row)
                yield row.account_seq, text_frame(notification(name, item, row.account_seq, row.account_seq - 1))
            return
        for _, group in groupby(rows, key=lambda row: row.sequence):
            of_command = list(group)
            shown = self._orders(of_command) if kind == "orders" else self._trades(of_command)
            if shown:
                seq = max(row.account_seq or 0 for row in shown)
                yield seq, text_frame(notification(name, shown, seq, prev_seq))
                prev_seq = seq

    def _orders(self, rows: Iterable[AccountEvent]) -> list[Order]:
        """Every order that a command changed, once, as it is afterwards."""
        found: dict[int, AccountEvent] = {}
        for row in rows:
            if row.view is not None and not isinstance(row.event, TriggerFailed):
                found[row.view.order] = row
        return [self._order(row) for row in found.values()]

    def _trades(self, rows: Iterable[AccountEvent]) -> list[TradeRow]:
        return [self._trade(row) for row in rows if isinstance(row.event, Trade)]

    def _order(self, row: AccountEvent) -> Order:
        if row.view is None:
            raise TypeError("an event of no order")
        shape = self._shapes.order(row.view, self._instruments[row.view.instrument])
        shape.account_seq = row.account_seq
        return shape

    def _trade(self, row: AccountEvent) -> TradeRow:
        trade: Any = row.event
        return self._shapes.trade(
            trade,
            self._instruments[trade.instrument],
            is_maker=row.is_maker,
            timestamp_ns=row.timestamp_ns,
            label=row.view.label if row.view else "",
            client_order_id=row.view.client_order_id if row.view else "",
        )

    def _item(self, row: AccountEvent) -> dict[str, Any]:
        """One event as `account` shows it."""
        item: dict[str, Any] = {
            "account_seq": row.account_seq,
            "sequence": row.sequence,
            "timestamp": row.timestamp_ns // 1_000_000,
        }
        if isinstance(row.event, Trade):
            trade = self._trade(row)
            members = {"kind": "fill", "order_id": trade.order_id, "client_order_id": trade.client_order_id}
            return item | members | {"instrument_name": trade.instrument_name, "trade": trade}
        event: Any = row.event
        if row.side is not None:
            return item | deleveraging_members(event, row.side, self._instruments)
        name = order_event_name(event)
        if not name:
            return item | other_members(event, self._instruments)
        members = {"kind": "order", "event": name, "order_id": self._shapes.ids.text(event.order)}
        if row.view is not None:
            order = self._order(row)
            members |= {"client_order_id": order.client_order_id, "instrument_name": order.instrument_name}
            return item | members | {"order": order} | refusal_members(event)
        return item | members | refusal_members(event)
