"""Requests of the contract's queue: the only way money, keys and orders of the chain's will enter the engine.

They come in order, each exactly once, as the first things of a batch (settlement.md 3.5); a CLOSE_ALL is a batch alone.
"""

from typing import Final

from exchange.domain.commands import ChainRequest, ChainRequestKind
from exchange.domain.events import AccountOpened, CashMoved, CommandRefused, RequestApplied
from exchange.domain.ids import FIRST_USER_ACCOUNT
from exchange.domain.limits import MAX_SESSION_KEYS_PER_OWNER
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.safeguards import SessionKeyRefused
from exchange.engine import batches
from exchange.engine.authority import find_key
from exchange.engine.chain_cover import covered_e6
from exchange.engine.closing import close_account, must_wait_to_close
from exchange.engine.funding import pay_funding
from exchange.engine.key_limits import end_key, key_event
from exchange.engine.market_limits import is_scaled
from exchange.engine.matching import cancel_orders
from exchange.engine.portfolio_margin import is_portfolio
from exchange.engine.records import Account, KeyRow
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.valuation import value_account
from exchange.risk.standard import withdrawable

__all__ = ["apply_request", "withdrawable_e6"]

_SECOND_NS: Final = 1_000_000_000


def apply_request(state: State, turn: Turn, request: ChainRequest) -> None:
    """Take the next entry of the queue; a wrong index or a batch that already has fills refuses it."""
    if request.index != state.request_index + 1:
        code, detail = ResultCode.REQUEST_OUT_OF_ORDER, state.request_index + 1
    elif state.batch.fill_count:
        code, detail = ResultCode.REQUEST_NOT_AT_BATCH_START, state.batch.number
    else:
        code, detail = _check_content(state, request), request.account
    if code:
        turn.events.append(CommandRefused(code=code, detail=detail))
        return
    closes = request.kind is ChainRequestKind.CLOSE_ALL
    if closes:
        batches.close_content(state, turn)
    batches.make_room_for_request(state, turn, request.account)
    state.request_index = request.index
    _pay_funding(state, turn, request.account)
    approved_e6 = _apply_kind(state, turn, request)
    turn.flush_closes(state)
    batches.add_request(state, request.account)
    account = state.accounts.get(request.account)
    turn.events.append(
        RequestApplied(
            index=request.index,
            kind=request.kind,
            account=request.account,
            amount_e6=request.amount_e6,
            approved_e6=approved_e6,
            owner=request.owner or (account.owner if account else b""),
        )
    )
    if closes:
        batches.close_content(state, turn)


def withdrawable_e6(state: State, account: Account) -> int:
    """What the account could take out now if it had no open orders, in 1e-6 USDC, rounded down.

    With Portfolio Margin, or where margin grew with open interest, no less than what the contract takes for free
    (D-048, D-055).
    """
    # The chain judges a refusal by rules that know no doubt about prices.
    value = value_account(state, account, doubts=False)
    own_e6 = withdrawable(
        # Its perpetuals count as realized at their marks, as the chain will see them.
        cash_e6=value.realized_cash_e6,
        equity_e6=value.equity_e6,
        initial_requirement_e6=value.requirement.initial_e6,
        perpetual_notional_e6=value.perpetual_notional_e6,
    )
    asks_more = is_portfolio(state, account) or any(
        is_scaled(state, state.instruments[number].underlying) for number in account.positions
    )
    return max(own_e6, covered_e6(state, account)) if asks_more else own_e6


def _check_content(state: State, request: ChainRequest) -> ResultCode:
    """A deposit for a new account must name its owner; amounts are not negative; a closing waits for prices."""
    is_new = request.kind is ChainRequestKind.DEPOSIT and request.account not in state.accounts
    if request.amount_e6 < 0 or (is_new and len(request.owner) != 20):
        return ResultCode.PARAMETER_INVALID
    must_wait = request.kind is ChainRequestKind.CLOSE_ALL and must_wait_to_close(state, request.account)
    return ResultCode.REQUEST_WAITS_FOR_PRICES if must_wait else ResultCode.OK


def _pay_funding(state: State, turn: Turn, index: int) -> None:
    """The batch lists the account, so the chain charges it (settlement.md 3.5)."""
    account = state.accounts.get(index)
    if account is not None:
        pay_funding(state, turn, account)


def _apply_kind(state: State, turn: Turn, request: ChainRequest) -> int:
    """Effect of a request; returns the amount approved for a withdrawal, else 0."""
    if request.kind is ChainRequestKind.DEPOSIT:
        _deposit(state, turn, request)
        return 0
    if request.kind is ChainRequestKind.SET_KEY:
        _set_key(state, turn, request)
        return 0
    account = state.accounts.get(request.account)
    if account is None or account.index < FIRST_USER_ACCOUNT:
        return 0
    if request.kind is ChainRequestKind.WITHDRAW:
        return _withdraw(state, turn, account, request)
    # Waiting orders too: the chain takes no fill of an order that is older than the request.
    cancel_orders(state, turn, state.live_orders(account.index), CloseReason.USER_REQUEST)
    account.cancel_all_ns = state.timestamp_ns
    account.is_locked |= request.kind is ChainRequestKind.LOCK
    if request.kind is ChainRequestKind.CLOSE_ALL:
        turn.flush_closes(state)
        close_account(state, turn, account)
    return 0


def _deposit(state: State, turn: Turn, request: ChainRequest) -> None:
    account = state.accounts.get(request.account)
    if account is None:
        account = state.open_account(
            Account(index=request.account, owner=request.owner, opened_ns=state.timestamp_ns, positions={})
        )
        turn.events.append(AccountOpened(subaccount=account.index, owner=account.owner))
    _move_cash(state, turn, account, request, request.amount_e6)


def _withdraw(state: State, turn: Turn, account: Account, request: ChainRequest) -> int:
    _cancel_resting(state, turn, account, CloseReason.WITHDRAWAL)
    turn.flush_closes(state)
    # The contract refuses for ever what is not there; a bankrupt account may owe what this one has.
    approved_e6 = min(request.amount_e6, withdrawable_e6(state, account), state.collateral_e6)
    if approved_e6:
        _move_cash(state, turn, account, request, -approved_e6)
    return approved_e6


def _move_cash(state: State, turn: Turn, account: Account, request: ChainRequest, amount_e6: int) -> None:
    account.ledger_cash_e6 += amount_e6
    state.collateral_e6 += amount_e6
    state.cash_sum_e6 += amount_e6
    turn.moved_cash = True
    turn.events.append(
        CashMoved(
            subaccount=account.index,
            account_seq=account.next_seq(),
            request_index=request.index,
            amount_e6=amount_e6,
            cash_e6=account.cash_e6,
            ledger_cash_e6=account.ledger_cash_e6,
        )
    )


def _cancel_resting(state: State, turn: Turn, account: Account, reason: CloseReason) -> None:
    """End what reserves margin; an order that waits for its trigger reserves none and may protect a position."""
    orders = [order for _, order in sorted(state.account_orders[account.index].items())]
    cancel_orders(state, turn, orders, reason)


def _set_key(state: State, turn: Turn, request: ChainRequest) -> None:
    """Register or revoke. A row that exists can only be revoked, and stays revoked (api.md 4.6)."""
    account = state.accounts.get(request.account)
    owner = request.owner or (account.owner if account else b"")
    rows = state.keys.setdefault(owner, {})
    revokes = request.valid_to_s <= state.timestamp_ns // _SECOND_NS
    row = find_key(state, owner, request.key)
    if row is None and len(rows) >= MAX_SESSION_KEYS_PER_OWNER:
        _refuse_key(turn, owner, request, ResultCode.TOO_MANY_SESSION_KEYS)
        return
    if row is None:
        row = rows[request.key] = KeyRow(
            key=request.key,
            valid_to_s=request.valid_to_s,
            scopes=request.scopes,
            accounts=request.accounts,
            registered_ns=state.timestamp_ns,
            is_revoked=revokes,
        )
    elif revokes and not row.is_revoked:
        row.is_revoked, row.valid_to_s = True, request.valid_to_s
    else:
        if not revokes:
            _refuse_key(turn, owner, request, ResultCode.SESSION_KEY_FIXED)
        return
    if revokes:
        end_key(state, turn, owner, request.key)
    turn.events.append(key_event(owner, row, request_index=request.index))


def _refuse_key(turn: Turn, owner: bytes, request: ChainRequest, code: ResultCode) -> None:
    """The request is consumed, since the chain's queue goes on; whoever asked for the key hears why it is not there."""
    turn.events.append(SessionKeyRefused(owner=owner, key=request.key, code=code, request_index=request.index))
