"""Placing an order: the ladder of checks in declared order, first failing code wins (api.md 5 rows 8, 10-13).

What is refused before the nonce counts spends nothing. From there on the nonce is spent, whatever happens, so that a
refused signature can never trade later. Behind the ladder stands the book, which has the last word.
"""

from typing import Final

from exchange.domain.commands import Place, TimeInForce
from exchange.domain.events import OrderRefused, OrderRepeated
from exchange.domain.ids import order_number
from exchange.domain.limits import MAX_MONEY_E6
from exchange.domain.result_codes import OrderStatus, ResultCode
from exchange.engine.authority import check_authority, check_expiry
from exchange.engine.flags import MARKET, POST_ONLY, REDUCE_ONLY, SLIDE
from exchange.engine.margin import is_affordable
from exchange.engine.matching import match_order
from exchange.engine.records import Order
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["TERMINAL_CODES", "admit", "execute", "find_order", "place_order", "refuse"]

_MILLISECOND_NS: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000
_NANOSECOND_NONCE_MIN: Final = 10**18
_IMMEDIATE: Final = (TimeInForce.IOC, TimeInForce.FOK)

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
    if known is not None and _is_same_body(known.place, place):
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
    code, best_ticks = _check_terms(state, place), 0
    code = code or _check_limits(state, place)
    if not code and not is_affordable(state, place, place.price_ticks):
        code = ResultCode.INSUFFICIENT_MARGIN
    code = code or _check_liquidity(state, place)
    if not code:
        code, best_ticks = match_order(state, turn, place, replaces=replaces)
    if code:
        refuse(state, turn, place, code, price_ticks=best_ticks)
        return
    owner = state.accounts[place.subaccount].owner
    state.nonces.spend(owner, place.signer, place.nonce, order_number(sequence=state.sequence))


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
    if not number:
        names: dict[str, int] | dict[int, int] = state.client_ids[subaccount] if client_order_id else {}
        number = names.get(client_order_id, 0) if client_order_id else state.nonce_orders[subaccount].get(nonce, 0)  # type: ignore[call-overload]
    order = state.open_orders.get(number) or state.closed_orders.get(number)
    return order if order is not None and order.place.subaccount == subaccount else None


def _spend_nonce(state: State, turn: Turn, place: Place) -> bool:
    account = state.accounts[place.subaccount]
    nonces, nonce = state.nonces, place.nonce
    is_ancient = account.cancel_all_ns and (nonce < _NANOSECOND_NONCE_MIN or nonce <= account.cancel_all_ns)
    if is_ancient or not nonces.is_in_window(nonce, state.timestamp_ns):
        return refuse(state, turn, place, ResultCode.NONCE_OUTSIDE_WINDOW)
    used_by = nonces.find(account.owner, place.signer, nonce)
    if used_by is not None:
        return refuse(state, turn, place, ResultCode.NONCE_USED, order=used_by)
    nonces.spend(account.owner, place.signer, nonce, 0)
    return True


def _check_terms(state: State, place: Place) -> ResultCode:
    """Instrument live and priced, a possible combination of options, price and size on the instrument's scale."""
    instrument = state.instruments.get(place.instrument)
    if instrument is None:
        return ResultCode.INSTRUMENT_NOT_FOUND
    ended = instrument.expiry_s and state.timestamp_ns >= instrument.expiry_s * _SECOND_NS
    if ended or place.instrument not in state.prices.marks or instrument.underlying not in state.prices.index_e9:
        return ResultCode.INSTRUMENT_NOT_LIVE
    flags = int(place.flags)
    is_immediate = place.time_in_force in _IMMEDIATE or flags & MARKET
    if flags & (POST_ONLY | SLIDE) == SLIDE or (is_immediate and flags & POST_ONLY):
        return ResultCode.POST_ONLY_NOT_ALLOWED
    if not 0 < place.price_ticks <= instrument.maximum_price_ticks:
        return ResultCode.BAD_PRICE
    notional_e6 = instrument.notional_e6(price_ticks=place.price_ticks, quantity_lots=place.quantity_lots)
    in_range = instrument.minimum_lots <= place.quantity_lots <= instrument.maximum_lots
    return ResultCode.OK if in_range and 0 < notional_e6 <= MAX_MONEY_E6 else ResultCode.BAD_AMOUNT


def _check_limits(state: State, place: Place) -> ResultCode:
    """Reduce-only has something to reduce; open orders and positions are bounded; not later than asked."""
    account, number = state.accounts[place.subaccount], place.instrument
    position = account.lots(number)
    if int(place.flags) & REDUCE_ONLY and (position == 0 or (position > 0) == (place.side == 0)):
        return ResultCode.REDUCE_ONLY_REJECTED
    if len(state.account_orders[account.index]) >= state.config.open_orders_max:
        return ResultCode.TOO_MANY_OPEN_ORDERS
    if position == 0 and _is_full(state, account.index, number):
        return ResultCode.TOO_MANY_POSITIONS
    if place.reject_after_ms and state.timestamp_ns > place.reject_after_ms * _MILLISECOND_NS:
        return ResultCode.REJECT_TIMESTAMP_PASSED
    return ResultCode.OK


def _is_full(state: State, subaccount: int, instrument: int) -> bool:
    """Whether positions held and positions that open orders may open leave no place for another one."""
    held = state.accounts[subaccount].positions
    maximum = state.config.positions_max
    rows = state.exposures[subaccount]
    if len(held) + len(rows) < maximum:
        return False
    waiting = sum(1 for number, row in rows.items() if number not in held and (row.buy_lots or row.sell_lots))
    already = instrument in rows and bool(rows[instrument].buy_lots or rows[instrument].sell_lots)
    return not already and len(held) + waiting >= maximum


def _check_liquidity(state: State, place: Place) -> ResultCode:
    """A market order needs somebody to trade with; a limit IOC is accepted and ends instead."""
    if not int(place.flags) & MARKET:
        return ResultCode.OK
    bid_ticks, _, ask_ticks, _ = state.book.best(place.instrument)
    best = ask_ticks if place.side == 0 else bid_ticks
    if best is None or (best > place.price_ticks if place.side == 0 else best < place.price_ticks):
        return ResultCode.NO_LIQUIDITY
    return ResultCode.OK


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
    )
