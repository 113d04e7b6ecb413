"""Whether our book fills the orders that the file says were filled, and why not where it does not.

An execution agrees when the IOC of its run trades its whole size with the file's order. Each other execution belongs to
one class. A difference leaves its mark: the order that we filled instead is smaller than in the file, the file's order
larger, and later executions that meet either differ as a consequence. So both sides of every order are followed: what
is left of it in our book and what is left by the file's rows.
"""

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from exchange.app.lobster import Row, RowKind, Step
from exchange.domain.events import Event, OrderAccepted, OrderAmended, OrderClosed, OrderRefused, Trade
from exchange.domain.result_codes import ResultCode

__all__ = ["Agreement", "Difference"]


class Difference(Enum):
    """Why an execution has another maker here than in the file; the value is the cause in words."""

    BEFORE_FILE = "the order is older than the file: no row opens it, so the empty book never had it"
    OLDER_THAN_ROW = (
        "same price, but the file's order has a lower number than those ahead of it here: it is older than the row "
        "that first shows it (outside the recorded levels before)"
    )
    YOUNGER_FIRST = (
        "same price, but the file fills an order before one with a lower number that its rows show as open: no rule of "
        "price and time gives that"
    )
    CONSEQUENCE = "an earlier difference: the order or one filled in its place had another size here than in the file"
    UNEXPLAINED = "none of these"


class Agreement:
    """Takes every step with its events, in order."""

    def __init__(self) -> None:
        self.rows: Counter[RowKind] = Counter()
        self.refused: Counter[ResultCode] = Counter()
        self.differences: Counter[Difference] = Counter()
        self.agreed = 0
        self.runs = 0
        self.trades = 0
        self.crossing_trades = 0
        """Trades of orders that the file says rested at once."""
        self.unfilled_runs = 0
        self._file_lots: dict[int, int] = {}
        self._our_lots: dict[int, int] = {}
        self._file_ids: dict[int, int] = {}

    @property
    def executions(self) -> int:
        """Visible executions seen."""
        return self.rows[RowKind.EXECUTION]

    def observe(self, step: Step, events: Sequence[Event]) -> None:
        """Take one step and the events of its command (none for a hidden execution)."""
        kind = step[0].kind
        self.rows[kind] += len(step)
        trades = [event for event in events if isinstance(event, Trade)]
        self.trades += len(trades)
        if kind is RowKind.EXECUTION:
            self._compare(step, trades)
            self.runs += 1
            self.unfilled_runs += sum(row.quantity_lots for row in step) > sum(one.quantity_lots for one in trades)
        else:
            self.crossing_trades += len(trades)
        self._follow_file(step)
        self._follow_book(events)

    def _compare(self, run: Step, trades: list[Trade]) -> None:
        wanted: Counter[int] = Counter()
        for row in run:
            wanted[row.order_id] += row.quantity_lots
        filled: Counter[int] = Counter()
        prices: dict[int, int] = {}
        for trade in trades:
            order_id = self._file_ids[trade.maker.order]
            filled[order_id] += trade.quantity_lots
            prices[order_id] = trade.price_ticks
        instead = {order_id: prices[order_id] for order_id in filled if filled[order_id] > wanted[order_id]}
        for row in run:
            if filled[row.order_id] >= row.quantity_lots:
                filled[row.order_id] -= row.quantity_lots
                self.agreed += 1
            else:
                self.differences[self._cause(row, instead)] += 1

    def _cause(self, row: Row, instead: dict[int, int]) -> Difference:
        """`instead`: the orders filled beyond what the file says, with their prices."""
        if row.order_id not in self._file_lots:
            return Difference.BEFORE_FILE
        if any(self._our_lots.get(one, 0) != self._file_lots.get(one, 0) for one in (row.order_id, *instead)):
            return Difference.CONSEQUENCE
        ahead = [order_id for order_id, price_ticks in instead.items() if price_ticks == row.price_ticks]
        if not ahead:
            return Difference.UNEXPLAINED
        is_older = all(order_id > row.order_id for order_id in ahead)
        return Difference.OLDER_THAN_ROW if is_older else Difference.YOUNGER_FIRST

    def _follow_file(self, step: Step) -> None:
        for row in step:
            if row.kind is RowKind.NEW:
                self._file_lots[row.order_id] = row.quantity_lots
            elif row.kind is not RowKind.HIDDEN_EXECUTION and row.order_id in self._file_lots:
                self._file_lots[row.order_id] -= row.quantity_lots

    def _follow_book(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, OrderAccepted) and event.client_order_id:
                self._file_ids[event.order] = int(event.client_order_id)
                self._our_lots[self._file_ids[event.order]] = event.quantity_lots
            elif isinstance(event, Trade):
                for side in (event.maker, event.taker):
                    self._set_lots(side.order, side.remaining_lots)
            elif isinstance(event, OrderAmended):
                self._set_lots(event.order, event.remaining_lots)
            elif isinstance(event, OrderClosed):
                self._set_lots(event.order, 0)
            elif isinstance(event, OrderRefused):
                self.refused[event.code] += 1

    def _set_lots(self, order: int, lots: int) -> None:
        if order in self._file_ids:
            self._our_lots[self._file_ids[order]] = lots
