"""Mass quotes: many post-only sides under one signature, checked once, applied in one command of the book.

Refused as a whole: a call without authority, time, nonce, group, cancel-on-disconnect, margin, or of a frozen group.
What is wrong with one side refuses that side alone and leaves its predecessor; a side that the book refuses has lost
its predecessor already. All cancels come first, then the placements, in input order, the bid of a line first.
"""

from collections.abc import Iterator
from typing import Final

from exchange.domain.commands import OrderFlag, Place, Side, TimeInForce
from exchange.domain.ids import is_perpetual_id, order_number
from exchange.domain.limits import MAX_QUOTE_LINES
from exchange.domain.quote_events import MassQuoted, QuoteKept, QuotePlaced, QuoteRefused
from exchange.domain.quotes import MassQuote, QuoteLine
from exchange.domain.result_codes import OrderStatus, ResultCode
from exchange.engine.authority import check_authority, check_limits
from exchange.engine.book_codes import reason_of, refusal_of
from exchange.engine.entry_checks import check_look, check_terms, is_full
from exchange.engine.flags import core_flags
from exchange.engine.margin import worst_margin_e18
from exchange.engine.market_limits import check_quote_limits, owner_orders
from exchange.engine.market_state import is_restricted_for
from exchange.engine.matching import close_order, lower_quantity, open_order
from exchange.engine.orders import admit, refuse
from exchange.engine.portfolio_margin import has_cells
from exchange.engine.protection import fits_group
from exchange.engine.quote_reserve import costs_more_than_reserved, group_reserve_e18
from exchange.engine.records import MmpGroup, Order
from exchange.engine.state import InvariantViolated, State
from exchange.engine.turn import Turn
from matching_core.fills import COMMAND, EVENT, QUOTE_LINE, CoreCommand, CoreEvent

__all__ = ["check_scopes", "mass_quote", "place_of", "place_quote", "report_call"]

_FLAGS: Final = (
    OrderFlag.POST_ONLY | OrderFlag.MMP | OrderFlag.CANCEL_ON_DISCONNECT | OrderFlag.QUOTE | OrderFlag.STP_ACCOUNT
)
_SIDES: Final = (Side.BUY, Side.SELL)


class _Entry:
    """One side that the call names: what it asks for, whose place it takes, why it is refused."""

    __slots__ = ("code", "instrument", "line", "lots", "predecessor", "price_ticks", "side")

    def __init__(self, line: int, instrument: int, price_ticks: int, lots: int, predecessor: Order | None) -> None:
        self.line = line
        self.side = _SIDES[line & 1]
        self.instrument = instrument
        self.price_ticks = price_ticks
        self.lots = lots
        self.predecessor = predecessor
        self.code = ResultCode.OK

    @property
    def is_kept(self) -> bool:
        """Whether the predecessor has the price already, and no fewer lots than are asked for."""
        held = self.predecessor
        return held is not None and held.price_ticks == self.price_ticks and 0 < self.lots <= held.remaining_lots

    @property
    def is_unchanged(self) -> bool:
        """Whether the predecessor is just what is asked for, so that the book need not hear of it."""
        return self.is_kept and self.predecessor is not None and self.lots == self.predecessor.remaining_lots

    @property
    def is_new(self) -> bool:
        """Whether it is an order that the call has to sign."""
        return self.lots != 0 and not self.is_kept


def mass_quote(state: State, turn: Turn, command: MassQuote) -> None:
    """Replace, keep, place or pull every side named."""
    head = place_of(command, command.lines[0].instrument if command.lines else 0, Side.BUY, 0, 0)
    if command.signer:
        code = check_scopes(state, command)
        if code:
            refuse(state, turn, head, code)
            return
        if not admit(state, turn, head):
            return
    entries: list[_Entry] = []
    code = _check_call(state, command)
    if not code:
        group = state.account_groups[command.subaccount][command.mmp_group]
        entries = list(_entries(state, command, group))
        code = _check_margin(state, group, entries)
    if code:
        refuse(state, turn, head, code)
        return
    if command.signer:
        owner = state.accounts[command.subaccount].owner
        state.nonces.spend(owner, command.signer, command.nonce, order_number(sequence=state.sequence))
    report_call(turn, command)
    _apply(state, turn, command, entries)


def check_scopes(state: State, command: MassQuote) -> ResultCode:
    """The signer may trade every kind of instrument that the lines name."""
    kinds = {is_perpetual_id(line.instrument): line.instrument for line in command.lines}
    codes = (check_authority(state, place_of(command, kinds[kind], Side.BUY, 0, 0)) for kind in sorted(kinds))
    return next((code for code in codes if code), ResultCode.OK) or _check_limits(state, command)


def _check_limits(state: State, command: MassQuote) -> ResultCode:
    """The signer's limits hold for every side of every line."""
    owner = state.accounts[command.subaccount].owner
    if command.signer not in state.key_limits.get(owner, ()):
        return ResultCode.OK
    codes = (
        check_limits(state, owner, command.signer, line.instrument, max(line.bid_lots, line.ask_lots))
        for line in command.lines
    )
    return next((code for code in codes if code), ResultCode.OK)


def _check_call(state: State, command: MassQuote) -> ResultCode:
    """First failing code of: account, its liquidation, lines, group and cancel-on-disconnect, frozen."""
    if command.subaccount not in state.account_groups:
        return ResultCode.SUBACCOUNT_NOT_FOUND
    if state.accounts[command.subaccount].is_in_liquidation:
        return ResultCode.IN_LIQUIDATION
    named = {line.instrument for line in command.lines}
    if not 0 < len(command.lines) <= MAX_QUOTE_LINES or len(named) != len(command.lines):
        return ResultCode.PARAMETER_INVALID
    group = state.account_groups[command.subaccount].get(command.mmp_group)
    if group is None or not group.quantity_lots or (command.signer and not command.session):
        return ResultCode.MMP_PRECONDITION
    return ResultCode.MMP_FROZEN if group.is_frozen else ResultCode.OK


def _check_margin(state: State, group: MmpGroup, entries: list[_Entry]) -> ResultCode:
    """One check for the call: the group's reserve, not its quotes. Calls that only pull and shrink need none.

    Nor do those wait for a look at accounts (CAPACITY).
    """
    if not any(entry.is_new and not entry.code for entry in entries):
        return ResultCode.OK
    code = check_look(state)
    if code:
        return code
    margin_e18 = worst_margin_e18(state, state.accounts[group.subaccount])
    if not state.quote_count(group):
        margin_e18 -= group_reserve_e18(state, group)
    return ResultCode.OK if margin_e18 >= 0 else ResultCode.INSUFFICIENT_MARGIN


def _entries(state: State, command: MassQuote, group: MmpGroup) -> Iterator[_Entry]:
    """The sides that are named, each with its predecessor and its refusal."""
    limits = _Limits(state, command.subaccount)
    for index, line in enumerate(command.lines):
        sides = (line.bid_ticks, line.bid_lots), (line.ask_ticks, line.ask_lots)
        for side, (price_ticks, lots) in zip(_SIDES, sides, strict=True):
            held = state.find_quote(group, line.instrument, side)
            if not lots and held is None:
                continue
            entry = _Entry(2 * index + side, line.instrument, price_ticks, lots, held)
            if lots:
                entry.code = _check_side(state, command, group, line, entry) or limits.take(entry)
            yield entry


def _check_side(state: State, command: MassQuote, group: MmpGroup, line: QuoteLine, entry: _Entry) -> ResultCode:
    """First failing code of: terms, bid below ask, group, market, what it may cost, signature, position limit."""
    code = check_terms(state, place_of(command, entry.instrument, entry.side, entry.price_ticks, entry.lots))
    if not code and line.bid_lots and line.ask_lots and line.bid_ticks >= line.ask_ticks:
        code = ResultCode.BAD_PRICE
    if not code and not fits_group(group, state.instruments[entry.instrument]):
        code = ResultCode.MMP_PRECONDITION
    if not code and not entry.is_kept and is_restricted_for(state, command.subaccount, entry.instrument):
        code = ResultCode.MARKET_REDUCE_ONLY
    if not code and not entry.is_kept and not has_cells(state, command.subaccount, entry.instrument):
        code = ResultCode.INSTRUMENT_NOT_LIVE
    if (
        not code
        and not entry.is_kept
        and costs_more_than_reserved(state, entry.instrument, entry.side, entry.price_ticks)
    ):
        code = ResultCode.INSUFFICIENT_MARGIN
    if not code and not command.signer and not entry.is_kept:
        code = ResultCode.SIGNER_UNKNOWN
    if not code and not entry.is_kept:
        code = check_quote_limits(
            state, command.subaccount, entry.instrument, entry.side, _added_lots(state, group, line)
        )
    return code


def _added_lots(state: State, group: MmpGroup, line: QuoteLine) -> int:
    """What a line adds to the lots of both sides that rest."""
    held = (state.find_quote(group, line.instrument, side) for side in _SIDES)
    return line.bid_lots + line.ask_lots - sum(order.remaining_lots for order in held if order is not None)


class _Limits:
    """Room for open orders and positions; what pulls make free counts from the next command on."""

    def __init__(self, state: State, subaccount: int) -> None:
        self._state = state
        self._subaccount = subaccount
        self._open = len(state.account_orders[subaccount])
        self._open_of_owner = owner_orders(state, subaccount)
        self._exposed: set[int] = set()

    def take(self, entry: _Entry) -> ResultCode:
        """Take what one more side needs; one with a predecessor needs nothing."""
        state = self._state
        if entry.predecessor is not None:
            return ResultCode.OK
        is_crowded = self._open_of_owner >= state.config.owner_orders_max
        if is_crowded or self._open >= state.config.open_orders_max:
            return ResultCode.TOO_MANY_OPEN_ORDERS
        number = entry.instrument
        is_held = state.accounts[self._subaccount].lots(number) != 0 or number in self._exposed
        if not is_held and is_full(state, self._subaccount, number, more=len(self._exposed)):
            return ResultCode.TOO_MANY_POSITIONS
        if not is_held and not state.exposure(self._subaccount, number).is_open:
            self._exposed.add(number)
        self._open += 1
        self._open_of_owner += 1
        return ResultCode.OK


def place_of(command: MassQuote, instrument: int, side: Side, price_ticks: int, lots: int) -> Place:
    """One side as an order; its authority is the call's signature and its line, which is in its number."""
    return Place(
        subaccount=command.subaccount,
        instrument=instrument,
        side=side,
        time_in_force=TimeInForce.GTC,
        flags=_FLAGS,
        price_ticks=price_ticks,
        quantity_lots=lots,
        nonce=command.nonce,
        expiry_s=command.expiry_s,
        signer=command.signer,
        max_fee_e18=command.max_fee_e18,
        domain=command.domain,
        session=command.session,
        digest=command.digest,
        signature=command.signature,
        mmp_group=command.mmp_group,
    )


def report_call(turn: Turn, command: MassQuote) -> None:
    """Tell what the sides of a call are signed with."""
    turn.events.append(
        MassQuoted(
            subaccount=command.subaccount,
            mmp_group=command.mmp_group,
            nonce=command.nonce,
            expiry_s=command.expiry_s,
            max_fee_e18=command.max_fee_e18,
            signer=command.signer,
            domain=command.domain,
            digest=command.digest,
            signature=command.signature,
        )
    )


def _apply(state: State, turn: Turn, command: MassQuote, entries: list[_Entry]) -> None:
    """Hand the sides that passed to the book and book its answers; refusals keep their place among them."""
    raw = _submit(state, command, [entry for entry in entries if not entry.code and not entry.is_unchanged])
    placing = iter([entry for entry in entries if entry.lots])
    is_first = True
    for kind, side, code, instrument, handle, price_ticks, lots in EVENT.iter_unpack(raw):
        if kind == CoreEvent.CANCELED:
            close_order(state, turn, state.by_handle[handle], OrderStatus.CANCELED, reason_of(code))
        elif kind == CoreEvent.DEPTH:
            turn.level(instrument, side, price_ticks, lots)
        elif kind != CoreEvent.APPLIED:
            if is_first:
                turn.flush_closes(state)
                is_first = False
            entry = _next_admitted(state, turn, command, placing)
            _answer(state, turn, command, entry, kind=kind, code=code, handle=handle, price_ticks=price_ticks)
    turn.flush_closes(state)
    for entry in placing:
        _answer_alone(state, turn, command, entry)


def _next_admitted(state: State, turn: Turn, command: MassQuote, placing: Iterator[_Entry]) -> _Entry:
    """The side that the book's next answer is about; those before it need none."""
    for entry in placing:
        if not entry.code and not entry.is_unchanged:
            return entry
        _answer_alone(state, turn, command, entry)
    raise InvariantViolated("the book answers for more sides than it was given")


def _answer_alone(state: State, turn: Turn, command: MassQuote, entry: _Entry) -> None:
    """One side was refused by the checks, or is in the book already."""
    if entry.code or entry.predecessor is None:
        _refuse(state, turn, command, entry, entry.code, 0)
    else:
        event = QuoteKept(subaccount=command.subaccount, order=entry.predecessor.number, line=entry.line)
        turn.events.append(event)


def _answer(
    state: State, turn: Turn, command: MassQuote, entry: _Entry, *, kind: int, code: int, handle: int, price_ticks: int
) -> None:
    """One side was refused by the book, kept, or rests."""
    held = entry.predecessor
    if kind == CoreEvent.REJECTED:
        _refuse(state, turn, command, entry, refusal_of(code), price_ticks)
    elif kind == CoreEvent.AMENDED and held is not None:
        if entry.lots < held.remaining_lots:
            lower_quantity(state, turn, held, held.remaining_lots - entry.lots, rests=True)
        turn.events.append(QuoteKept(subaccount=command.subaccount, order=held.number, line=entry.line))
    else:
        _rest(state, turn, command, entry, handle)


def _rest(state: State, turn: Turn, command: MassQuote, entry: _Entry, handle: int) -> None:
    place = place_of(command, entry.instrument, entry.side, entry.price_ticks, entry.lots)
    replaces = 0 if entry.predecessor is None else entry.predecessor.number
    open_order(state, place_quote(state, turn, place, entry.line, replaces=replaces), handle)


def place_quote(state: State, turn: Turn, place: Place, line: int, *, replaces: int = 0) -> Order:
    """Give a quote side the number of its line in this command, keep and report it; the core is not asked."""
    number = order_number(sequence=state.sequence, line=line)
    order = state.adopt_order(
        Order(
            number=number,
            rank=number,
            place=place,
            price_ticks=place.price_ticks,
            quantity_lots=place.quantity_lots,
            created_ns=state.timestamp_ns,
            updated_ns=state.timestamp_ns,
            replaces=replaces,
        )
    )
    state.open_orders[number] = order
    turn.events.append(
        QuotePlaced(
            subaccount=place.subaccount,
            account_seq=state.accounts[place.subaccount].next_seq(),
            order=number,
            instrument=place.instrument,
            side=place.side,
            price_ticks=place.price_ticks,
            quantity_lots=place.quantity_lots,
            replaces=replaces,
        )
    )
    return order


def _refuse(state: State, turn: Turn, command: MassQuote, entry: _Entry, code: ResultCode, price_ticks: int) -> None:
    turn.events.append(
        QuoteRefused(
            subaccount=command.subaccount,
            order=order_number(sequence=state.sequence, line=entry.line),
            code=code,
            instrument=entry.instrument,
            side=entry.side,
            price_ticks=price_ticks,
        )
    )


def _submit(state: State, command: MassQuote, entries: list[_Entry]) -> bytes:
    """The book's answer to the sides that passed, grouped by line again."""
    lines: dict[int, list[_Entry]] = {}
    for entry in entries:
        lines.setdefault(entry.line >> 1, []).append(entry)
    if not lines:
        return b""
    account = state.accounts[command.subaccount]
    head = COMMAND.pack(
        CoreCommand.MASS_QUOTE,
        0,
        core_flags(place_of(command, 0, Side.BUY, 0, 0), account),
        0,
        0,
        len(lines),
        state.book_owner(command.subaccount),
        state.guards[command.subaccount, command.mmp_group],
    )
    rows = b"".join(_core_line(state, command.subaccount, line) for line in lines.values())
    raw: bytes = state.book.submit(head + rows, state.timestamp_ns)
    if EVENT.unpack_from(raw)[0] != CoreEvent.APPLIED:
        raise InvariantViolated("the book refused an admitted mass quote")
    return raw


def _core_line(state: State, subaccount: int, entries: list[_Entry]) -> bytes:
    instrument = entries[0].instrument
    prices, lots, handles = [0, 0], [0, 0], [0, 0]
    for entry in entries:
        prices[entry.side], lots[entry.side] = entry.price_ticks, entry.lots
        handles[entry.side] = state.handles[entry.predecessor.number] if entry.predecessor is not None else 0
    cell = state.cell(subaccount, instrument)
    return QUOTE_LINE.pack(instrument, cell, prices[0], lots[0], prices[1], lots[1], *handles, 0)
