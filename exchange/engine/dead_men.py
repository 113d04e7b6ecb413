"""Dead-man timers: a subaccount that does not arm its timer again in time loses its orders (api.md 10.6).

A timer fires once, at the first Clock at or behind its deadline, on journal time; the last word of a client that lives
is the last one that counts.
"""

from typing import Final

from exchange.domain.events import CommandRefused
from exchange.domain.ids import FIRST_USER_ACCOUNT
from exchange.domain.limits import MAX_DEAD_MAN_MS, MIN_DEAD_MAN_MS
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.domain.safeguards import CancelAllAfter, DeadManSet
from exchange.engine.flags import LIQUIDATION, REDUCE_ONLY
from exchange.engine.matching import cancel_orders
from exchange.engine.records import DeadMan, Order
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["arm", "fire_due", "is_protective"]

_MILLISECOND_NS: Final = 1_000_000


def arm(state: State, turn: Turn, command: CancelAllAfter) -> None:
    """Arm, re-arm or (with 0) disarm."""
    if command.subaccount not in state.accounts or command.subaccount < FIRST_USER_ACCOUNT:
        turn.events.append(CommandRefused(code=ResultCode.SUBACCOUNT_NOT_FOUND, detail=command.subaccount))
        return
    if command.timeout_ms and not MIN_DEAD_MAN_MS <= command.timeout_ms <= MAX_DEAD_MAN_MS:
        turn.events.append(CommandRefused(code=ResultCode.PARAMETER_INVALID, detail=command.timeout_ms))
        return
    deadline_ns = 0
    if command.timeout_ms:
        deadline_ns = state.timestamp_ns + command.timeout_ms * _MILLISECOND_NS
        state.dead_men[command.subaccount] = DeadMan(
            deadline_ns=deadline_ns, spares_reduce_only=command.spares_reduce_only
        )
    else:
        state.dead_men.pop(command.subaccount, None)
    turn.events.append(DeadManSet(subaccount=command.subaccount, deadline_ns=deadline_ns))


def fire_due(state: State, turn: Turn, most: int) -> int:
    """Fire what is due by (deadline, subaccount), at most `most`; returns how many."""
    now_ns = state.timestamp_ns
    due = sorted((timer.deadline_ns, number) for number, timer in state.dead_men.items() if timer.deadline_ns <= now_ns)
    for _, subaccount in due[:most]:
        _fire(state, turn, subaccount)
    return min(len(due), most)


def is_protective(order: Order) -> bool:
    """Whether it waits for a trigger and can only reduce: what owners may ask to be spared."""
    return order.status is OrderStatus.UNTRIGGERED and bool(int(order.place.flags) & REDUCE_ONLY)


def _fire(state: State, turn: Turn, subaccount: int) -> None:
    timer = state.dead_men.pop(subaccount)
    orders = [
        order
        for order in state.live_orders(subaccount)
        if not int(order.place.flags) & LIQUIDATION and not (timer.spares_reduce_only and is_protective(order))
    ]
    cancel_orders(state, turn, orders, CloseReason.DEAD_MAN_TIMER)
    turn.flush_closes(state)
    turn.events.append(DeadManSet(subaccount=subaccount, deadline_ns=0, has_fired=True))
