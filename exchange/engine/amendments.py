"""Amend: an order changes and keeps its number.

A smaller total at the same price is inside what was signed and keeps the order's place in line; so is a trigger price,
which nobody signs. Another price or a larger total is a new signature with a new nonce, passes the checks of a new
order with the old one taken away, and goes to the back. A refused amendment leaves the order as it was.
"""

from msgspec import structs

from exchange.domain.commands import Amend, Place, SignedAmend
from exchange.domain.events import OrderRevised
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine.cancels import check_target, refuse_target
from exchange.engine.entry_checks import check_look, check_slices, check_terms, check_time
from exchange.engine.flags import QUOTE
from exchange.engine.margin import is_affordable, note_lots
from exchange.engine.market_limits import check_room
from exchange.engine.market_state import check_market
from exchange.engine.matching import amend_resting, cancel_orders, lower_quantity, reduce_resting
from exchange.engine.orders import admit, find_order, refuse
from exchange.engine.price_moves import moves_too_far
from exchange.engine.records import Order
from exchange.engine.state import State
from exchange.engine.trigger_orders import check_new_price
from exchange.engine.turn import Turn
from exchange.engine.waiting import move_trigger

__all__ = ["amend", "amend_signed"]


def amend(state: State, turn: Turn, command: Amend) -> None:
    """Lower an order's total in place, or move its trigger; at or below its filled part it ends as filled."""
    order = find_order(state, command.subaccount, number=command.order)
    code = check_target(state, command.subaccount, order)
    if not code and order is not None and not 0 < command.quantity_lots <= order.quantity_lots:
        code = ResultCode.BAD_AMOUNT  # a larger total needs a new signature
    if not code and order is not None and command.trigger_e9:
        code = check_new_price(state, order, order.place, command.trigger_e9)
    if code or order is None:
        refuse_target(turn, command.subaccount, order, code)
    elif order.status is OrderStatus.UNTRIGGERED:
        lower_quantity(state, turn, order, order.quantity_lots - command.quantity_lots, rests=False)
        if command.trigger_e9:
            move_trigger(state, turn, order, command.trigger_e9)
    elif command.quantity_lots > order.filled_lots:
        reduce_resting(state, turn, order, command.quantity_lots - order.filled_lots)
    else:
        _fill(state, turn, order)


def amend_signed(state: State, turn: Turn, command: SignedAmend) -> None:
    """Give an order another signed price or total. As in a replace, the nonce is spent before the target is seen."""
    signed = structs.replace(command.order, client_order_id="")
    target = find_order(state, signed.subaccount, number=command.target_order)
    if not admit(state, turn, signed):
        return
    code = check_target(state, signed.subaccount, target)
    if code or target is None:
        refuse(state, turn, signed, code, order=0 if target is None else target.number)
        return
    code, best_ticks = _check_guard(command, target), 0
    if not code and 0 < signed.quantity_lots <= target.filled_lots:
        _fill(state, turn, target)
    elif not code:
        code, best_ticks = _revise(state, turn, command, target)
    if code:
        refuse(state, turn, signed, code, order=target.number, price_ticks=best_ticks)
        return
    owner = state.accounts[signed.subaccount].owner
    state.nonces.spend(owner, signed.signer, signed.nonce, target.number)


def _check_guard(command: SignedAmend, target: Order) -> ResultCode:
    if (command.order.instrument, command.order.side) != (target.place.instrument, target.place.side):
        return ResultCode.ORDER_NOT_FOUND
    if int(target.place.flags) & QUOTE:
        return ResultCode.TRIGGER_NOT_REPLACEABLE  # only a mass quote signs for it
    if command.expected_filled_lots not in (-1, target.filled_lots):
        return ResultCode.REPLACE_FILL_MISMATCH
    return ResultCode.OK


def _fill(state: State, turn: Turn, order: Order) -> None:
    cancel_orders(state, turn, [order], CloseReason.NONE, OrderStatus.FILLED)
    lower_quantity(state, turn, order, order.remaining_lots, rests=False)


def _revise(state: State, turn: Turn, command: SignedAmend, order: Order) -> tuple[ResultCode, int]:
    """The ladder of a new order for what `order` would become, then the book; (refusal, best opposite price)."""
    place = _merged(order.place, command.order)
    code = check_terms(state, place) or check_time(state, command.order)
    if not code and order.status is OrderStatus.UNTRIGGERED:
        code = check_slices(place)
        code = code or check_new_price(state, order, place, command.trigger_e9 or order.trigger_e9 or order.offset_e9)
        if not code:
            _revise_waiting(state, turn, command, order, place)
        return code, 0
    if not code and command.trigger_e9:
        code = ResultCode.TRIGGER_NOT_REPLACEABLE
    code = code or check_look(state)
    for check in (check_market, check_room):
        code = code or check(state, _rest_of(order, place), freed_lots=order.remaining_lots)
    if not code and not _is_affordable_instead(state, order, place):
        code = ResultCode.INSUFFICIENT_MARGIN
    if not code and moves_too_far(state, place, place.quantity_lots - order.filled_lots):
        code = ResultCode.PRICE_MOVE_TOO_LARGE
    if code:
        return code, 0
    return amend_resting(state, turn, order, place, revise=_take_terms)


def _merged(before: Place, signed: Place) -> Place:
    """What is signed, from the amendment; all else, from the order."""
    return structs.replace(
        before,
        price_ticks=signed.price_ticks,
        quantity_lots=signed.quantity_lots,
        nonce=signed.nonce,
        expiry_s=signed.expiry_s,
        signer=signed.signer,
        max_fee_e18=signed.max_fee_e18,
        domain=signed.domain,
        digest=signed.digest,
        signature=signed.signature,
    )


def _rest_of(order: Order, place: Place) -> Place:
    return structs.replace(place, quantity_lots=place.quantity_lots - order.filled_lots)


def _is_affordable_instead(state: State, order: Order, place: Place) -> bool:
    """Whether the account could place what is left of `place` if `order` were gone; exposures end as they were."""
    left = _rest_of(order, place)
    note_lots(state, order, -order.remaining_lots)
    answer = is_affordable(state, left, left.price_ticks, without_order=order.number)
    note_lots(state, order, order.remaining_lots)
    return answer


def _revise_waiting(state: State, turn: Turn, command: SignedAmend, order: Order, place: Place) -> None:
    state.timers.remove((state.deadline(order)[0], order.number))
    _take_terms(state, turn, order, place, place.price_ticks)
    state.timers.add((state.deadline(order)[0], order.number))
    if command.trigger_e9:
        move_trigger(state, turn, order, command.trigger_e9)


def _take_terms(state: State, turn: Turn, order: Order, place: Place, price_ticks: int) -> None:
    """Make `place` the order's own and report it."""
    state.forget_order(order)
    order.first_place = order.first_place or order.place
    order.place, order.price_ticks, order.quantity_lots = place, price_ticks, place.quantity_lots
    state.index_order(order)
    order.version += 1
    order.updated_ns = state.timestamp_ns
    # Its next fill is a leaf of its own in the batch: leaves are by signature.
    order.filled_batch = 0
    turn.events.append(
        OrderRevised(
            subaccount=place.subaccount,
            account_seq=state.accounts[place.subaccount].next_seq(),
            order=order.number,
            instrument=place.instrument,
            price_ticks=price_ticks,
            quantity_lots=order.quantity_lots,
            remaining_lots=order.remaining_lots,
            version=order.version,
            nonce=place.nonce,
            expiry_s=place.expiry_s,
            max_fee_e18=place.max_fee_e18,
            signer=place.signer,
            domain=place.domain,
            digest=place.digest,
            signature=place.signature,
        )
    )
