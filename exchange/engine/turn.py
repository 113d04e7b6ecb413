"""What one command has produced so far: events in order, then closes, then one delta per touched price level."""

from typing import Final

from exchange.domain.commands import Side
from exchange.domain.events import BookLevel, Event, OrderClosed
from exchange.engine.records import MmpGroup, Order
from exchange.engine.state import State

__all__ = ["Turn"]

# By the core's number: calling the enum costs more than the event.
_SIDES: Final = (Side.BUY, Side.SELL)


class Turn:
    """Collector of one command's output, and of the positions it touched."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closes: list[Order] = []
        self.levels: dict[tuple[int, int, int], int] = {}
        self.touched: dict[tuple[int, int], None] = {}
        """(subaccount, instrument) pairs whose position moved."""
        self.moved_cash = False
        self.moved: dict[tuple[int, int], None] = {}
        """Those of `touched` whose account has waiting orders, until they were looked after."""
        self.tied_fills: dict[int, Order] = {}
        """Orders with a fill that means something to others (see `links`), until it was passed on."""
        self.tied_ends: dict[int, Order] = {}
        """Orders that ended and had others waiting for them, likewise."""
        self.placed_triggers = 0
        self.frozen: list[MmpGroup] = []
        """Groups that reached a limit, until their orders were canceled."""

    def level(self, instrument: int, side: int, price_ticks: int, quantity_lots: int) -> None:
        """Remember a level's newest total; it is reported once."""
        self.levels[instrument, side, price_ticks] = quantity_lots

    def flush_closes(self, state: State) -> None:
        """Report the orders that ended so far."""
        if not self.closes:
            return
        for order in self.closes:
            self.events.append(
                OrderClosed(
                    subaccount=order.place.subaccount,
                    account_seq=state.accounts[order.place.subaccount].next_seq(),
                    order=order.number,
                    instrument=order.place.instrument,
                    status=order.status,
                    reason=order.reason,
                    unfilled_lots=order.remaining_lots,
                )
            )
        self.closes.clear()

    def finish(self, state: State) -> list[Event]:
        """All events of the command, in the declared order."""
        self.flush_closes(state)
        for (instrument, side, price_ticks), quantity_lots in self.levels.items():
            self.events.append(
                BookLevel(
                    instrument=instrument, side=_SIDES[side], price_ticks=price_ticks, quantity_lots=quantity_lots
                )
            )
        return self.events
