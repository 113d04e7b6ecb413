"""Time: what is due ends in (deadline, number) order, a bounded number per Clock."""

from exchange.domain.limits import MAX_TIMERS_PER_CLOCK
from exchange.domain.result_codes import CloseReason, OrderStatus
from exchange.engine.auctions import due_auction, end_call
from exchange.engine.dead_men import fire_due
from exchange.engine.matching import cancel_orders
from exchange.engine.protection import thaw_due
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["fire_timers"]


def fire_timers(state: State, turn: Turn) -> None:
    """Fire dead-man timers, then end calls and orders whose signature, date or instrument ran out, and thaw groups.

    By time, MAX_TIMERS_PER_CLOCK at most, the rest at the next Clock; of one time groups thaw first and calls end last.
    Calls wait until all accounts were looked at behind a price round.
    """
    state.nonces.drop_stale(state.timestamp_ns)
    fired = fire_due(state, turn, MAX_TIMERS_PER_CLOCK) if state.dead_men else 0
    for _ in range(MAX_TIMERS_PER_CLOCK - fired):
        auction = due_auction(state) if state.auctions and not state.is_check_due else None
        if auction is not None:
            end_call(state, turn, auction)
            continue
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
