"""Orders on their way into and out of the trigger book, and the prices they watch."""

from exchange.domain.commands import PriceSource, TriggerKind
from exchange.domain.events import TriggerSet
from exchange.domain.instrument import Instrument
from exchange.engine.market_state import is_index_open, is_restricted
from exchange.engine.records import Order, TriggerStage
from exchange.engine.state import State
from exchange.engine.triggers import SourceKey, fires_at_once, trailing_price_e9, waits_for_rise
from exchange.engine.turn import Turn

__all__ = [
    "arm",
    "await_trigger",
    "extreme_e9",
    "hold_back",
    "hold_restricted",
    "is_due",
    "leave",
    "let_go",
    "let_go_open",
    "move_trigger",
    "observe",
    "open_price_e9",
    "queue",
    "report",
    "resume",
    "source_key",
    "source_price_e9",
    "trigger_price_e9",
]


def source_key(source: PriceSource, instrument: Instrument) -> SourceKey:
    """Name of the price that `source` means on an instrument."""
    return source, instrument.underlying if source is PriceSource.INDEX else instrument.instrument_id


def source_price_e9(state: State, source: PriceSource, instrument: Instrument) -> int | None:
    """That price now in 1e-9 USDC; None before the first trade."""
    if source is PriceSource.INDEX:
        return state.prices.index_e9.get(instrument.underlying)
    if source is PriceSource.MARK:
        return state.prices.mark(instrument.instrument_id)
    ticks = state.prices.last_ticks.get(instrument.instrument_id)
    return None if ticks is None else ticks * instrument.tick_e9


def open_price_e9(state: State, key: SourceKey) -> int | None:
    """A watched price as `source_price_e9`; None while it is restricted too."""
    source, name = key
    if isinstance(name, str):
        return state.prices.index_e9[name] if is_index_open(state, name) else None
    return None if is_restricted(state, name) else source_price_e9(state, source, state.instruments[name])


def await_trigger(state: State, order: Order) -> None:
    """Index an order that waits; its stage is set."""
    state.waiting_orders[order.number] = order
    state.account_waiting[order.place.subaccount][order.number] = order
    state.timers.add((state.deadline(order)[0], order.number))
    state.links.add(order)


def leave(state: State, order: Order) -> None:
    """Take an order out of the trigger book and every index of waiting orders; its ties stay."""
    del state.waiting_orders[order.number]
    del state.account_waiting[order.place.subaccount][order.number]
    state.timers.remove((state.deadline(order)[0], order.number))
    if order.stage is TriggerStage.ARMED:
        order.trigger_e9 = trigger_price_e9(state, order)
    state.triggers.disarm(_key(state, order), order)
    order.stage, order.extreme_e9 = TriggerStage.OVER, 0


def arm(state: State, turn: Turn, order: Order) -> None:
    """Start watching its price; at or beyond its trigger already it fires at once."""
    state.links.drop_child(order)
    price_e9 = _price_e9(state, order)
    if _is_trailing(order) and not order.extreme_e9:
        order.extreme_e9 = price_e9 or 0
    # What is held by a restricted market fires with the first price behind it.
    is_held = is_restricted(state, order.place.instrument)
    if price_e9 is not None and not is_held and fires_at_once(order, price_e9):
        _fire(order, price_e9)
        queue(state, order)
    else:
        order.stage = TriggerStage.ARMED
        state.triggers.arm(_key(state, order), order)
    report(state, turn, order)


def move_trigger(state: State, turn: Turn, order: Order, trigger_e9: int) -> None:
    """Give a waiting order another trigger price, or a trailing one another offset from the extreme it has."""
    was_armed = order.stage is TriggerStage.ARMED
    if was_armed:
        order.extreme_e9 = extreme_e9(state, order)
        state.triggers.disarm(_key(state, order), order)
    if _is_trailing(order):
        order.offset_e9 = trigger_e9
    else:
        order.trigger_e9 = trigger_e9
    if was_armed:
        arm(state, turn, order)
    else:
        report(state, turn, order)


def observe(state: State, key: SourceKey, price_e9: int) -> None:
    """A watched price moved: what it fires joins the queue."""
    for number in state.triggers.observe(key, price_e9):
        order = state.waiting_orders[number]
        _fire(order, price_e9)
        if _is_held(state, order):
            state.triggers.fired.remove(number)
            state.triggers.held.add(number)


def queue(state: State, order: Order) -> None:
    """Put a fired order in line, or hold it back while its instrument is in a call auction or restricted."""
    if _is_held(state, order):
        state.triggers.held.add(order.number)
    else:
        state.triggers.fired.add(order.number)


def hold_back(state: State, instrument: int) -> None:
    """A call begins: what fired on the instrument and is not placed yet waits for its end."""
    fired = [n for n in state.triggers.fired if state.waiting_orders[n].place.instrument == instrument]
    state.triggers.held.update(fired)
    for number in fired:
        state.triggers.fired.remove(number)


def let_go(state: State, instrument: int) -> None:
    """A call ended: what it held back is in line again, unless the market is restricted."""
    if is_restricted(state, instrument):
        return
    held = [n for n in state.triggers.held if state.waiting_orders[n].place.instrument == instrument]
    state.triggers.held.difference_update(held)
    state.triggers.fired.update(held)


def let_go_open(state: State) -> None:
    """Prices came: what was held back is in line again where nothing holds it any more."""
    held = [n for n in state.triggers.held if not _is_held(state, state.waiting_orders[n])]
    state.triggers.held.difference_update(held)
    state.triggers.fired.update(held)


def hold_restricted(state: State) -> None:
    """Prices went stale: what fired and is not placed yet waits until they come."""
    fired = [n for n in state.triggers.fired if _is_held(state, state.waiting_orders[n])]
    state.triggers.held.update(fired)
    for number in fired:
        state.triggers.fired.remove(number)


def resume(state: State, order: Order) -> None:
    """Put a restored order back into the trigger book or its queue, by its stage."""
    if order.stage is TriggerStage.ARMED:
        state.triggers.arm(_key(state, order), order)
    elif order.stage is TriggerStage.FIRED:
        queue(state, order)


def extreme_e9(state: State, order: Order) -> int:
    """Best price since a trailing order was armed; 0 for all others."""
    if order.stage is not TriggerStage.ARMED:
        return 0
    return state.triggers.ladders[_key(state, order)].extreme_e9(order)


def is_due(state: State, order: Order, price_e9: int) -> bool:
    """Whether an armed order would fire at `price_e9`."""
    waits_for_a_rise = waits_for_rise(order)
    trigger_e9 = trigger_price_e9(state, order)
    return trigger_e9 <= price_e9 if waits_for_a_rise else trigger_e9 >= price_e9


def trigger_price_e9(state: State, order: Order) -> int:
    """Price at which an order fires, or fired; 0 for a trailing one that waits for its parent."""
    if not _is_trailing(order) or order.stage is not TriggerStage.ARMED:
        return order.trigger_e9
    return trailing_price_e9(order, extreme_e9(state, order))


def report(state: State, turn: Turn, order: Order) -> None:
    """Say what the order waits for."""
    place = order.place
    if place.trigger is None:
        return
    turn.events.append(
        TriggerSet(
            subaccount=place.subaccount,
            account_seq=state.accounts[place.subaccount].next_seq(),
            order=order.number,
            instrument=place.instrument,
            trigger=place.trigger,
            trigger_e9=trigger_price_e9(state, order),
            is_armed=order.stage is not TriggerStage.WAITING,
        )
    )


def _is_held(state: State, order: Order) -> bool:
    return order.place.instrument in state.auctions or is_restricted(state, order.place.instrument)


def _fire(order: Order, price_e9: int) -> None:
    order.stage, order.fired_e9, order.extreme_e9 = TriggerStage.FIRED, price_e9, 0
    if _is_trailing(order):
        order.trigger_e9 = price_e9


def _is_trailing(order: Order) -> bool:
    trigger = order.place.trigger
    return trigger is not None and trigger.kind is TriggerKind.TRAILING


def _price_e9(state: State, order: Order) -> int | None:
    trigger = order.place.trigger
    if trigger is None:
        return None
    return source_price_e9(state, trigger.source, state.instruments[order.place.instrument])


def _key(state: State, order: Order) -> SourceKey:
    trigger = order.place.trigger
    source = PriceSource.MARK if trigger is None else trigger.source
    return source_key(source, state.instruments[order.place.instrument])
