"""Time: what is due dies in (deadline, number) order, a bounded number per Clock."""

from exchange.domain.limits import MAX_TIMERS_PER_CLOCK
from exchange.domain.result_codes import CloseReason, OrderStatus
from exchange.engine.matching import cancel_orders
from exchange.engine.protection import thaw_due
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["fire_timers"]


def fire_timers(state: State, turn: Turn) -> None:
    """End orders whose signature, date or instrument ran out, and thaw groups, before orders of the same time.

    MAX_TIMERS_PER_CLOCK at most, the rest at the next.
    """
    state.nonces.drop_stale(state.timestamp_ns)
    for _ in range(MAX_TIMERS_PER_CLOCK):
        deadline_ns = state.timers[0][0] if state.timers else state.timestamp_ns + 1
        if state.thaws and state.thaws[0][0] <= min(deadline_ns, state.timestamp_ns):
            thaw_due(state, turn)
            continue
        if deadline_ns > state.timestamp_ns:
            return
        order = state.require_live(state.timers[0][1])
        reason = state.deadline(order)[1]
        is_instrument_end = reason is CloseReason.INSTRUMENT_EXPIRED
        status = OrderStatus.CANCELED if is_instrument_end else OrderStatus.EXPIRED
        cancel_orders(state, turn, [order], reason, status)
