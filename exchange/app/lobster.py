"""LOBSTER message files as commands of one perpetual: rows -> steps -> commands. Pure; files and clocks are outside.

A row is `seconds after midnight, type, order id, size, price x 10,000, direction`, the direction that of the resting
order. What rests was written down by the venue that matched it, so a file is a load and a check of a book, and only its
executions can be compared. The conversion never tells the book which order to fill:

    new                  GTC order of the row's size, the file's order id as client order id
    partial cancel       Amend to the total that is left
    delete               Cancel by client order id
    visible executions   consecutive ones with one time and direction: one IOC of their sum at their worst price
    hidden executions    nothing (they neither end a run nor add to it)

Orders from before the file have no row that opens them; the book starts empty and what names them is refused.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from exchange.domain.commands import (
    Amend,
    Cancel,
    ChainRequest,
    ChainRequestKind,
    Command,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    SetPrices,
    Side,
    TimeInForce,
    UnderlyingRow,
)
from exchange.domain.ids import FIRST_USER_ACCOUNT, PERPETUAL_BIT
from exchange.domain.instrument import Instrument, InstrumentKind

__all__ = ["INSTRUMENT_ID", "BadRow", "Conversion", "Row", "RowKind", "Step", "parse_rows", "resting_account", "steps"]

INSTRUMENT_ID: Final = PERPETUAL_BIT | 1
_SECOND_NS: Final = 1_000_000_000
_TICK_E9: Final = 10_000_000
_PRICE_UNITS_PER_TICK: Final = 100
_MAXIMUM_PRICE_TICKS: Final = 20_000_000
_ACCOUNTS_PER_SIDE: Final = 16
"""Resting orders are dealt out by order id, because an account may have 1,000 open; sides never share an account, so
that self-trade prevention has nothing to prevent."""
_TAKER: Final = FIRST_USER_ACCOUNT + 2 * _ACCOUNTS_PER_SIDE
_DEPOSIT_E6: Final = 10**16
_ORDER_LIFE_S: Final = 2 * 86_400


class BadRow(ValueError):
    """A line that is no event of the format; the text names the line and what is wrong."""


class RowKind(IntEnum):
    """The file's event types."""

    NEW = 1
    PARTIAL_CANCEL = 2
    DELETE = 3
    EXECUTION = 4
    HIDDEN_EXECUTION = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event. `time_ns` after midnight; `side` of the resting order; `price_ticks` is 0 for hidden executions."""

    line: int
    time_ns: int
    kind: RowKind
    order_id: int
    quantity_lots: int
    price_ticks: int
    side: Side


Step = tuple[Row, ...]
"""Rows that become one command: a run of visible executions, or a single row of any other kind."""


def parse_rows(lines: Iterable[str]) -> Iterator[Row]:
    """Rows of a message file, one per line. Raises BadRow also for time that runs backwards."""
    last_ns = 0
    for number, line in enumerate(lines, start=1):
        row = _parse(number, line)
        if row.time_ns < last_ns:
            raise BadRow(f"line {number}: earlier than the line before")
        last_ns = row.time_ns
        yield row


def steps(rows: Iterable[Row]) -> Iterator[Step]:
    """Put the visible executions of one time and direction together; hidden ones inside a run follow it."""
    run: list[Row] = []
    hidden: list[Row] = []
    for row in rows:
        if run and row.kind is RowKind.HIDDEN_EXECUTION and row.time_ns == run[0].time_ns:
            hidden.append(row)
            continue
        if run and not _continues(run[0], row):
            yield tuple(run)
            yield from ((one,) for one in hidden)
            run, hidden = [], []
        if row.kind is RowKind.EXECUTION:
            run.append(row)
        else:
            yield (row,)
    if run:
        yield tuple(run)
        yield from ((one,) for one in hidden)


def resting_account(row: Row) -> int:
    """The account that owns the file's order `row.order_id`."""
    first = FIRST_USER_ACCOUNT + (_ACCOUNTS_PER_SIDE if row.side is Side.SELL else 0)
    return first + row.order_id % _ACCOUNTS_PER_SIDE


@dataclass(slots=True)
class Conversion:
    """Turns steps into commands, in file order. `midnight_ns`: Unix time of the file's midnight."""

    midnight_ns: int
    underlying: str
    _nonce: int = 0
    _fee_cap_e18: int = 0
    _mark_e9: int = 0
    _round: int = 0
    _total_lots: dict[int, int] = field(default_factory=dict)
    """Signed size of the file's orders, less what was cancelled in part."""

    def opening(self, first: Row) -> list[Command]:
        """Commands that open an empty market: the instrument, its price (that of `first`) and the funded accounts."""
        mark_e9 = max(1, first.price_ticks) * _TICK_E9
        self._fee_cap_e18 = mark_e9 * _SECOND_NS
        self._mark_e9 = mark_e9
        deposits = (
            ChainRequest(
                index=index,
                kind=ChainRequestKind.DEPOSIT,
                account=account,
                amount_e6=_DEPOSIT_E6,
                owner=_owner(account),
            )
            for index, account in enumerate(range(FIRST_USER_ACCOUNT, _TAKER + 1), start=1)
        )
        return [ListInstrument(instrument=self._instrument()), self.prices(), *deposits]

    def prices(self) -> SetPrices:
        """The next round of the opening price: the file has no other, and a market without rounds only reduces."""
        self._round += 1
        return SetPrices(
            round=self._round,
            underlyings=(UnderlyingRow(self.underlying, self._mark_e9),),
            marks=(MarkRow(INSTRUMENT_ID, self._mark_e9),),
        )

    def command(self, step: Step, *, order_number: int = 0) -> Command | None:
        """The step's command, None for hidden executions. A partial cancel needs its `order_number` (0: unknown)."""
        row = step[0]
        match row.kind:
            case RowKind.NEW:
                self._total_lots[row.order_id] = row.quantity_lots
                return self._place(row, resting_account(row), row.side, TimeInForce.GTC, str(row.order_id))
            case RowKind.PARTIAL_CANCEL:
                return self._amend(row, order_number)
            case RowKind.DELETE:
                return self._cancel(row)
            case RowKind.EXECUTION:
                return self._take(step)
        return None

    def _take(self, run: Step) -> Place:
        prices = [row.price_ticks for row in run]
        is_bid_hit = run[0].side is Side.BUY
        whole = Row(
            line=run[0].line,
            time_ns=run[0].time_ns,
            kind=RowKind.EXECUTION,
            order_id=0,
            quantity_lots=sum(row.quantity_lots for row in run),
            price_ticks=min(prices) if is_bid_hit else max(prices),
            side=run[0].side,
        )
        return self._place(whole, _TAKER, Side.SELL if is_bid_hit else Side.BUY, TimeInForce.IOC, "")

    def _amend(self, row: Row, order_number: int) -> Command:
        left = self._total_lots.get(row.order_id, 0) - row.quantity_lots
        if left <= 0:
            return self._cancel(row)
        self._total_lots[row.order_id] = left
        return Amend(subaccount=resting_account(row), order=order_number, quantity_lots=left)

    def _cancel(self, row: Row) -> Cancel:
        self._total_lots.pop(row.order_id, None)
        return Cancel(subaccount=resting_account(row), client_order_id=str(row.order_id))

    def _place(self, row: Row, account: int, side: Side, time_in_force: TimeInForce, client_order_id: str) -> Place:
        now_ns = self.midnight_ns + row.time_ns
        self._nonce = max(self._nonce + 1, now_ns)
        return Place(
            subaccount=account,
            instrument=INSTRUMENT_ID,
            side=side,
            time_in_force=time_in_force,
            flags=OrderFlag.NONE,
            price_ticks=row.price_ticks,
            quantity_lots=row.quantity_lots,
            nonce=self._nonce,
            expiry_s=self.midnight_ns // _SECOND_NS + _ORDER_LIFE_S,
            signer=_owner(account),
            max_fee_e18=self._fee_cap_e18,
            client_order_id=client_order_id,
        )

    def _instrument(self) -> Instrument:
        return Instrument(
            instrument_id=INSTRUMENT_ID,
            name=f"{self.underlying}-PERP",
            kind=InstrumentKind.PERPETUAL,
            underlying=self.underlying,
            tick_e9=_TICK_E9,
            lot_e9=_SECOND_NS,
            minimum_lots=1,
            maximum_lots=10**9,
            maximum_price_ticks=_MAXIMUM_PRICE_TICKS,
            maker_fee_ppm=100,
            taker_fee_ppm=300,
        )


def _owner(account: int) -> bytes:
    return account.to_bytes(20, "big")


def _continues(first: Row, row: Row) -> bool:
    return row.kind is RowKind.EXECUTION and (row.time_ns, row.side) == (first.time_ns, first.side)


def _parse(number: int, line: str) -> Row:
    cells = line.strip().split(",")
    if len(cells) != 6:
        raise BadRow(f"line {number}: {len(cells)} columns, a LOBSTER message has 6")
    try:
        time_ns = _nanoseconds(cells[0])
        kind, order_id, size, price, direction = RowKind(int(cells[1])), *(int(cell) for cell in cells[2:])
    except ValueError as error:
        raise BadRow(f"line {number}: {error}") from error
    if size <= 0 or price <= 0 or order_id < 0 or direction not in (1, -1):
        raise BadRow(f"line {number}: size, price or direction is out of range")
    is_hidden = kind is RowKind.HIDDEN_EXECUTION
    if not is_hidden and (price % _PRICE_UNITS_PER_TICK or price > _MAXIMUM_PRICE_TICKS * _PRICE_UNITS_PER_TICK):
        raise BadRow(f"line {number}: price {price} is no multiple of a cent below 200,000")
    return Row(
        line=number,
        time_ns=time_ns,
        kind=kind,
        order_id=order_id,
        quantity_lots=size,
        price_ticks=0 if is_hidden else price // _PRICE_UNITS_PER_TICK,
        side=Side.BUY if direction == 1 else Side.SELL,
    )


def _nanoseconds(text: str) -> int:
    """Nearest nanosecond: some rows carry the digits of a binary float, `35821.088778456004`."""
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdecimal() or int(whole or 0) >= 86_400:
        raise ValueError(f"time {text!r} is not seconds after midnight")
    rounded_up = fraction[9:10] >= "5"
    return int(whole or 0) * _SECOND_NS + int(fraction[:9].ljust(9, "0")) + rounded_up
