"""Settlement batches: which fills and requests belong together (settlement.md 3.4-3.5), by the journal alone."""

from typing import Final

from exchange.domain.events import BatchClosed, CommandRefused
from exchange.domain.ids import FIRST_USER_ACCOUNT
from exchange.domain.limits import MAX_MONEY_E6, MAX_QUANTITY_LOTS
from exchange.domain.result_codes import ResultCode
from exchange.engine.records import Batch, Order
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = [
    "add_expired",
    "add_fill",
    "add_fund_payment",
    "add_leg",
    "add_request",
    "add_trade",
    "close_content",
    "cut",
    "make_room_for_account",
    "make_room_for_block",
    "make_room_for_fill",
    "make_room_for_legs",
    "make_room_for_payment",
    "make_room_for_request",
]

_SECOND_NS: Final = 1_000_000_000


def cut(state: State, turn: Turn, *, allows_empty: bool = False) -> None:
    """BatchCut: close the open batch if there is anything in it; an empty one, where wanted, was matched now."""
    if not (allows_empty or state.batch.has_content):
        turn.events.append(CommandRefused(code=ResultCode.NOTHING_TO_CUT, detail=state.batch.number))
        return
    if not state.batch.has_content:
        _touched(state)
    _close(state, turn, next_first=state.sequence + 1)


def close_content(state: State, turn: Turn) -> None:
    """Close the open batch, if there is anything in it, inside a command: what follows is the next batch's."""
    if state.batch.has_content:
        _close(state, turn, next_first=state.sequence)


def make_room_for_fill(
    state: State, turn: Turn, *, instrument: int, maker: Order, taker: Order, lots: int, notional_e6: int
) -> None:
    """Close the open batch first when this fill would pass a cap of the batch format."""
    parties = (maker.place.subaccount, taker.place.subaccount)
    if state.batch.has_content and (
        _lacks_place(state, instrument, parties)
        or _has_too_many_orders(state, maker, taker)
        or any(_overflows(state.batch, instrument, account, lots, notional_e6) for account in parties)
    ):
        _close(state, turn, next_first=state.sequence)


def make_room_for_block(
    state: State, turn: Turn, *, instruments: tuple[int, ...], accounts: tuple[int, int], lots: int, notional_e6: int
) -> None:
    """Close the open batch first when any leg of a block might pass a cap: no batch ends between two of its legs.

    `lots` of the largest leg, `notional_e6` of all together.
    """
    batch, config, count = state.batch, state.config, len(instruments)
    is_full = (
        len(batch.cash_e6) + len(accounts) > config.batch_accounts_max
        or len(batch.instruments) + count > config.batch_instruments_max
        or len(batch.legs) + 2 * count > config.batch_legs_max
        or any(batch.orders.get(account, 0) + count > config.batch_orders_max for account in accounts)
    )
    if batch.has_content and (
        is_full
        or any(_overflows(batch, number, account, lots, notional_e6) for number in instruments for account in accounts)
    ):
        _close(state, turn, next_first=state.sequence)


def make_room_for_request(state: State, turn: Turn, account: int) -> None:
    """Close the open batch first when one more request would pass the contract's cap."""
    batch, config = state.batch, state.config
    new_account = account >= FIRST_USER_ACCOUNT and account not in batch.cash_e6
    if batch.request_count >= config.batch_requests_max or len(batch.cash_e6) + new_account > config.batch_accounts_max:
        _close(state, turn, next_first=state.sequence)


def make_room_for_account(state: State, turn: Turn, account: int) -> None:
    """Close the open batch first when it cannot list one more account."""
    batch = state.batch
    if account not in batch.cash_e6 and len(batch.cash_e6) >= state.config.batch_accounts_max:
        _close(state, turn, next_first=state.sequence)


def add_expired(state: State, account: int) -> None:
    """List an account whose position became cash: the ledger pays it then too."""
    batch = _touched(state)
    batch.expired_count += 1
    batch.cash_e6.setdefault(account, 0)


def add_fill(state: State, order: Order, *, lots: int, cash_e6: int, fee_e6: int) -> None:
    """Book one party of a trade: signed `lots`, signed `cash_e6` with the fee taken off."""
    batch, account = _touched(state), order.place.subaccount
    if order.filled_batch != batch.number:
        order.filled_batch = batch.number
        batch.orders[account] = batch.orders.get(account, 0) + 1
    batch.cash_e6[account] = batch.cash_e6.get(account, 0) + cash_e6
    leg = (order.place.instrument, account)
    batch.legs[leg] = batch.legs.get(leg, 0) + lots
    batch.fee_e6 += fee_e6


def make_room_for_legs(
    state: State, turn: Turn, *, instrument: int, accounts: tuple[int, int], lots: int, notional_e6: int
) -> None:
    """Close the open batch first when a transfer between two accounts would pass a cap of the batch format."""
    batch = state.batch
    if batch.has_content and (
        _lacks_place(state, instrument, accounts)
        or any(batch.orders.get(account, 0) >= state.config.batch_orders_max for account in accounts)
        or any(_overflows(batch, instrument, account, lots, notional_e6) for account in accounts)
    ):
        _close(state, turn, next_first=state.sequence)


def make_room_for_payment(state: State, turn: Turn, account: int, amount_e6: int) -> None:
    """Close the open batch first when it cannot list one more account, leaf of it, or so much cash."""
    batch = state.batch
    if batch.orders.get(account, 0) >= state.config.batch_orders_max or _overflows(batch, 0, account, 0, amount_e6):
        _close(state, turn, next_first=state.sequence)
    else:
        make_room_for_account(state, turn, account)


def add_leg(state: State, account: int, *, instrument: int, lots: int, cash_e6: int) -> None:
    """Book one party of a transfer without fee: signed `lots` (0: cash alone), signed `cash_e6`, a leaf of its own."""
    batch = _touched(state)
    batch.orders[account] = batch.orders.get(account, 0) + 1
    batch.cash_e6[account] = batch.cash_e6.get(account, 0) + cash_e6
    if lots:
        batch.legs[instrument, account] = batch.legs.get((instrument, account), 0) + lots


def add_fund_payment(state: State, account: int, amount_e6: int) -> None:
    """The fund pays `amount_e6` into an account: the batch's fees shrink by it."""
    add_leg(state, account, instrument=0, lots=0, cash_e6=amount_e6)
    state.batch.fee_e6 -= amount_e6
    state.batch.expired_count += 1


def add_trade(state: State, instrument: int) -> None:
    """Count one trade."""
    batch = state.batch
    batch.fill_count += 1
    batch.instruments[instrument] = batch.instruments.get(instrument, 0) + 1


def add_request(state: State, account: int) -> None:
    """Book one chain request; its account is listed even without a cash delta."""
    batch = _touched(state)
    batch.request_count += 1
    if account >= FIRST_USER_ACCOUNT:
        batch.cash_e6.setdefault(account, 0)


def _lacks_place(state: State, instrument: int, parties: tuple[int, int]) -> bool:
    batch, config = state.batch, state.config
    new_accounts = sum(account not in batch.cash_e6 for account in parties)
    new_legs = sum((instrument, account) not in batch.legs for account in parties)
    return (
        len(batch.cash_e6) + new_accounts > config.batch_accounts_max
        or len(batch.instruments) + (instrument not in batch.instruments) > config.batch_instruments_max
        or len(batch.legs) + new_legs > config.batch_legs_max
    )


def _has_too_many_orders(state: State, maker: Order, taker: Order) -> bool:
    """Whether the fill could give an account more orders than the tree takes; a fill with itself may add two."""
    batch, most = state.batch, state.config.batch_orders_max
    new = (maker.filled_batch != batch.number) + (taker.filled_batch != batch.number)
    alone = maker.place.subaccount != taker.place.subaccount
    return any(
        batch.orders.get(order.place.subaccount, 0) + (order.filled_batch != batch.number if alone else new) > most
        for order in (maker, taker)
    )


def _overflows(batch: Batch, instrument: int, account: int, lots: int, notional_e6: int) -> bool:
    """Whether a delta could leave the u48 or u64 field it is written to; one lot and fees leave room to spare."""
    leg = abs(batch.legs.get((instrument, account), 0)) + lots
    cash = abs(batch.cash_e6.get(account, 0)) + notional_e6
    return leg > MAX_QUANTITY_LOTS or cash > MAX_MONEY_E6


def _touched(state: State) -> Batch:
    batch = state.batch
    second = state.timestamp_ns // _SECOND_NS
    if not batch.has_content and not batch.cash_e6:
        batch.from_s = second
    batch.to_s = second
    return batch


def _close(state: State, turn: Turn, *, next_first: int) -> None:
    batch = state.batch
    turn.events.append(
        BatchClosed(
            batch=batch.number,
            first_sequence=batch.first_sequence,
            last_sequence=state.sequence,
            match_from_s=batch.from_s,
            match_to_s=batch.to_s,
            request_up_to=state.request_index,
            fee_e6=batch.fee_e6,
            fill_count=batch.fill_count,
        )
    )
    state.batch = Batch(
        number=batch.number + 1, first_sequence=next_first, cash_e6={}, legs={}, instruments={}, orders={}
    )
