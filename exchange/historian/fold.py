"""Events into rows: orders are carried along from their acceptance to their end, fills get the texts of their orders.

An order that was accepted before the history begins has no rows of its own, and its fills no texts. Sides of mass
quotes are many and short-lived: they are carried along for the events of their subaccount, and their fills are kept,
but they have no rows among the orders.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from exchange.domain.account_events import ACCOUNT_EVENTS, AccountEvent, account_events_of
from exchange.domain.commands import OrderFlag, TimeInForce
from exchange.domain.events import (
    CashMoved,
    Event,
    InstrumentListed,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderRevised,
    OrderTriggered,
    Trade,
    TriggerFailed,
    TriggerSet,
)
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import AuctionTaken, Deleveraged, FundPaid, LiquidationEnded, LiquidationStarted
from exchange.domain.packing import CommandEvents
from exchange.domain.quote_events import MassQuoted, QuotePlaced
from exchange.domain.result_codes import CloseReason, OrderStatus
from exchange.domain.rounds import AccountTakenOver, FundingPaid, PositionExpired
from exchange.domain.views import OrderView
from exchange.historian.rows import CashRow, FillRow, Kind, LiquidationRow, Row

__all__ = ["Fold", "Kept"]

Made = tuple[int, Kind, Any]
"""Subaccount, history and body of a row."""
Kept = tuple[int, Kind, Row]
"""Subaccount, history and row."""


class Fold:
    """What must be remembered of events to make rows of later ones. `changed` and `gone`: orders since `settle`."""

    def __init__(self, orders: Iterable[OrderView] = (), instruments: Iterable[Instrument] = ()) -> None:
        """Go on from the orders that are open and the instruments that are known."""
        self._orders = {view.order: view for view in orders}
        self._touched: dict[int, OrderView] = {}
        self._call: MassQuoted | None = None
        """What the sides of the command's mass quote are signed with."""
        self._instruments = {row.instrument_id: row for row in instruments}
        self.changed: dict[int, OrderView] = {}
        self.gone: set[int] = set()
        self.listed: list[Instrument] = []
        self._handlers: dict[type[Event], Callable[[Any, int], Iterator[Made]]] = {
            InstrumentListed: self._listed,
            OrderAccepted: self._accepted,
            OrderAmended: self._changed,
            OrderRevised: self._changed,
            TriggerSet: self._waits,
            OrderTriggered: self._triggered,
            TriggerFailed: self._failed,
            MassQuoted: self._called,
            QuotePlaced: self._quoted,
            Trade: self._traded,
            OrderClosed: self._closed,
            CashMoved: self._cash,
            FundingPaid: self._cash,
            PositionExpired: self._cash,
            AccountTakenOver: self._cash,
            FundPaid: self._fund_paid,
            LiquidationStarted: self._liquidation,
            LiquidationEnded: self._liquidation,
            AuctionTaken: self._liquidation,
            Deleveraged: self._deleveraged,
        }

    def settle(self) -> None:
        """Forget what changed: it is on disk."""
        self.changed, self.gone, self.listed = {}, set(), []

    def take(self, command: CommandEvents) -> Iterator[Kept]:
        """Rows that the events of one command make, in their order."""
        number = 0
        self._touched = {}
        for event in command.events:
            handler = self._handlers.get(type(event))
            if handler is None:
                continue
            for subaccount, kind, body in handler(event, command.timestamp_ns):
                yield subaccount, kind, Row((command.sequence, number), command.timestamp_ns, body)
                number += 1

    def account_events(self, command: CommandEvents) -> Iterator[tuple[int, AccountEvent]]:
        """(subaccount, its event) of the command that `take` was given last, with orders as they are after it."""
        for event in command.events:
            if type(event) in ACCOUNT_EVENTS:
                yield from account_events_of(
                    event, sequence=command.sequence, timestamp_ns=command.timestamp_ns, orders=self._touched
                )

    # --- one kind of event each --------------------------------------------------------------------------------------

    def _listed(self, event: InstrumentListed, _now_ns: int) -> Iterator[Made]:
        self._instruments[event.instrument.instrument_id] = event.instrument
        self.listed.append(event.instrument)
        yield from ()

    def _accepted(self, event: OrderAccepted, now_ns: int) -> Iterator[Made]:
        self._put(_opened(event, now_ns))
        yield from ()

    def _changed(self, event: Any, now_ns: int) -> Iterator[Made]:
        view = self._orders.get(event.order)
        if view is not None:
            members = {name: getattr(event, name) for name in _TAKEN[type(event)]}
            self._put(replace(view, **members, updated_ns=now_ns))
        yield from ()

    def _waits(self, event: TriggerSet, _now_ns: int) -> Iterator[Made]:
        view = self._orders.get(event.order)
        if view is not None:
            waiting = OrderStatus.UNTRIGGERED
            self._put(replace(view, trigger=event.trigger, trigger_e9=event.trigger_e9, status=waiting))
        yield from ()

    def _called(self, event: MassQuoted, _now_ns: int) -> Iterator[Made]:
        self._call = event
        yield from ()

    def _quoted(self, event: QuotePlaced, now_ns: int) -> Iterator[Made]:
        if self._call is not None:
            self._put(_resting(event, self._call, now_ns))
        yield from ()

    def _triggered(self, event: OrderTriggered, now_ns: int) -> Iterator[Made]:
        view = self._orders.get(event.order)
        if view is not None:
            told_e9 = event.fired_e9 if _is_trailing(view) else view.trigger_e9
            view = replace(view, status=OrderStatus.OPEN, price_ticks=event.price_ticks, trigger_e9=told_e9)
            self._put(replace(view, updated_ns=now_ns))
        yield from ()

    def _failed(self, event: TriggerFailed, _now_ns: int) -> Iterator[Made]:
        view = self._orders.get(event.order)
        if view is not None:
            self._put(replace(view, refusal=event.code))
        yield from ()

    def _traded(self, event: Trade, now_ns: int) -> Iterator[Made]:
        for is_maker, side in ((True, event.maker), (False, event.taker)):
            view = self._orders.get(side.order)
            if view is None:
                yield side.subaccount, Kind.TRADES, FillRow(event, is_maker)
                continue
            yield side.subaccount, Kind.TRADES, FillRow(event, is_maker, view.label, view.client_order_id)
            self._put(self._filled(view, event, side.fee_e6, now_ns))

    def _filled(self, view: OrderView, event: Trade, fee_e6: int, now_ns: int) -> OrderView:
        instrument = self._instruments[event.instrument]
        notional_e6 = instrument.notional_e6(price_ticks=event.price_ticks, quantity_lots=event.quantity_lots)
        return replace(
            view,
            filled_lots=view.filled_lots + event.quantity_lots,
            filled_notional_e6=view.filled_notional_e6 + abs(notional_e6),
            fee_e6=view.fee_e6 + fee_e6,
            updated_ns=now_ns,
        )

    def _closed(self, event: OrderClosed, now_ns: int) -> Iterator[Made]:
        view = self._orders.pop(event.order, None)
        if view is None:
            return
        self.changed.pop(event.order, None)
        self.gone.add(event.order)
        view = replace(view, status=event.status, reason=event.reason, updated_ns=now_ns)
        self._touched[event.order] = view
        if not view.flags & OrderFlag.QUOTE:
            yield event.subaccount, Kind.ORDERS, view

    def _cash(self, event: Any, _now_ns: int) -> Iterator[Made]:
        yield event.subaccount, Kind.CASH, CashRow(event)

    def _deleveraged(self, event: Deleveraged, _now_ns: int) -> Iterator[Made]:
        for side in (event.bankrupt, event.counterparty):
            yield side.subaccount, Kind.LIQUIDATIONS, LiquidationRow(event, side)

    def _liquidation(self, event: Any, _now_ns: int) -> Iterator[Made]:
        yield event.subaccount, Kind.LIQUIDATIONS, LiquidationRow(event)

    def _fund_paid(self, event: FundPaid, _now_ns: int) -> Iterator[Made]:
        yield event.subaccount, Kind.CASH, CashRow(event)
        yield event.subaccount, Kind.LIQUIDATIONS, LiquidationRow(event)

    def _put(self, view: OrderView) -> None:
        self._orders[view.order] = self.changed[view.order] = self._touched[view.order] = view


def _is_trailing(view: OrderView) -> bool:
    """Whether its trigger moved with the market since the last event that told it."""
    return view.trigger is not None and bool(view.trigger.offset_e9 or view.trigger.offset_ppm)


def _opened(event: OrderAccepted, now_ns: int) -> OrderView:
    return OrderView(
        order=event.order,
        subaccount=event.subaccount,
        instrument=event.instrument,
        side=event.side,
        time_in_force=event.time_in_force,
        flags=event.flags,
        price_ticks=event.price_ticks,
        quantity_lots=event.quantity_lots,
        filled_lots=0,
        filled_notional_e6=0,
        fee_e6=0,
        status=OrderStatus.OPEN,
        reason=CloseReason.NONE,
        nonce=event.nonce,
        expiry_s=event.expiry_s,
        expires_at_s=event.expires_at_s,
        max_fee_e18=event.max_fee_e18,
        signer=event.signer,
        signature=event.signature,
        client_order_id=event.client_order_id,
        label=event.label,
        created_ns=now_ns,
        updated_ns=now_ns,
        version=1,
        replaces=event.replaces,
        display_lots=event.display_lots,
    )


_QUOTE_FLAGS: Final = (
    OrderFlag.POST_ONLY | OrderFlag.MMP | OrderFlag.CANCEL_ON_DISCONNECT | OrderFlag.QUOTE | OrderFlag.STP_ACCOUNT
)


def _resting(event: QuotePlaced, call: MassQuoted, now_ns: int) -> OrderView:
    """One side of a mass quote, as the engine places it."""
    return OrderView(
        order=event.order,
        subaccount=event.subaccount,
        instrument=event.instrument,
        side=event.side,
        time_in_force=TimeInForce.GTC,
        flags=_QUOTE_FLAGS,
        price_ticks=event.price_ticks,
        quantity_lots=event.quantity_lots,
        filled_lots=0,
        filled_notional_e6=0,
        fee_e6=0,
        status=OrderStatus.OPEN,
        reason=CloseReason.NONE,
        nonce=call.nonce,
        expiry_s=call.expiry_s,
        expires_at_s=0,
        max_fee_e18=call.max_fee_e18,
        signer=call.signer,
        signature=call.signature,
        client_order_id="",
        label="",
        created_ns=now_ns,
        updated_ns=now_ns,
        version=1,
        replaces=event.replaces,
    )


_TAKEN: Final[dict[type, tuple[str, ...]]] = {
    OrderAmended: ("quantity_lots", "version"),
    OrderRevised: (
        "price_ticks", "quantity_lots", "version", "nonce", "expiry_s", "max_fee_e18", "signer", "signature",
    ),
}  # fmt: skip
