"""What the core's codes mean to the public: why an order was refused, why one ended, and which can only be a bug.

Every code of the core is in exactly one of the three roles it can play here, or in two when it both refuses and ends;
a test compares the tables with `CoreCode`, and `_answers.pxd` has the same numbers for C.
"""

from typing import Final

from exchange.domain.quote_events import MmpLimit
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.engine.state import InvariantViolated
from matching_core.fills import CoreCode

__all__ = ["IMPOSSIBLE", "REASONS", "REFUSALS", "TRIPPED", "reason_of", "refusal_of"]

REFUSALS: Final = {
    CoreCode.PRICE_OUT_OF_RANGE: ResultCode.BAD_PRICE,
    CoreCode.QUANTITY_OUT_OF_RANGE: ResultCode.BAD_AMOUNT,
    CoreCode.REDUCE_ONLY_WOULD_INCREASE: ResultCode.REDUCE_ONLY_REJECTED,
    CoreCode.POST_ONLY_WOULD_CROSS: ResultCode.POST_ONLY_WOULD_CROSS,
    CoreCode.FOK_NOT_FILLED: ResultCode.FOK_NOT_FILLED,
    CoreCode.NO_LIQUIDITY: ResultCode.NO_LIQUIDITY,
    CoreCode.CAPACITY: ResultCode.CAPACITY,
    CoreCode.SELF_TRADE: ResultCode.SELF_CROSSING,
    CoreCode.WRONG_PHASE: ResultCode.IN_AUCTION,
}
"""Refusals that an order can meet whose own terms the engine has checked."""
REASONS: Final = {
    CoreCode.IOC_REMAINDER: CloseReason.IOC_REMAINDER,
    CoreCode.NO_LIQUIDITY: CloseReason.NO_LIQUIDITY,
    CoreCode.SELF_TRADE: CloseReason.SELF_TRADE_PREVENTION,
    CoreCode.SELF_TRADE_MAKER: CloseReason.SELF_TRADE_PREVENTION,
    CoreCode.SELF_TRADE_DECREMENT: CloseReason.SELF_TRADE_PREVENTION,
    CoreCode.REDUCE_ONLY_EXCESS: CloseReason.REDUCE_ONLY_EXCESS,
    CoreCode.USER_REQUEST: CloseReason.USER_REQUEST,
    CoreCode.QUOTE_REPLACED: CloseReason.REPLACED,
    CoreCode.MMP_TRIGGERED: CloseReason.MMP_TRIGGERED,
}
"""Why an order ended that the core took out of the book."""
TRIPPED: Final = {
    CoreCode.GUARD_QUANTITY: MmpLimit.QUANTITY,
    CoreCode.GUARD_DELTA: MmpLimit.DELTA,
    CoreCode.GUARD_VEGA: MmpLimit.VEGA,
    CoreCode.GUARD_COUNT: MmpLimit.COUNT,
}
"""Limits named by GUARD_TRIPPED; they neither refuse nor end an order."""
IMPOSSIBLE: Final = frozenset(
    {
        CoreCode.UNKNOWN_KIND,
        CoreCode.UNKNOWN_INSTRUMENT,
        CoreCode.BAD_SIDE,
        CoreCode.BAD_FLAGS,
        CoreCode.UNKNOWN_HANDLE,
        CoreCode.MISSING_RECORDS,
        CoreCode.UNKNOWN_GUARD,
        CoreCode.GUARD_FROZEN,
        CoreCode.QUOTE_CROSSED,
        CoreCode.BOOK_CROSSED,
    }
)
"""The engine never sends what these answer: it knows its groups, which are frozen, and which lines cross."""


def refusal_of(code: int) -> ResultCode:
    """Public code of a refusal by the book. Raises InvariantViolated for one that an admitted order cannot meet."""
    found = REFUSALS.get(code)
    if found is None:
        raise InvariantViolated(f"the book refused an admitted order with {code}")
    return found


def reason_of(code: int) -> CloseReason:
    """Why the book ended an order. Raises InvariantViolated for a code that ends none."""
    found = REASONS.get(code)
    if found is None:
        raise InvariantViolated(f"the book ended an order with {code}")
    return found
