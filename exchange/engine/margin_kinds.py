"""An account chooses how it is margined (risk.md 8, 8.4): only where it would be healthy that way at once."""

from exchange.domain.events import CommandRefused
from exchange.domain.portfolio import MarginKind, MarginKindSet, SetMarginKind
from exchange.domain.result_codes import ResultCode
from exchange.engine.margin import worst_margin_e18
from exchange.engine.records import Account
from exchange.engine.scenarios import is_scenario_stale
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.valuation import value_account

__all__ = ["kind_of", "set_margin_kind"]


def kind_of(state: State, subaccount: int) -> MarginKind:
    """How a subaccount is margined."""
    return MarginKind.PORTFOLIO if subaccount in state.scenarios.accounts else MarginKind.STANDARD


def set_margin_kind(state: State, turn: Turn, command: SetMarginKind) -> None:
    """Change the kind; refused where the account does not exist, is being liquidated, or would miss margin."""
    account = state.accounts.get(command.subaccount)
    if account is None or not account.owner:
        code = ResultCode.SUBACCOUNT_NOT_FOUND
    else:
        code = _check(state, account, command.kind)
    if code or account is None:
        turn.events.append(CommandRefused(code=code, detail=command.subaccount))
        return
    _put(state, account, command.kind)
    turn.events.append(MarginKindSet(subaccount=account.index, kind=command.kind))


def _check(state: State, account: Account, kind: MarginKind) -> ResultCode:
    """First failing code of: liquidation, prices of what it holds and orders, least equity, margin."""
    if kind is kind_of(state, account.index):
        return ResultCode.OK
    if account.is_in_liquidation:
        return ResultCode.IN_LIQUIDATION
    if kind is MarginKind.PORTFOLIO:
        if any(is_scenario_stale(state, number) for number in _options(state, account)):
            return ResultCode.INSTRUMENT_NOT_LIVE
        if value_account(state, account).equity_e6 < state.config.portfolio.minimum_equity_e6:
            return ResultCode.INSUFFICIENT_MARGIN
    return ResultCode.OK if _worst_as_e18(state, account, kind) >= 0 else ResultCode.INSUFFICIENT_MARGIN


def _options(state: State, account: Account) -> set[int]:
    """Options that the account holds or has orders on, quotes and reduce-only ones too."""
    named = {order.place.instrument for order in state.account_orders[account.index].values()}
    return {number for number in named | account.positions.keys() if state.instruments[number].is_option}


def _worst_as_e18(state: State, account: Account, kind: MarginKind) -> int:
    """Initial margin after the worst fill under a kind; the account's own stays what it is."""
    before = kind_of(state, account.index)
    _put(state, account, kind)
    answer = worst_margin_e18(state, account)
    _put(state, account, before)
    return answer


def _put(state: State, account: Account, kind: MarginKind) -> None:
    if kind is MarginKind.PORTFOLIO:
        state.scenarios.accounts[account.index] = None
    else:
        state.scenarios.accounts.pop(account.index, None)
