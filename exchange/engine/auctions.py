"""Call auctions: an instrument collects orders until a deadline, then all that cross trade at one price (D-028).

An operator begins a call and may end it; else the Clock ends it, in time order with the deadlines of orders. The price
is the core's: most volume, least surplus, nearest to the mark, lowest. Fired triggers of the instrument wait.
"""

from typing import Final

from exchange.domain.auctions import AuctionCause, AuctionEnded, AuctionStarted, Phase, SetPhase
from exchange.domain.commands import Place, TimeInForce
from exchange.domain.events import CommandRefused
from exchange.domain.ids import order_number
from exchange.domain.instrument import Instrument
from exchange.domain.limits import MAX_AUCTION_NS
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine.book_commands import tell_time
from exchange.engine.booking import book_auction_trade
from exchange.engine.entry_checks import check_look
from exchange.engine.flags import MARKET
from exchange.engine.matching import book_cancel, close_order, end_frozen
from exchange.engine.price_moves import moves_too_far
from exchange.engine.protection import freeze
from exchange.engine.records import Auction, Order
from exchange.engine.state import InvariantViolated, State
from exchange.engine.turn import Turn
from exchange.engine.waiting import hold_back, let_go
from matching_core.fills import COMMAND, EVENT, CoreCommand, CoreEvent

__all__ = [
    "begin_call",
    "due_auction",
    "end_call",
    "indicative",
    "interrupt",
    "set_phase",
    "start_auction",
    "switch_book",
]

_SECOND_NS: Final = 1_000_000_000
_PPM: Final = 1_000_000
_SET_PHASE, _UNCROSS = int(CoreCommand.SET_PHASE), int(CoreCommand.UNCROSS)
_APPLIED, _FILL, _REFILLED, _CANCELED, _TRIPPED, _UNCROSSED, _DEPTH = (
    int(kind)
    for kind in (
        CoreEvent.APPLIED,
        CoreEvent.FILL,
        CoreEvent.REFILLED,
        CoreEvent.CANCELED,
        CoreEvent.GUARD_TRIPPED,
        CoreEvent.UNCROSSED,
        CoreEvent.DEPTH,
    )
)


def set_phase(state: State, turn: Turn, command: SetPhase) -> None:
    """Begin a call, move its deadline, or end it now."""
    code = _check(state, command)
    auction = state.auctions.get(command.instrument)
    if code:
        turn.events.append(CommandRefused(code=code, detail=command.instrument))
    elif auction is None:
        start_auction(state, turn, command.instrument, command.deadline_ns, AuctionCause.OPERATOR)
    elif command.phase is Phase.CONTINUOUS:
        _uncross(state, turn, auction)
    else:
        _prolong(turn, auction, command.deadline_ns, AuctionCause.OPERATOR)


def start_auction(
    state: State, turn: Turn, instrument: int, deadline_ns: int, cause: AuctionCause, *, first_rank: int = 0
) -> None:
    """Collect an instrument's orders from now on; `first_rank` is that of the order which begins it, if one does."""
    rank = first_rank or order_number(sequence=state.sequence)
    state.auctions[instrument] = Auction(instrument=instrument, deadline_ns=deadline_ns, first_rank=rank)
    switch_book(state, instrument)
    hold_back(state, instrument)
    turn.events.append(AuctionStarted(instrument=instrument, deadline_ns=deadline_ns, cause=cause))


def switch_book(state: State, instrument: int) -> None:
    """Let the book collect what crosses."""
    _apply(state, COMMAND.pack(_SET_PHASE, Phase.AUCTION, 0, instrument, 0, 0, 0, 0))


def begin_call(state: State, turn: Turn, place: Place, lots: int, rank: int) -> ResultCode:
    """Begin a call instead of a trade that would move the price too far; refused for an order that could not rest.

    An order that cannot take part in the call risks nothing by beginning it, and so may not.
    """
    if not moves_too_far(state, place, lots):
        return ResultCode.OK
    if place.time_in_force in (TimeInForce.IOC, TimeInForce.FOK) or int(place.flags) & MARKET:
        return ResultCode.PRICE_MOVE_TOO_LARGE
    interrupt(state, turn, place.instrument, rank)
    return ResultCode.OK


def interrupt(state: State, turn: Turn, instrument: int, rank: int) -> None:
    """Begin a call of the usual length; orders of `rank` and later come during it."""
    deadline_ns = state.timestamp_ns + state.config.auction_length_ns
    start_auction(state, turn, instrument, deadline_ns, AuctionCause.PRICE_MOVE, first_rank=rank)


def due_auction(state: State) -> Auction | None:
    """The call whose deadline passed first, unless an order's or a frozen group's passed no later.

    An order that is over must not trade.
    """
    now_ns = state.timestamp_ns
    due = [auction for auction in state.auctions.values() if auction.deadline_ns <= now_ns]
    if not due:
        return None
    first = min(due, key=lambda auction: (auction.deadline_ns, auction.instrument))
    earlier = [line for line in (state.timers, state.thaws) if line and line[0][0] <= first.deadline_ns]
    return None if earlier else first


def end_call(state: State, turn: Turn, auction: Auction) -> None:
    """At its deadline a call ends, or goes on while its price would be far from the index (an option's: the mark)."""
    if _is_far(state, auction.instrument):
        _prolong(turn, auction, state.timestamp_ns + state.config.auction_length_ns, AuctionCause.EXTENDED)
    else:
        _uncross(state, turn, auction)


def indicative(state: State, instrument: int) -> tuple[int, int]:
    """(price, lots) that an uncross would have now; zeros when nothing crosses."""
    tell_time(state)
    price_ticks, lots, _ = state.book.indicative(instrument, _reference_ticks(state, state.instruments[instrument]))
    return price_ticks or 0, lots


def _check(state: State, command: SetPhase) -> ResultCode:
    """First failing code of: known, in a call that can end (and all accounts looked at) or live for one, deadline."""
    instrument = state.instruments.get(command.instrument)
    if instrument is None:
        return ResultCode.INSTRUMENT_NOT_FOUND
    if command.phase is Phase.CONTINUOUS:
        fits = command.instrument in state.auctions and command.deadline_ns == 0
        return check_look(state) if fits else ResultCode.PARAMETER_INVALID
    has_ended = instrument.expiry_s and state.timestamp_ns >= instrument.expiry_s * _SECOND_NS
    is_priced = command.instrument in state.prices.marks and instrument.underlying in state.prices.index_e9
    if has_ended or not is_priced:
        return ResultCode.INSTRUMENT_NOT_LIVE
    fits = 0 < command.deadline_ns - state.timestamp_ns <= MAX_AUCTION_NS
    return ResultCode.OK if fits else ResultCode.PARAMETER_INVALID


def _prolong(turn: Turn, auction: Auction, deadline_ns: int, cause: AuctionCause) -> None:
    auction.deadline_ns = deadline_ns
    turn.events.append(AuctionStarted(instrument=auction.instrument, deadline_ns=deadline_ns, cause=cause))


def _reference_ticks(state: State, instrument: Instrument) -> int:
    """The mark on the grid, rounded down, inside the instrument's prices."""
    ticks = state.prices.marks[instrument.instrument_id].mark_e9 // instrument.tick_e9
    return max(1, min(ticks, instrument.maximum_price_ticks))


def _is_far(state: State, number: int) -> bool:
    instrument = state.instruments[number]
    price_e9 = indicative(state, number)[0] * instrument.tick_e9
    is_perpetual = instrument.is_perpetual
    fair_e9 = state.prices.index_e9[instrument.underlying] if is_perpetual else state.prices.marks[number].mark_e9
    return price_e9 > 0 and abs(price_e9 - fair_e9) * _PPM > fair_e9 * state.config.auction_corridor_ppm


def _uncross(state: State, turn: Turn, auction: Auction) -> None:
    """Match what was collected, report it, and trade continuously."""
    number = auction.instrument
    reference_ticks = _reference_ticks(state, state.instruments[number])
    raw = _apply(state, COMMAND.pack(_UNCROSS, 0, 0, number, reference_ticks, 0, 0, 0))
    del state.auctions[number]
    rounds = _book_uncross(state, turn, raw)
    end_frozen(state, turn)
    turn.flush_closes(state)
    price_ticks = rounds[0][0] if rounds else 0
    state.price_moves.clear(number)
    if rounds and state.instruments[number].is_perpetual:
        state.price_moves.note(number, rounds[-1][0], state.timestamp_ns)
    total_lots = sum(lots for _, lots in rounds)
    turn.events.append(AuctionEnded(instrument=number, price_ticks=price_ticks, quantity_lots=total_lots))
    let_go(state, number)


def _apply(state: State, command: bytes) -> bytes:
    raw: bytes = state.book.submit(command, state.timestamp_ns)
    kind, _, code, *_ = EVENT.unpack_from(raw)
    if kind != _APPLIED:
        raise InvariantViolated(f"the book refused a change of phase with {code}")
    return raw


def _book_uncross(state: State, turn: Turn, raw: bytes) -> list[tuple[int, int]]:
    """Book the core's events in match order; returns price and lots of each round."""
    rank, refills, rounds = order_number(sequence=state.sequence), 0, []
    buyer: Order | None = None
    for kind, side, code, instrument, handle, price_ticks, lots in EVENT.iter_unpack(raw):
        if kind == _FILL and buyer is None:
            buyer = state.by_handle[handle]
        elif kind == _FILL and buyer is not None:
            _book_pair(state, turn, buyer, state.by_handle[handle], price_ticks, lots)
            buyer = None
        elif kind == _REFILLED:
            refills += 1
            order = state.by_handle[handle]
            order.rank, order.refill_rank = rank, refills
        elif kind == _CANCELED:
            book_cancel(state, turn, state.by_handle[handle], code=code, lots=lots)
        elif kind == _TRIPPED:
            freeze(state, turn, handle, code=code, instrument=instrument, lots=lots)
        elif kind == _UNCROSSED:
            rounds.append((price_ticks, lots))
        elif kind == _DEPTH:
            turn.level(instrument, side, price_ticks, lots)
    return rounds


def _book_pair(state: State, turn: Turn, buyer: Order, seller: Order, price_ticks: int, lots: int) -> None:
    book_auction_trade(state, turn, buyer=buyer, seller=seller, price_ticks=price_ticks, lots=lots)
    for order in (buyer, seller):
        if order.remaining_lots == 0:
            close_order(state, turn, order, OrderStatus.FILLED, CloseReason.NONE)
