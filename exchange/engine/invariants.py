"""What must hold after every command: the cheap part always, over what was touched; the full one on demand."""

from itertools import pairwise
from typing import Final, Never

from exchange.domain.commands import OrderFlag, Side
from exchange.domain.ids import CLEARING_ACCOUNT
from exchange.domain.result_codes import OrderStatus
from exchange.engine.funding import pending_e18
from exchange.engine.links import Links
from exchange.engine.market_state import is_restricted
from exchange.engine.quote_invariants import check_groups
from exchange.engine.records import Account, TriggerStage
from exchange.engine.state import InvariantViolated, State
from exchange.engine.turn import Turn
from exchange.engine.waiting import is_due, source_price_e9

_E12: Final = 10**12
_LIVE: Final = (OrderStatus.OPEN, OrderStatus.UNTRIGGERED)

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
    _check_waiting(state)
    _check_links(state)
    check_groups(state)
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
    longs = dict.fromkeys(state.instruments, 0)
    for account in state.accounts.values():
        for number, position in account.positions.items():
            longs[number] += max(position.lots, 0)
    if any(state.limits.open_lots.get(number, 0) != lots for number, lots in longs.items()):
        _violated("open interest is not the sum of the long positions")
    if sum(state.batch.cash_e6.values()) != -state.batch.fee_e6:
        _violated("cash deltas of the open batch do not sum to minus its fees")
    _check_clearing(state)


def _check_clearing(state: State) -> None:
    """The clearing account holds what is due to others; what is left over is rounding, and never less than nothing."""
    due_e18 = sum(
        pending_e18(state, account, number) for account in state.accounts.values() for number in account.positions
    )
    held_e6 = state.accounts[CLEARING_ACCOUNT].ledger_cash_e6
    if held_e6 * _E12 < due_e18:
        _violated(f"the clearing account holds {held_e6}, due are {due_e18} (1e-18)")


def _check_orders(state: State) -> None:
    if state.open_orders.keys() != state.handles.keys() or len(state.by_handle) != len(state.open_orders):
        _violated("open orders and handles differ")
    if len(state.timers) != len(state.open_orders) + len(state.waiting_orders):
        _violated("live orders and timers differ")
    for number, order in state.open_orders.items():
        row = state.book.order(state.handles[number])
        if row is None or (row[0], row[2], row[3]) != (order.place.instrument, order.price_ticks, order.remaining_lots):
            _violated(f"order {number} stands otherwise in the book: {row}")
        if order.status is not OrderStatus.OPEN or order.remaining_lots <= 0:
            _violated(f"open order {number} is {order.status.name} with {order.remaining_lots} left")
    if any(order.status in _LIVE for order in state.closed_orders.values()):
        _violated("an open order among the closed ones")


def _check_book(state: State) -> None:
    """The book holds no other order, and every level is served in ascending order of ranks (D-005)."""
    total = 0
    for instrument in state.instruments:
        if state.book.phase(instrument) != (instrument in state.auctions):
            _violated(f"instrument {instrument} is in another phase in the book")
        rows = state.book.orders(instrument)
        total += len(rows)
        lines = [(row[1], row[2], state.by_handle[row[0]].place_in_line) for row in rows]
        for one, other in pairwise(lines):
            if one[:2] == other[:2] and one[2] >= other[2]:
                _violated(f"rank {other[2]} stands behind {one[2]}")
    if total != len(state.open_orders):
        _violated(f"{total} orders rest in the book, {len(state.open_orders)} are open")


def _check_waiting(state: State) -> None:
    """Every waiting order stands where its stage says, and in an open market no armed one is due."""
    by_account = {number for rows in state.account_waiting.values() for number in rows}
    if by_account != state.waiting_orders.keys():
        _violated("waiting orders and their accounts differ")
    stages = dict.fromkeys(TriggerStage, 0)
    for number, order in state.waiting_orders.items():
        stages[order.stage] += 1
        trigger = order.place.trigger
        if trigger is None or order.status is not OrderStatus.UNTRIGGERED or order.remaining_lots <= 0:
            _violated(f"waiting order {number} is {order.status.name} with {order.remaining_lots} left")
        is_closed = is_restricted(state, order.place.instrument)
        is_held = number in state.triggers.held
        if is_held and not is_closed and order.place.instrument not in state.auctions:
            _violated(f"nothing holds the fired order {number} back")
        if (order.stage is TriggerStage.FIRED) != (is_held or number in state.triggers.fired):
            _violated(f"waiting order {number} is {order.stage.name}, and the queue differs")
        price_e9 = source_price_e9(state, trigger.source, state.instruments[order.place.instrument])
        if (
            order.stage is TriggerStage.ARMED
            and not is_closed
            and price_e9 is not None
            and is_due(state, order, price_e9)
        ):
            _violated(f"armed order {number} is due at {price_e9}")
    armed = sum(map(len, state.triggers.ladders.values()))
    if (stages[TriggerStage.ARMED], stages[TriggerStage.FIRED]) != (
        armed,
        len(state.triggers.fired) + len(state.triggers.held),
    ):
        _violated("waiting orders and the trigger book differ")
    if stages[TriggerStage.NONE] or stages[TriggerStage.OVER]:
        _violated("waiting orders of an impossible stage")


def _check_links(state: State) -> None:
    """Ties follow from the live orders; of a group at most one order is in the book, and whoever waits has a parent."""
    links = Links()
    for order in (*state.open_orders.values(), *state.waiting_orders.values()):
        links.add(order)
    if (links.children, links.groups) != (state.links.children, state.links.groups):
        _violated("ties differ from what the live orders say")
    if any(sum(number in state.open_orders for number in members) > 1 for members in links.groups.values()):
        _violated("two orders of a group are in the book")
    if any(state.find_live(parent) is None for parent in links.children):
        _violated("an order waits for a parent that ended")


def _check_account(state: State, account: Account) -> None:
    cost_e6 = sum(
        position.cost_e6 for number, position in account.positions.items() if state.instruments[number].is_perpetual
    )
    if cost_e6 != account.perpetual_cost_e6:
        _violated(f"account {account.index}: cost {cost_e6}, running sum {account.perpetual_cost_e6}")
    for number, exposure in state.exposures[account.index].items():
        resting = [
            order
            for order in state.account_orders[account.index].values()
            if order.place.instrument == number and not order.place.flags & OrderFlag.REDUCE_ONLY
        ]
        orders = [order for order in resting if not order.place.flags & OrderFlag.QUOTE]
        buys = [order for order in orders if order.place.side is Side.BUY]
        expected = (
            sum(order.remaining_lots for order in buys),
            sum(order.remaining_lots for order in orders if order.place.side is Side.SELL),
            sum(order.remaining_lots * order.price_ticks for order in buys),
            sum(order.remaining_lots for order in resting) - sum(order.remaining_lots for order in orders),
        )
        if expected != (exposure.buy_lots, exposure.sell_lots, exposure.buy_tick_lots, exposure.quote_lots):
            _violated(f"account {account.index}: exposure of {number} is not the sum of its orders")
