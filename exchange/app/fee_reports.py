"""What `offbook fees explain` shows: every fill of an order, and the sum that its fee is.

The journal is replayed through the engine from the newest snapshot before the order, so nothing that a process tells
is believed. Each fee is computed once more here, from the printed figures alone, in exact fractions.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.journal_history import replayed
from exchange.app.layout import DataDirectory
from exchange.domain.commands import Command, OrderFlag, Replace, SignedAmend
from exchange.domain.events import FillSide, OrderClosed, Trade
from exchange.domain.ids import order_sequence
from exchange.domain.instrument import Instrument, format_e9
from exchange.domain.packing import CommandEvents
from exchange.engine.state import State
from exchange.journal.disk import Disk, RealDisk
from exchange.journal.snapshot import load_newest
from exchange.sequencer.replay import state_of_snapshot
from exchange.wire.decimals import format_e6, format_ppm
from exchange.wire.order_ids import OrderIds
from matching_core import OrderBook
from settlement.onchain.deployment import load_deployment

__all__ = ["ExplainedFill", "ExplainedOrder", "explain_order", "order_named", "report_lines"]

_E9: Final = 10**9
_PPM: Final = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedFill:
    """One fill of the order. `fee_e6` is what was booked, `computed_e6` the same fee from the other figures.

    `computed_e6` is None for an order of a liquidation: its fee depends on the account's whole standing at that moment.
    """

    trade: int
    timestamp_ns: int
    is_taker: bool
    price_ticks: int
    quantity_lots: int
    index_e9: int
    rate_ppm: int
    due_e6: int
    """Rate x index x size, rounded up."""
    option_cap_e6: int | None
    """Most that a taker of an option pays, rounded down; None where there is no such cap."""
    signed_cap_e6: int
    """`max_fee` x size, rounded down."""
    fee_e6: int
    computed_e6: int | None

    @property
    def is_equal(self) -> bool:
        """Whether the figures give the fee that was booked; what is not computed counts as equal."""
        return self.computed_e6 in (None, self.fee_e6)


@dataclass(slots=True, kw_only=True)
class ExplainedOrder:
    """An order with its fills; `status` is "open" until it is closed."""

    number: int
    subaccount: int
    instrument: Instrument
    is_buy: bool
    is_liquidation: bool
    status: str = "open"
    fills: list[ExplainedFill] = field(default_factory=list)


def explain_order(settings: Settings, name: str) -> ExplainedOrder:
    """Find the order with the id `name` (as the API shows it) in the journal of a data directory.

    Raises Failure for an id of another deployment, an order that does not exist, and a journal that no longer has it.
    """
    directory = DataDirectory(settings.data.resolve())
    directory.check_format()
    deployment = load_deployment(directory.deployment)
    if deployment is None:
        raise Failure(f"{directory.deployment}: not here; give the exchange's --data, or start it once")
    number = OrderIds(deployment.domain_separator).number(name)
    if number is None:
        raise Failure(f"{name}: no order id of this deployment; it looks like {OrderIds(bytes(32)).text(0)}")
    return order_named(RealDisk(directory.exchange), number)


def order_named(disk: Disk, number: int) -> ExplainedOrder:
    """Order `number` from the journal on `disk`. Raises Failure as `explain_order` does."""
    sequence = order_sequence(number)
    snapshot = load_newest(disk, at_most=sequence - 1)
    state = State(OrderBook) if snapshot is None else state_of_snapshot(snapshot, OrderBook)
    search = _Search(state, number)
    for command, item in replayed(disk, state):
        search.take(command, item)
        if search.is_closed or (search.found is None and item.sequence >= sequence):
            break
    if search.found is None:
        raise Failure(f"the journal has no such order: command {sequence} placed none on this line")
    return search.found


def report_lines(order: ExplainedOrder) -> Iterator[str]:
    """The order, its fills with their arithmetic, and the sum."""
    side = "buy" if order.is_buy else "sell"
    count = f"{len(order.fills)} fill{'s' if len(order.fills) != 1 else ''}"
    yield f"{order.instrument.name} {side} of account {order.subaccount}, {order.status}, {count}"
    for fill in order.fills:
        yield from _fill_lines(order, fill)
    total_e6 = sum(fill.fee_e6 for fill in order.fills)
    yield f"sum of fees      {format_e6(total_e6)} USDC"
    wrong = [fill.trade for fill in order.fills if not fill.is_equal]
    if wrong:
        yield f"differs          trades {', '.join(map(str, wrong))}: booked and computed are not the same"
    elif order.fills and not order.is_liquidation:
        yield "checked          every fee computed from the figures above is the fee that was booked"


class _Search:
    """Follows one order through the commands."""

    def __init__(self, state: State, number: int) -> None:
        self._state = state
        self._number = number
        self._max_fee_e18 = 0
        self.found: ExplainedOrder | None = None
        self.is_closed = False

    def take(self, command: Command, item: CommandEvents) -> None:
        """See a command; the state is the one right after it."""
        self._note_cap(command, item.sequence)
        for event in item.events:
            if isinstance(event, Trade):
                self._fill(event, item.timestamp_ns)
            elif getattr(event, "order", None) == self._number:
                if self.found is None:
                    self._begin(event)
                if isinstance(event, OrderClosed) and self.found is not None:
                    self.found.status = event.status.name.lower()
                    self.is_closed = True

    def _note_cap(self, command: Command, sequence: int) -> None:
        """The signed cap of the order as it stands: of the command that placed it, or of its newest signed edit."""
        order = self._state.open_orders.get(self._number)
        if order is not None:
            self._max_fee_e18 = order.place.max_fee_e18
        elif sequence == order_sequence(self._number) or getattr(command, "target_order", 0) == self._number:
            signed = command.order if isinstance(command, Replace | SignedAmend) else command
            self._max_fee_e18 = getattr(signed, "max_fee_e18", self._max_fee_e18)

    def _begin(self, event: Any) -> None:
        if not hasattr(event, "side"):
            return
        self.found = ExplainedOrder(
            number=self._number,
            subaccount=event.subaccount,
            instrument=self._state.instruments[event.instrument],
            is_buy=not int(event.side),
            is_liquidation=bool(int(getattr(event, "flags", 0)) & OrderFlag.LIQUIDATION),
        )

    def _fill(self, trade: Trade, timestamp_ns: int) -> None:
        for side in (trade.maker, trade.taker):
            if side.order == self._number and self.found is not None:
                # Both sides of an auction pay as makers.
                is_taker = side is trade.taker and not trade.is_auction
                self.found.fills.append(self._explained(self.found, trade, side, timestamp_ns, is_taker=is_taker))

    def _explained(
        self, order: ExplainedOrder, trade: Trade, side: FillSide, timestamp_ns: int, *, is_taker: bool
    ) -> ExplainedFill:
        instrument = order.instrument
        size = Fraction(trade.quantity_lots * instrument.lot_e9, _E9)
        rate_ppm = instrument.taker_fee_ppm if is_taker else instrument.maker_fee_ppm
        due_e6 = ceil(Fraction(trade.index_e9, _E9) * size * Fraction(rate_ppm, _PPM) * 10**6)
        signed_cap_e6 = floor(Fraction(self._max_fee_e18, 10**18) * size * 10**6)
        option_cap_e6 = None
        if is_taker and instrument.is_option:
            value = Fraction(trade.price_ticks * instrument.tick_e9, _E9) * size
            option_cap_e6 = floor(value * Fraction(self._state.config.option_fee_cap_ppm, _PPM) * 10**6)
        capped = due_e6 if option_cap_e6 is None else min(due_e6, option_cap_e6)
        return ExplainedFill(
            trade=trade.trade,
            timestamp_ns=timestamp_ns,
            is_taker=is_taker,
            price_ticks=trade.price_ticks,
            quantity_lots=trade.quantity_lots,
            index_e9=trade.index_e9,
            rate_ppm=rate_ppm,
            due_e6=due_e6,
            option_cap_e6=option_cap_e6,
            signed_cap_e6=signed_cap_e6,
            fee_e6=side.fee_e6,
            computed_e6=None if order.is_liquidation else min(capped, signed_cap_e6),
        )


def _fill_lines(order: ExplainedOrder, fill: ExplainedFill) -> Iterator[str]:
    instrument = order.instrument
    size = instrument.quantity_text(fill.quantity_lots)
    role = "taker" if fill.is_taker else "maker"
    yield f"trade {fill.trade:<10} {role}, {size} at {instrument.price_text(fill.price_ticks)}"
    if fill.computed_e6 is None:
        yield f"  fee of a liquidation, from the account's standing at that moment: {format_e6(fill.fee_e6)}"
        return
    rate = f"index {format_e9(fill.index_e9)} x {size} x rate {format_ppm(fill.rate_ppm)}"
    yield f"  {rate} = {format_e6(fill.due_e6)} (rounded up)"
    if fill.option_cap_e6 is not None:
        yield f"  at most {format_e6(fill.option_cap_e6)}, the cap on an option's value (rounded down)"
    yield f"  at most {format_e6(fill.signed_cap_e6)}, signed max_fee x size (rounded down)"
    yield f"  fee {format_e6(fill.computed_e6)}, booked {format_e6(fill.fee_e6)}"
