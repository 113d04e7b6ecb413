"""Between the engine and the book: packs one order for the core, and books the events the core answers with."""

from collections.abc import Callable

from exchange.domain.commands import Place
from exchange.domain.events import OrderAccepted, OrderAmended
from exchange.domain.ids import order_number
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine.book_codes import reason_of, refusal_of
from exchange.engine.book_commands import new_order
from exchange.engine.booking import book_trade
from exchange.engine.flags import QUOTE
from exchange.engine.margin import note_lots
from exchange.engine.protection import freeze
from exchange.engine.records import Order
from exchange.engine.state import InvariantViolated, State
from exchange.engine.turn import Turn
from exchange.engine.waiting import leave
from matching_core.fills import COMMAND_HANDLE, EVENT, CoreCommand, CoreEvent

__all__ = [
    "accept_order",
    "amend_resting",
    "book_cancel",
    "cancel_orders",
    "close_order",
    "end_frozen",
    "lower_quantity",
    "match_order",
    "match_triggered",
    "open_order",
    "reduce_resting",
]

# Plain integers: they are compared once per event of the core.
_CANCEL, _AMEND = int(CoreCommand.CANCEL), int(CoreCommand.AMEND)
_REJECTED, _TRADE, _DEPTH, _CANCELED, _REFILLED, _TRIPPED = (
    int(kind)
    for kind in (
        CoreEvent.REJECTED,
        CoreEvent.TRADE,
        CoreEvent.DEPTH,
        CoreEvent.CANCELED,
        CoreEvent.REFILLED,
        CoreEvent.GUARD_TRIPPED,
    )
)


def match_order(state: State, turn: Turn, place: Place, *, replaces: int, line: int = 0) -> tuple[ResultCode, int]:
    """Hand an admitted order to the book and book what happens; (refusal, best opposite price) or (OK, 0)."""
    raw = _submit(state, place, place.quantity_lots)
    kind, _, code, _, handle, price_ticks, _ = EVENT.unpack_from(raw)
    if kind == _REJECTED:
        return refusal_of(code), price_ticks
    taker = accept_order(state, turn, place, price_ticks, replaces, line)
    state.open_orders[taker.number] = taker
    _book_taker(state, turn, raw, taker, handle)
    return ResultCode.OK, 0


def match_triggered(
    state: State, turn: Turn, order: Order, *, begin: Callable[[State, Turn, Order], None]
) -> ResultCode:
    """Hand an order whose trigger fired to the book; it is among the open orders already.

    `begin(state, turn, order)` reports it between the book's consent and the first trade.
    """
    raw = _submit(state, order.place, order.quantity_lots)
    kind, _, code, _, handle, price_ticks, _ = EVENT.unpack_from(raw)
    if kind == _REJECTED:
        return refusal_of(code)
    order.price_ticks = price_ticks
    begin(state, turn, order)
    _book_taker(state, turn, raw, order, handle)
    return ResultCode.OK


def amend_resting(
    state: State,
    turn: Turn,
    order: Order,
    place: Place,
    *,
    revise: Callable[[State, Turn, Order, Place, int], None],
) -> tuple[ResultCode, int]:
    """Change a resting order in the book to what is left of `place`; as `match_order`, a refusal changes nothing.

    `revise(state, turn, order, place, price_ticks)` gives the order its new terms between the book's consent and the
    first trade.
    """
    handle, remaining_lots = state.handles[order.number], place.quantity_lots - order.filled_lots
    keeps_place = place.price_ticks == order.price_ticks and remaining_lots <= order.remaining_lots
    raw = state.book.submit(
        COMMAND_HANDLE.pack(_AMEND, place.side, 0, place.instrument, place.price_ticks, remaining_lots, handle),
        state.timestamp_ns,
    )
    kind, _, code, _, _, price_ticks, _ = EVENT.unpack_from(raw)
    if kind == _REJECTED:
        return refusal_of(code), price_ticks
    _unrest(state, order)
    revise(state, turn, order, place, price_ticks)
    if not keeps_place:
        order.rank, order.refill_rank = order_number(sequence=state.sequence), 0
    _book_taker(state, turn, raw, order, handle)
    return ResultCode.OK, 0


def open_order(state: State, order: Order, handle: int) -> None:
    """Index an order that rests in the book under `handle`."""
    state.handles[order.number] = handle
    state.by_handle[handle] = order
    state.account_orders[order.place.subaccount][order.number] = order
    if int(order.place.flags) & QUOTE:
        state.rest_quote(order)
    state.timers.add((state.deadline(order)[0], order.number))
    note_lots(state, order, order.remaining_lots)


def close_order(state: State, turn: Turn, order: Order, status: OrderStatus, reason: CloseReason) -> None:
    """Give an order its terminal state; one that rested or waited leaves every index of live orders."""
    if order.number in state.waiting_orders:
        leave(state, order)
    else:
        if order.number in state.handles:
            _unrest(state, order)
        del state.open_orders[order.number]
    if order.group or order.place.trigger is not None or order.number in state.links.children:
        turn.tied_ends[order.number] = order
        state.links.drop(order)
    if int(order.place.flags) & QUOTE and not order.filled_lots:
        state.drop_order(order)
    else:
        state.closed_orders[order.number] = order
    order.status = status
    order.reason = reason
    order.updated_ns = state.timestamp_ns
    turn.closes.append(order)


def cancel_orders(
    state: State,
    turn: Turn,
    orders: list[Order],
    reason: CloseReason,
    status: OrderStatus = OrderStatus.CANCELED,
) -> None:
    """Take resting orders out of the book and waiting ones out of the trigger book, and close all as given."""
    commands = [
        COMMAND_HANDLE.pack(_CANCEL, 0, 0, order.place.instrument, 0, 0, state.handles[order.number])
        for order in orders
        if order.number in state.handles
    ]
    raw = state.book.submit(b"".join(commands)) if commands else b""
    for kind, side, code, instrument, _, price_ticks, lots in EVENT.iter_unpack(raw):
        if kind == _REJECTED:
            raise InvariantViolated(f"the book does not know a resting order ({code})")
        if kind == _DEPTH:
            turn.level(instrument, side, price_ticks, lots)
    for order in orders:
        close_order(state, turn, order, status, reason)


def reduce_resting(state: State, turn: Turn, order: Order, remaining_lots: int) -> None:
    """Lower what is left of a resting order in place; it keeps its priority."""
    handle = state.handles[order.number]
    amend = COMMAND_HANDLE.pack(
        _AMEND, order.place.side, 0, order.place.instrument, order.price_ticks, remaining_lots, handle
    )
    for kind, side, code, instrument, _, price_ticks, lots in EVENT.iter_unpack(state.book.submit(amend)):
        if kind == _REJECTED:
            raise InvariantViolated(f"the book refused to lower a resting order ({code})")
        if kind == _DEPTH:
            turn.level(instrument, side, price_ticks, lots)
    lower_quantity(state, turn, order, order.remaining_lots - remaining_lots, rests=True)


def lower_quantity(state: State, turn: Turn, order: Order, lots: int, *, rests: bool) -> None:
    """Take `lots` off an order's total and report it."""
    if rests:
        note_lots(state, order, -lots)
    order.quantity_lots -= lots
    order.version += 1
    order.updated_ns = state.timestamp_ns
    turn.events.append(
        OrderAmended(
            subaccount=order.place.subaccount,
            account_seq=state.accounts[order.place.subaccount].next_seq(),
            order=order.number,
            instrument=order.place.instrument,
            quantity_lots=order.quantity_lots,
            remaining_lots=order.remaining_lots,
            version=order.version,
        )
    )


def accept_order(state: State, turn: Turn, place: Place, price_ticks: int, replaces: int, line: int = 0) -> Order:
    """Make the order of this command, with its names; the caller says where it stands."""
    number = order_number(sequence=state.sequence, line=line)
    order = state.adopt_order(
        Order(
            number=number,
            rank=number,
            place=place,
            price_ticks=price_ticks,
            quantity_lots=place.quantity_lots,
            created_ns=state.timestamp_ns,
            updated_ns=state.timestamp_ns,
            replaces=replaces,
        )
    )
    state.index_order(order)
    turn.events.append(
        OrderAccepted(
            subaccount=place.subaccount,
            account_seq=state.accounts[place.subaccount].next_seq(),
            order=order.number,
            instrument=place.instrument,
            side=place.side,
            time_in_force=place.time_in_force,
            flags=place.flags,
            price_ticks=price_ticks,
            quantity_lots=place.quantity_lots,
            nonce=place.nonce,
            expiry_s=place.expiry_s,
            expires_at_s=place.expires_at_s,
            max_fee_e18=place.max_fee_e18,
            signer=place.signer,
            domain=place.domain,
            digest=place.digest,
            signature=place.signature,
            client_order_id=place.client_order_id,
            label=place.label,
            replaces=replaces,
            display_lots=place.display_lots,
        )
    )
    return order


def _unrest(state: State, order: Order) -> None:
    """Undo `open_order`."""
    del state.by_handle[state.handles.pop(order.number)]
    del state.account_orders[order.place.subaccount][order.number]
    if int(order.place.flags) & QUOTE:
        state.unrest_quote(order)
    state.timers.remove((state.deadline(order)[0], order.number))
    note_lots(state, order, -order.remaining_lots)


def _submit(state: State, place: Place, lots: int) -> bytes:
    raw: bytes = state.book.submit(new_order(state, place, place.price_ticks, lots), state.timestamp_ns)
    return raw


def _book_taker(state: State, turn: Turn, raw: bytes, taker: Order, handle: int) -> None:
    """Book what the core did with an order, then end it or let it rest."""
    _book_events(state, turn, raw, taker, handle)
    if taker.status is OrderStatus.OPEN:
        if taker.remaining_lots == 0:
            close_order(state, turn, taker, OrderStatus.FILLED, CloseReason.NONE)
        else:
            open_order(state, taker, handle)
    if turn.frozen:
        end_frozen(state, turn)


def end_frozen(state: State, turn: Turn) -> None:
    """Cancel what is left of the groups that froze in this command, in the order of freezing, by ascending number."""
    for group in turn.frozen:
        orders = sorted(state.account_orders[group.subaccount].items())
        doomed = [order for _, order in orders if order.place.mmp_group == group.number]
        cancel_orders(state, turn, doomed, CloseReason.MMP_TRIGGERED)
    turn.frozen.clear()


def _book_events(state: State, turn: Turn, raw: bytes, taker: Order, taker_handle: int) -> None:
    """Book the core's events behind ACCEPTED, in match order. A refilled maker now comes behind its whole level."""
    refills = 0
    for kind, side, code, instrument, handle, price_ticks, lots in EVENT.iter_unpack(raw):
        if kind == _TRADE:
            maker = state.by_handle[handle]
            book_trade(state, turn, taker=taker, maker=maker, price_ticks=price_ticks, lots=lots)
            if maker.remaining_lots == 0:
                close_order(state, turn, maker, OrderStatus.FILLED, CloseReason.NONE)
        elif kind == _DEPTH:
            turn.level(instrument, side, price_ticks, lots)
        elif kind == _CANCELED:
            order = taker if handle == taker_handle else state.by_handle[handle]
            book_cancel(state, turn, order, code=code, lots=lots)
        elif kind == _REFILLED and handle != taker_handle:
            refills += 1
            maker = state.by_handle[handle]
            maker.rank, maker.refill_rank = taker.rank, refills
        elif kind == _TRIPPED:
            freeze(state, turn, handle, code=code, instrument=instrument, lots=lots)


def book_cancel(state: State, turn: Turn, order: Order, *, code: int, lots: int) -> None:
    """The core ended an order, or took `lots` off it to prevent a self-trade."""
    if lots < order.remaining_lots:
        lower_quantity(state, turn, order, lots, rests=order.number in state.handles)
    else:
        close_order(state, turn, order, OrderStatus.CANCELED, reason_of(code))
