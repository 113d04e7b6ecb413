"""Orders that wait: accepted without margin, placed when their price comes, tied to parents and partners.

An accepted trigger order reserves nothing. Its margin, limits and liquidity are checked when it fires, inside the
command whose prices or trades fired it; what is refused then ends with TriggerFailed and REJECTED. Fired orders are
placed by ascending number, at most MAX_TRIGGERS_PER_COMMAND per command; what is left waits for the next Clock, and
while anything is left only a Clock places. Placing trades, trades fire: that goes on to a fixed point.
"""

from typing import Final

import msgspec

from exchange.domain.commands import Place, PriceSource, Side, Trigger, TriggerKind
from exchange.domain.events import OrderTriggered, TriggerFailed
from exchange.domain.ids import order_number
from exchange.domain.limits import MAX_MONEY_E6, MAX_TRIGGERS_PER_COMMAND
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine.auctions import interrupt
from exchange.engine.entry_checks import check_entry, check_terms
from exchange.engine.flags import MARKET, QUOTE, REDUCE_ONLY
from exchange.engine.matching import accept_order, cancel_orders, close_order, match_triggered
from exchange.engine.price_moves import moves_too_far
from exchange.engine.records import Order, TriggerStage
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.waiting import arm, await_trigger, hold_restricted, leave, report, source_price_e9

__all__ = ["accept_trigger", "check_new_price", "run_triggers"]

_PPM: Final = 1_000_000
_FIRST_LINE: Final = 128
"""Places in line of triggered orders come behind those of everything else in the command that placed them."""


def accept_trigger(state: State, turn: Turn, place: Place, trigger: Trigger) -> ResultCode:
    """Check a new trigger order and let it wait; the first failing code of: price, limits, source and side, ties.

    None is a quote: those are made by mass quotes, which know their group.
    """
    if int(place.flags) & QUOTE:
        return ResultCode.MMP_PRECONDITION
    code = (
        _check_shape(trigger)
        or _check_limits(state, place.subaccount)
        or _check_ties(state, place, trigger)
        or _check_prices(state, place, trigger)
    )
    if code:
        return code
    # After this point it must succeed.
    order = accept_order(state, turn, place, place.price_ticks, 0)
    order.status = OrderStatus.UNTRIGGERED
    order.trigger_e9, order.offset_e9 = trigger.price_e9, trigger.offset_e9
    parent = state.find_live(trigger.parent)
    waits = parent is not None and not parent.filled_lots
    order.stage = TriggerStage.WAITING if waits else TriggerStage.ARMED
    _join(state, order, trigger)
    await_trigger(state, order)
    if waits:
        report(state, turn, order)
    else:
        arm(state, turn, order)
        _note_position(turn, order)
    return ResultCode.OK


def check_new_price(state: State, order: Order, place: Place, trigger_e9: int) -> ResultCode:
    """Whether a waiting order may become `place` with this trigger price (a trailing one: this offset, if in money)."""
    trigger = place.trigger
    if order.status is not OrderStatus.UNTRIGGERED or trigger is None or order.stage is TriggerStage.FIRED:
        return ResultCode.TRIGGER_NOT_REPLACEABLE
    if trigger.offset_ppm:
        return ResultCode.BAD_PRICE if trigger_e9 else ResultCode.OK
    if not 0 < trigger_e9 <= MAX_MONEY_E6:
        return ResultCode.BAD_PRICE
    if trigger.kind is TriggerKind.TRAILING:
        return ResultCode.OK
    return _check_prices(state, place, msgspec.structs.replace(trigger, price_e9=trigger_e9))


def run_triggers(state: State, turn: Turn, *, may_place: bool) -> None:
    """Pass on what fills and ends mean to other orders, and place what fired, to a fixed point or the bound."""
    hold_restricted(state)
    for _ in range(MAX_TRIGGERS_PER_COMMAND):
        _settle(state, turn)
        if not may_place or not state.triggers.fired:
            return
        order = state.waiting_orders[state.triggers.fired[0]]
        rank = order_number(sequence=state.sequence, line=_FIRST_LINE + turn.placed_triggers)
        if _would_interrupt(state, order):
            # The call holds it back, so that a stop is placed when there is a price for it.
            interrupt(state, turn, order.place.instrument, rank)
        else:
            _place(state, turn, order, rank)
    _settle(state, turn)


def _check_shape(trigger: Trigger) -> ResultCode:
    """A price for a fixed trigger, one kind of offset for a trailing one, everything in range."""
    offsets = (trigger.offset_e9, trigger.offset_ppm)
    if trigger.kind is TriggerKind.TRAILING:
        is_valid = trigger.price_e9 == 0 and min(offsets) == 0 and 0 < max(offsets) <= MAX_MONEY_E6
        return ResultCode.OK if is_valid and trigger.offset_ppm < _PPM else ResultCode.BAD_PRICE
    is_valid = 0 < trigger.price_e9 <= MAX_MONEY_E6 and offsets == (0, 0)
    return ResultCode.OK if is_valid else ResultCode.BAD_PRICE


def _check_limits(state: State, subaccount: int) -> ResultCode:
    own_is_full = len(state.account_waiting[subaccount]) >= state.config.trigger_orders_max
    if own_is_full or len(state.waiting_orders) >= state.config.all_trigger_orders_max:
        return ResultCode.TOO_MANY_TRIGGER_ORDERS
    return ResultCode.OK


def _check_ties(state: State, place: Place, trigger: Trigger) -> ResultCode:
    """A parent or a partner, not both, of the same account and instrument; children reduce what the parent opens."""
    if trigger.parent and trigger.partner:
        return ResultCode.LINK_INVALID
    if not trigger.parent:
        return _check_partner(state, place, trigger)
    parent = state.find_live(trigger.parent) or state.closed_orders.get(trigger.parent)
    if parent is None or parent.place.subaccount != place.subaccount:
        return ResultCode.ORDER_NOT_FOUND
    if parent.status not in (OrderStatus.OPEN, OrderStatus.UNTRIGGERED) and not parent.filled_lots:
        return ResultCode.ALREADY_CANCELED
    reduces = int(place.flags) & REDUCE_ONLY and parent.place.side != place.side
    fits = reduces and parent.place.instrument == place.instrument
    return ResultCode.OK if fits else ResultCode.LINK_INVALID


def _check_partner(state: State, place: Place, trigger: Trigger) -> ResultCode:
    if not trigger.partner:
        return ResultCode.OK
    partner = state.find_live(trigger.partner)
    if partner is None or partner.place.subaccount != place.subaccount:
        return ResultCode.ORDER_NOT_FOUND
    fits = partner.place.instrument == place.instrument and partner.stage is not TriggerStage.FIRED
    return ResultCode.OK if fits else ResultCode.LINK_INVALID


def _check_prices(state: State, place: Place, trigger: Trigger) -> ResultCode:
    """The source has a price where one is needed, the trigger is on its far side, and a market order can fill there."""
    instrument = state.instruments[place.instrument]
    price_e9 = source_price_e9(state, trigger.source, instrument)
    if trigger.kind is TriggerKind.TRAILING:
        return ResultCode.OK if price_e9 or trigger.parent else ResultCode.TRIGGER_SOURCE_UNAVAILABLE
    rises = (trigger.kind is TriggerKind.STOP) == (place.side is Side.BUY)
    if price_e9 is not None and not trigger.parent:
        is_beyond = trigger.price_e9 <= price_e9 if rises else trigger.price_e9 >= price_e9
        if is_beyond:
            return ResultCode.TRIGGER_WRONG_SIDE
    if not int(place.flags) & MARKET or (trigger.source is PriceSource.INDEX and instrument.is_option):
        return ResultCode.OK
    worst_e9 = place.price_ticks * instrument.tick_e9
    is_buy = place.side is Side.BUY
    is_unfillable = worst_e9 < trigger.price_e9 if is_buy else worst_e9 > trigger.price_e9
    return ResultCode.TRIGGER_MARKET_UNFILLABLE if is_unfillable else ResultCode.OK


def _join(state: State, order: Order, trigger: Trigger) -> None:
    """Children of one parent are a group; a partner's group is joined, or begun."""
    if trigger.parent:
        order.group = -trigger.parent
    partner = state.find_live(trigger.partner)
    if partner is None:
        return
    if not partner.group:
        partner.group = partner.number
        state.links.add(partner)
    order.group = partner.group


def _settle(state: State, turn: Turn) -> None:
    """What fills and ends since the last call mean to other orders."""
    while turn.tied_fills or turn.tied_ends or turn.moved:
        fills, turn.tied_fills = turn.tied_fills, {}
        for order in fills.values():
            _end_others(state, turn, order)
            _arm_children(state, turn, order)
        ends, turn.tied_ends = turn.tied_ends, {}
        for order in ends.values():
            if not order.filled_lots:
                cancel_orders(state, turn, _children(state, order), CloseReason.PARENT_CLOSED)
        moved, turn.moved = turn.moved, {}
        for subaccount, instrument in moved:
            _end_orphans(state, turn, subaccount, instrument)


def _end_others(state: State, turn: Turn, order: Order) -> None:
    if order.group:
        others = [state.require_live(number) for number in state.links.others(order)]
        cancel_orders(state, turn, others, CloseReason.LINKED_ORDER)


def _arm_children(state: State, turn: Turn, parent: Order) -> None:
    for child in _children(state, parent):
        turn.flush_closes(state)
        arm(state, turn, child)
        _note_position(turn, child)


def _children(state: State, parent: Order) -> list[Order]:
    """Orders that wait for it, by ascending number."""
    return [state.waiting_orders[number] for number in sorted(state.links.children.get(parent.number, ()))]


def _note_position(turn: Turn, order: Order) -> None:
    """A child may be armed when the position it is to protect is gone already."""
    trigger = order.place.trigger
    if trigger is not None and trigger.parent:
        turn.moved[order.place.subaccount, order.place.instrument] = None


def _end_orphans(state: State, turn: Turn, subaccount: int, instrument: int) -> None:
    """Cancel armed children that have nothing left to reduce."""
    lots = state.accounts[subaccount].lots(instrument)
    orphans = [
        order
        for _, order in sorted(state.account_waiting[subaccount].items())
        if order.place.instrument == instrument
        and order.stage is not TriggerStage.WAITING
        and order.place.trigger is not None
        and order.place.trigger.parent
        and (lots <= 0 if order.place.side is Side.SELL else lots >= 0)
    ]
    cancel_orders(state, turn, orphans, CloseReason.POSITION_CLOSED)


def _place(state: State, turn: Turn, order: Order, rank: int) -> None:
    """A fired order becomes an open one: partners go, then the ladder of a new order, then the book."""
    trigger = order.place.trigger
    if trigger is None:
        return
    _end_others(state, turn, order)
    # An exit that fires ends the entry: what is left of it would refuse the exit as a self-trade, or open again.
    parent = state.find_live(trigger.parent)
    cancel_orders(state, turn, [] if parent is None else [parent], CloseReason.LINKED_ORDER)
    turn.flush_closes(state)
    leave(state, order)
    state.open_orders[order.number] = order
    order.status = OrderStatus.OPEN
    order.rank = rank
    order.updated_ns = state.timestamp_ns
    turn.placed_triggers += 1
    _enter(state, turn, order)


def _would_interrupt(state: State, order: Order) -> bool:
    """Whether an order that could be placed now would move the price too far."""
    place = msgspec.structs.replace(order.place, quantity_lots=order.quantity_lots)
    if state.deadline(order)[0] <= state.timestamp_ns or not moves_too_far(state, place, place.quantity_lots):
        return False
    return not (check_terms(state, place) or check_entry(state, place, is_new=False))


def _enter(state: State, turn: Turn, order: Order) -> None:
    deadline_ns, reason = state.deadline(order)
    if deadline_ns <= state.timestamp_ns:
        _report(state, turn, order)
        is_instrument_end = reason is CloseReason.INSTRUMENT_EXPIRED
        status = OrderStatus.CANCELED if is_instrument_end else OrderStatus.EXPIRED
        close_order(state, turn, order, status, reason)
        return
    place = order.place
    if place.quantity_lots != order.quantity_lots:
        place = msgspec.structs.replace(place, quantity_lots=order.quantity_lots)
    code = check_terms(state, place) or check_entry(state, place, is_new=False)
    if not code and moves_too_far(state, place, place.quantity_lots):
        code = ResultCode.PRICE_MOVE_TOO_LARGE
    code = code or match_triggered(state, turn, order, begin=_report)
    if code:
        _report(state, turn, order)
        _fail(state, turn, order, code)


def _report(state: State, turn: Turn, order: Order) -> None:
    trigger = order.place.trigger
    turn.events.append(
        OrderTriggered(
            subaccount=order.place.subaccount,
            account_seq=state.accounts[order.place.subaccount].next_seq(),
            order=order.number,
            instrument=order.place.instrument,
            price_ticks=order.price_ticks,
            source=PriceSource.MARK if trigger is None else trigger.source,
            fired_e9=order.fired_e9,
        )
    )


def _fail(state: State, turn: Turn, order: Order, code: ResultCode) -> None:
    order.refusal = code
    turn.events.append(
        TriggerFailed(
            subaccount=order.place.subaccount,
            account_seq=state.accounts[order.place.subaccount].next_seq(),
            order=order.number,
            code=code,
        )
    )
    close_order(state, turn, order, OrderStatus.REJECTED, CloseReason.TRIGGER_FAILED)
