"""Placing an order: the ladder of checks in declared order, first failing code wins (api.md 5 rows 8, 10-13).

What is refused before the nonce counts spends nothing. From there on the nonce is spent, whatever happens, so that a
refused signature can never trade later. Behind the ladder stands the book, which has the last word.
"""

from typing import Final

from exchange.domain.commands import Place
from exchange.domain.events import OrderRefused, OrderRepeated
from exchange.domain.ids import order_number
from exchange.domain.result_codes import OrderStatus, ResultCode
from exchange.engine.auctions import begin_call
from exchange.engine.authority import check_authority, check_expiry
from exchange.engine.entry_checks import check_display, check_entry, check_frozen, check_look, check_terms, check_time
from exchange.engine.matching import match_order
from exchange.engine.records import Order
from exchange.engine.state import State
from exchange.engine.trigger_orders import accept_trigger
from exchange.engine.turn import Turn

__all__ = ["TERMINAL_CODES", "admit", "check_nonce", "execute", "find_order", "place_order", "refuse"]

_NANOSECOND_NONCE_MIN: Final = 10**18

TERMINAL_CODES: Final = {
    OrderStatus.CANCELED: ResultCode.ALREADY_CANCELED,
    OrderStatus.FILLED: ResultCode.ALREADY_FILLED,
    OrderStatus.EXPIRED: ResultCode.ALREADY_EXPIRED,
    OrderStatus.REJECTED: ResultCode.ALREADY_CANCELED,
}


def place_order(state: State, turn: Turn, place: Place) -> None:
    """A new order: refused, answered as a repeat, or executed."""
    if admit(state, turn, place):
        execute(state, turn, place, replaces=0)


def admit(state: State, turn: Turn, place: Place) -> bool:
    """Checks that spend nothing, up to the nonce; then the nonce is spent. False: answered already."""
    code = check_authority(state, place)
    if code:
        return refuse(state, turn, place, code)
    client_id = place.client_order_id
    known = find_order(state, place.subaccount, client_order_id=client_id) if client_id else None
    if known is not None and _is_same_body(known.first_place or known.place, place):
        turn.events.append(OrderRepeated(subaccount=place.subaccount, order=known.number))
        return False
    if known is not None:
        return refuse(state, turn, place, ResultCode.CLIENT_ORDER_ID_CONFLICT, order=known.number)
    code = check_expiry(state, place)
    if code:
        return refuse(state, turn, place, code)
    return _spend_nonce(state, turn, place)


def execute(state: State, turn: Turn, place: Place, *, replaces: int) -> None:
    """The ladder behind the nonce, then the book."""
    code, best_ticks = check_terms(state, place) or check_display(state, place), 0
    if not code and place.trigger is not None:
        code = (
            check_frozen(state, place) or check_time(state, place) or accept_trigger(state, turn, place, place.trigger)
        )
    elif not code:
        code = check_look(state) or check_entry(state, place)
        code = code or begin_call(state, turn, place, place.quantity_lots, order_number(sequence=state.sequence))
        if not code:
            code, best_ticks = match_order(state, turn, place, replaces=replaces)
    if code:
        refuse(state, turn, place, code, price_ticks=best_ticks)
        return
    owner = state.accounts[place.subaccount].owner
    state.nonces.spend(owner, place.signer, place.nonce, order_number(sequence=state.sequence))


def check_nonce(state: State, place: Place) -> ResultCode:
    """Within the window around journal time, and behind the account's last cancel of everything; not used yet."""
    account = state.accounts[place.subaccount]
    nonces, nonce = state.nonces, place.nonce
    is_ancient = account.cancel_all_ns and (nonce < _NANOSECOND_NONCE_MIN or nonce <= account.cancel_all_ns)
    if is_ancient or not nonces.is_in_window(nonce, state.timestamp_ns):
        return ResultCode.NONCE_OUTSIDE_WINDOW
    is_used = nonces.find(account.owner, place.signer, nonce) is not None
    return ResultCode.NONCE_USED if is_used else ResultCode.OK


def refuse(
    state: State, turn: Turn, place: Place, code: ResultCode, *, order: int | None = None, price_ticks: int = 0
) -> bool:
    """Report a refusal; `order` names the order it is about, else the number this one would have had."""
    turn.events.append(
        OrderRefused(
            subaccount=place.subaccount,
            order=order_number(sequence=state.sequence) if order is None else order,
            code=code,
            instrument=place.instrument,
            price_ticks=price_ticks,
            quantity_lots=place.quantity_lots,
            client_order_id=place.client_order_id,
            label=place.label,
            nonce=place.nonce,
        )
    )
    return False


def find_order(
    state: State, subaccount: int, *, number: int = 0, client_order_id: str = "", nonce: int = 0
) -> Order | None:
    """An open or remembered order of a subaccount by the one name given."""
    if subaccount not in state.account_orders:
        return None
    number = number or state.number_of(subaccount, client_order_id, nonce)
    order = state.find_live(number) or state.closed_orders.get(number)
    return order if order is not None and order.place.subaccount == subaccount else None


def _spend_nonce(state: State, turn: Turn, place: Place) -> bool:
    code, owner = check_nonce(state, place), state.accounts[place.subaccount].owner
    if code:
        used_by = state.nonces.find(owner, place.signer, place.nonce) if code is ResultCode.NONCE_USED else None
        return refuse(state, turn, place, code, order=used_by)
    state.nonces.spend(owner, place.signer, place.nonce, 0)
    return True


def _is_same_body(one: Place, other: Place) -> bool:
    """Equal in all but nonce, signer, signature, their lives and the way they came (api.md 6.2)."""
    return (
        one.instrument == other.instrument
        and one.side == other.side
        and one.time_in_force == other.time_in_force
        and one.flags == other.flags
        and one.price_ticks == other.price_ticks
        and one.quantity_lots == other.quantity_lots
        and one.max_fee_e18 == other.max_fee_e18
        and one.expires_at_s == other.expires_at_s
        and one.label == other.label
        and one.trigger == other.trigger
        and one.mmp_group == other.mmp_group
        and one.display_lots == other.display_lots
    )
