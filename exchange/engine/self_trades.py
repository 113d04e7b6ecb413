"""What an account's orders do that meet its own; read by the core's flags and owner numbers of every order."""

from typing import Final

from exchange.domain.commands import OrderFlag, SetSelfTradePrevention
from exchange.domain.events import CommandRefused, SelfTradePreventionSet
from exchange.domain.result_codes import ResultCode
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["set_self_trade_prevention"]

_MODES: Final = (
    OrderFlag.NONE,
    OrderFlag.STP_CANCEL_MAKER,
    OrderFlag.STP_CANCEL_BOTH,
    OrderFlag.STP_DECREMENT_BOTH,
)


def set_self_trade_prevention(state: State, turn: Turn, command: SetSelfTradePrevention) -> None:
    """Set mode and scope; refused while an order lives, because the core keeps what an order was placed with."""
    account = state.accounts.get(command.subaccount)
    code = ResultCode.OK
    if account is None or not account.owner:
        code = ResultCode.SUBACCOUNT_NOT_FOUND
    elif command.mode not in _MODES:
        code = ResultCode.PARAMETER_INVALID
    elif state.live_orders(account.index):
        code = ResultCode.ORDERS_OPEN
    if code or account is None:
        turn.events.append(CommandRefused(code=code, detail=command.subaccount))
        return
    account.self_trade_mode, account.is_self_trade_by_owner = command.mode, command.by_owner
    event = SelfTradePreventionSet(subaccount=account.index, mode=command.mode, by_owner=command.by_owner)
    turn.events.append(event)
