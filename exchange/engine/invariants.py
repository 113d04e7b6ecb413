"""What must hold after every command: the cheap part always, over what was touched; the full one on demand."""

from itertools import pairwise
from typing import Never

from exchange.domain.commands import OrderFlag, Side
from exchange.domain.result_codes import OrderStatus
from exchange.engine.records import Account
from exchange.engine.state import InvariantViolated, State
from exchange.engine.turn import Turn

__all__ = ["check_invariants", "check_turn"]


def check_turn(state: State, turn: Turn) -> None:
    """After a command: cash adds up to the collateral, positions to zero, and the core counts what the ledger holds."""
    if turn.moved_cash and state.cash_sum_e6 != state.collateral_e6:
        _violated(f"cash of all accounts is {state.cash_sum_e6}, collateral {state.collateral_e6}")
    for subaccount, instrument in turn.touched:
        if state.position_sums[instrument]:
            _violated(f"positions of instrument {instrument} sum to {state.position_sums[instrument]}")
        held = state.accounts[subaccount].lots(instrument)
        counted = state.book.cell(state.cells[subaccount, instrument])
        if held != counted:
            _violated(f"account {subaccount} holds {held} of {instrument}, the core counts {counted}")


def check_invariants(state: State) -> None:
    """Everything, from scratch; raises InvariantViolated with the first contradiction."""
    state.book.check_invariants()
    _check_money(state)
    _check_orders(state)
    _check_book(state)
    for account in state.accounts.values():
        _check_account(state, account)


def _violated(what: str) -> Never:
    raise InvariantViolated(what)


def _check_money(state: State) -> None:
    cash_e6 = sum(account.ledger_cash_e6 for account in state.accounts.values())
    if not cash_e6 == state.cash_sum_e6 == state.collateral_e6:
        _violated(f"cash {cash_e6}, running sum {state.cash_sum_e6}, collateral {state.collateral_e6}")
    sums = dict.fromkeys(state.instruments, 0)
    for account in state.accounts.values():
        for number, position in account.positions.items():
            sums[number] += position.lots
    if any(sums.values()) or sums != state.position_sums:
        _violated("positions do not sum to zero")
    if sum(state.batch.cash_e6.values()) != -state.batch.fee_e6:
        _violated("cash deltas of the open batch do not sum to minus its fees")


def _check_orders(state: State) -> None:
    if state.open_orders.keys() != state.handles.keys() or len(state.by_handle) != len(state.open_orders):
        _violated("open orders and handles differ")
    if len(state.timers) != len(state.open_orders):
        _violated("open orders and timers differ")
    for number, order in state.open_orders.items():
        row = state.book.order(state.handles[number])
        if row is None or (row[0], row[2], row[3]) != (order.place.instrument, order.price_ticks, order.remaining_lots):
            _violated(f"order {number} stands otherwise in the book: {row}")
        if order.status is not OrderStatus.OPEN or order.remaining_lots <= 0:
            _violated(f"open order {number} is {order.status.name} with {order.remaining_lots} left")
    if any(order.status is OrderStatus.OPEN for order in state.closed_orders.values()):
        _violated("an open order among the closed ones")


def _check_book(state: State) -> None:
    """The book holds no other order, and every level is served in ascending order of numbers (D-005)."""
    total = 0
    for instrument in state.instruments:
        rows = state.book.orders(instrument)
        total += len(rows)
        lines = [(row[1], row[2], state.by_handle[row[0]].number) for row in rows]
        for one, other in pairwise(lines):
            if one[:2] == other[:2] and one[2] >= other[2]:
                _violated(f"order {other[2]} stands behind {one[2]}")
    if total != len(state.open_orders):
        _violated(f"{total} orders rest in the book, {len(state.open_orders)} are open")


def _check_account(state: State, account: Account) -> None:
    cost_e6 = sum(
        position.cost_e6 for number, position in account.positions.items() if state.instruments[number].is_perpetual
    )
    if cost_e6 != account.perpetual_cost_e6:
        _violated(f"account {account.index}: cost {cost_e6}, running sum {account.perpetual_cost_e6}")
    for number, exposure in state.exposures[account.index].items():
        orders = [
            order
            for order in state.account_orders[account.index].values()
            if order.place.instrument == number and not order.place.flags & OrderFlag.REDUCE_ONLY
        ]
        buys = [order for order in orders if order.place.side is Side.BUY]
        expected = (
            sum(order.remaining_lots for order in buys),
            sum(order.remaining_lots for order in orders if order.place.side is Side.SELL),
            sum(order.remaining_lots * order.price_ticks for order in buys),
        )
        if expected != (exposure.buy_lots, exposure.sell_lots, exposure.buy_tick_lots):
            _violated(f"account {account.index}: exposure of {number} is not the sum of its orders")
