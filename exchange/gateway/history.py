"""What happened lately, in bounded memory. It begins with the process: a real historian reads the event log instead."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from exchange.domain.events import BatchClosed, CashMoved, Event, OrderClosed, Trade
from exchange.domain.instrument import Instrument
from exchange.domain.result_codes import OrderStatus
from exchange.domain.rounds import FundingPaid, PositionExpired
from exchange.domain.views import OrderView, Output
from exchange.gateway.index_history import IndexHistory
from exchange.gateway.liquidations import LiquidationHistory
from exchange.gateway.oracle import OracleHistory
from exchange.gateway.settings import GatewaySettings
from exchange.wire.objects import BatchRow
from exchange.wire.params import HistoryParams

__all__ = ["CashRecord", "History", "Page", "TradeRecord", "Transfer", "in_range", "page_of"]

_DEFAULT_PAGE: Final = 100
_MAX_PAGE: Final = 1_000


class TradeRecord(msgspec.Struct, frozen=True, gc=False):
    """A trade with what its rows need beside it."""

    trade: Trade
    sequence: int
    timestamp_ns: int
    maker_label: str
    maker_client_order_id: str
    taker_label: str
    taker_client_order_id: str


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """A deposit (amount > 0) or approved withdrawal."""

    event: CashMoved
    sequence: int
    timestamp_ns: int


class CashRecord(msgspec.Struct, frozen=True, gc=False):
    """Cash that a position brought or cost without a trade."""

    event: FundingPaid | PositionExpired
    sequence: int
    timestamp_ns: int


class Page(msgspec.Struct, frozen=True):
    """A slice of a list with its pagination object."""

    rows: list[object]
    pagination: dict[str, int]


class _Account:
    __slots__ = ("cash", "orders", "trades", "transfers")

    def __init__(self, settings: GatewaySettings) -> None:
        self.orders: deque[OrderView] = deque(maxlen=settings.orders_kept)
        self.trades: deque[TradeRecord] = deque(maxlen=settings.trades_kept)
        self.transfers: deque[Transfer] = deque(maxlen=settings.transfers_kept)
        self.cash: deque[CashRecord] = deque(maxlen=settings.transfers_kept)


class History:
    """Rings of closed orders, trades, transfers and batches."""

    EVENTS: ClassVar[frozenset[type]] = (
        frozenset({Trade, OrderClosed, CashMoved, BatchClosed, FundingPaid, PositionExpired})
        | OracleHistory.EVENTS
        | IndexHistory.EVENTS
        | LiquidationHistory.EVENTS
    )

    def __init__(self, settings: GatewaySettings, instruments: dict[int, Instrument]) -> None:
        """Take the sizes from `settings`; `instruments` by id are somebody else's, and grow."""
        self._settings = settings
        self._instruments = instruments
        self.liquidations = LiquidationHistory(settings)
        self._accounts: OrderedDict[int, _Account] = OrderedDict()
        self.trades: dict[int, deque[TradeRecord]] = {}
        self.batches: OrderedDict[int, BatchRow] = OrderedDict()
        self.oracle = OracleHistory()
        self.index = IndexHistory()

    def record(self, output: Output, event: Event) -> None:
        """Take one event of `output`."""
        if type(event) in LiquidationHistory.EVENTS:
            self.liquidations.record(output, event, self._instruments)
        if isinstance(event, Trade):
            self._trade(output, event)
        elif isinstance(event, OrderClosed):
            view = output.orders.get(event.order)
            if view is not None and view.status is not OrderStatus.OPEN:
                self._account(event.subaccount).orders.append(view)
        elif isinstance(event, CashMoved):
            transfer = Transfer(event, output.sequence, output.timestamp_ns)
            self._account(event.subaccount).transfers.append(transfer)
        elif isinstance(event, FundingPaid | PositionExpired):
            self._account(event.subaccount).cash.append(CashRecord(event, output.sequence, output.timestamp_ns))
        elif isinstance(event, BatchClosed):
            self.update_batch(
                BatchRow(
                    seq=event.batch,
                    first_sequence=event.first_sequence,
                    last_sequence=event.last_sequence,
                    fills=event.fill_count,
                )
            )
        else:
            self.oracle.record(event, output.timestamp_ns)
            self.index.record(event, output.timestamp_ns)

    def update_batch(self, row: BatchRow) -> None:
        """Insert or replace what is known of a batch."""
        self.batches[row.seq] = row
        while len(self.batches) > self._settings.batches_kept:
            self.batches.popitem(last=False)

    def batch_of(self, sequence: int) -> BatchRow | None:
        """Find the closed batch that holds command `sequence`, None while it is open or forgotten."""
        for row in reversed(self.batches.values()):
            if row.last_sequence < sequence:
                return None
            if row.first_sequence <= sequence:
                return row
        return None

    def orders_of(self, account: int) -> Iterable[OrderView]:
        """Closed orders, newest first."""
        found = self._accounts.get(account)
        return reversed(found.orders) if found else ()

    def trades_of(self, account: int) -> Iterable[TradeRecord]:
        """Trades of a subaccount, newest first."""
        found = self._accounts.get(account)
        return reversed(found.trades) if found else ()

    def transfers_of(self, account: int) -> Iterable[Transfer]:
        """Deposits and withdrawals, newest first."""
        found = self._accounts.get(account)
        return reversed(found.transfers) if found else ()

    def cash_of(self, account: int) -> Iterable[CashRecord]:
        """Funding and settled positions, newest first."""
        found = self._accounts.get(account)
        return reversed(found.cash) if found else ()

    def _trade(self, output: Output, event: Trade) -> None:
        maker, taker = output.orders.get(event.maker.order), output.orders.get(event.taker.order)
        record = TradeRecord(
            event,
            output.sequence,
            output.timestamp_ns,
            maker.label if maker else "",
            maker.client_order_id if maker else "",
            taker.label if taker else "",
            taker.client_order_id if taker else "",
        )
        ring = self.trades.get(event.instrument)
        if ring is None:
            ring = self.trades[event.instrument] = deque(maxlen=self._settings.trades_kept)
        ring.append(record)
        self._account(event.maker.subaccount).trades.append(record)
        if event.taker.subaccount != event.maker.subaccount:
            self._account(event.taker.subaccount).trades.append(record)

    def _account(self, account: int) -> _Account:
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = _Account(self._settings)
            if len(self._accounts) > self._settings.subaccounts_kept:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(account)
        return found


def in_range(timestamp_ns: int, params: HistoryParams) -> bool:
    """Whether a time lies in what a history asks for, both ends included."""
    low = params.from_timestamp if params.from_timestamp is not None else params.start_timestamp
    high = params.to_timestamp if params.to_timestamp is not None else params.end_timestamp
    timestamp_ms = timestamp_ns // 1_000_000
    return (low is None or timestamp_ms >= low) and (high is None or timestamp_ms <= high)


def page_of(rows: list[object], page: int | None, page_size: int | None) -> Page:
    """Cut one page; `count` and `num_pages` describe the whole list."""
    size = min(max(page_size or _DEFAULT_PAGE, 1), _MAX_PAGE)
    start = (max(page or 1, 1) - 1) * size
    return Page(rows[start : start + size], {"count": len(rows), "num_pages": -(-len(rows) // size)})
