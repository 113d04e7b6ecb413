"""Cancel, cancel many, replace: how a session ends its own live orders."""

from exchange.domain.commands import Cancel, CancelMany, CancelScope, Replace
from exchange.domain.events import ManyCanceled, OrderRefused
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine.matching import cancel_orders
from exchange.engine.orders import TERMINAL_CODES, admit, execute, find_order, refuse
from exchange.engine.records import Order
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["cancel", "cancel_many", "check_target", "refuse_target", "replace"]


def cancel(state: State, turn: Turn, command: Cancel) -> None:
    """Cancel the one order named; an order that ended already is refused with what became of it."""
    order = find_order(
        state,
        command.subaccount,
        number=command.order,
        client_order_id=command.client_order_id,
        nonce=command.nonce,
    )
    if order is not None and command.instrument not in (0, order.place.instrument):
        order = None
    code = check_target(state, command.subaccount, order)
    if code or order is None:
        refuse_target(turn, command.subaccount, order, code, command)
        return
    cancel_orders(state, turn, [order], CloseReason.USER_REQUEST)


def cancel_many(state: State, turn: Turn, command: CancelMany) -> None:
    """Cancel all live orders that fit, resting or waiting, by ascending number."""
    if command.subaccount not in state.account_orders:
        turn.events.append(OrderRefused(subaccount=command.subaccount, order=0, code=ResultCode.SUBACCOUNT_NOT_FOUND))
        return
    orders = [
        order
        for order in state.live_orders(command.subaccount)
        if _is_in_scope(order, command.scope)
        and command.instrument in (0, order.place.instrument)
        and command.label in ("", order.place.label)
        and command.mmp_group in (0, order.place.mmp_group)
        and command.underlying in ("", state.instruments[order.place.instrument].underlying)
    ]
    cancel_orders(state, turn, orders, CloseReason.USER_REQUEST)
    turn.flush_closes(state)
    turn.events.append(ManyCanceled(subaccount=command.subaccount, count=len(orders)))


def replace(state: State, turn: Turn, command: Replace) -> None:
    """Cancel the target and place a new order. Refusals up to the nonce leave the target alone; later ones do not."""
    place = command.order
    target = find_order(state, place.subaccount, number=command.target_order)
    if not admit(state, turn, place):
        return
    code = check_target(state, place.subaccount, target)
    if not code and target is not None and command.expected_filled_lots not in (-1, target.filled_lots):
        code = ResultCode.REPLACE_FILL_MISMATCH
    if not code and target is not None and (target.status is OrderStatus.UNTRIGGERED or place.trigger is not None):
        code = ResultCode.TRIGGER_NOT_REPLACEABLE
    if code or target is None:
        refuse(state, turn, place, code, order=0 if target is None else target.number)
        return
    cancel_orders(state, turn, [target], CloseReason.REPLACED)
    turn.flush_closes(state)
    execute(state, turn, place, replaces=target.number)


def _is_in_scope(order: Order, scope: CancelScope) -> bool:
    is_waiting = order.status is OrderStatus.UNTRIGGERED
    return scope is CancelScope.ALL or is_waiting == (scope is CancelScope.TRIGGERS)


def check_target(state: State, subaccount: int, order: Order | None) -> ResultCode:
    """Why an order that was looked up cannot be changed: no account, no such order, or what became of it."""
    if subaccount not in state.account_orders:
        return ResultCode.SUBACCOUNT_NOT_FOUND
    if order is None:
        return ResultCode.ORDER_NOT_FOUND
    return TERMINAL_CODES.get(order.status, ResultCode.OK)


def refuse_target(
    turn: Turn, subaccount: int, order: Order | None, code: ResultCode, command: Cancel | None = None
) -> None:
    """Report the refusal of a command that names an order."""
    turn.events.append(
        OrderRefused(
            subaccount=subaccount,
            order=(command.order if command else 0) if order is None else order.number,
            code=code,
            instrument=0 if order is None else order.place.instrument,
            client_order_id=command.client_order_id if command else "",
            nonce=command.nonce if command else 0,
        )
    )
