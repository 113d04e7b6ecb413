"""What was liquidated lately: public rows that name nobody, and each account's own events; in bounded memory.

Like every history of a gateway it begins with the process. A gateway that follows another's public feeds gets trades
and deleveragings without their parties, and keeps the public rows alone.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from exchange.domain.commands import Side
from exchange.domain.events import Event, Trade
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import (
    AuctionTaken,
    Deleveraged,
    DeleveragedSide,
    FundPaid,
    LiquidationEnded,
    LiquidationStarted,
    is_liquidation_order,
)
from exchange.domain.views import Output
from exchange.gateway.settings import GatewaySettings
from exchange.wire.liquidation_shapes import PublicLiquidation, liquidation_item

__all__ = ["LiquidationHistory", "LiquidationRow", "OwnLiquidation", "items_of", "row_of"]

_OWN: Final = (LiquidationStarted, LiquidationEnded, FundPaid, AuctionTaken)


class LiquidationRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of a position that was closed: on the book, or against the other side (`is_deleveraging`)."""

    instrument: int
    is_deleveraging: bool
    is_sell: bool
    """Whether the liquidated account sold."""
    lots: int
    notional_e6: int
    mark_e9: int
    sequence: int
    timestamp_ns: int

    def item(self, instrument: Instrument) -> PublicLiquidation:
        """The row on the wire."""
        return liquidation_item(
            instrument,
            is_deleveraging=self.is_deleveraging,
            is_sell=self.is_sell,
            lots=self.lots,
            notional_e6=self.notional_e6,
            mark_e9=self.mark_e9,
            timestamp_ns=self.timestamp_ns,
        )


class OwnLiquidation(msgspec.Struct, frozen=True, gc=False):
    """An event of an account's liquidation; `side`: whose part of a deleveraging it is."""

    event: Event
    sequence: int
    timestamp_ns: int
    side: DeleveragedSide | None = None


def row_of(event: Event, instrument: Instrument, output: Output) -> LiquidationRow | None:
    """Public row of an event of `instrument`; None for one that liquidated nothing."""
    if isinstance(event, Deleveraged):
        is_sell, lots, notional_e6 = event.bankrupt_lots < 0, abs(event.bankrupt_lots), event.notional_e6
    elif isinstance(event, Trade) and is_liquidation_order(event.taker.order):
        is_sell, lots = event.taker_side is Side.SELL, event.quantity_lots
        notional_e6 = instrument.notional_e6(price_ticks=event.price_ticks, quantity_lots=lots)
    else:
        return None
    is_deleveraging = isinstance(event, Deleveraged)
    return LiquidationRow(
        event.instrument, is_deleveraging, is_sell, lots, notional_e6, event.mark_e9, output.sequence,
        output.timestamp_ns,
    )  # fmt: skip


def items_of(
    closes: Iterable[Trade | Deleveraged], output: Output, instruments: dict[int, Instrument]
) -> dict[str, list[PublicLiquidation]]:
    """Items of a commit by channel: what was closed without its owner's order."""
    items: dict[str, list[PublicLiquidation]] = {}
    for event in closes:
        instrument = instruments[event.instrument]
        row = row_of(event, instrument, output)
        if row is not None:
            items.setdefault(f"liquidations.{instrument.underlying}", []).append(row.item(instrument))
    return items


class LiquidationHistory:
    """Rings of public rows by instrument and of own events by account."""

    EVENTS: ClassVar[frozenset[type]] = frozenset({Trade, Deleveraged, *_OWN})

    def __init__(self, settings: GatewaySettings) -> None:
        """Take the sizes from `settings`."""
        self._settings = settings
        self._accounts: OrderedDict[int, deque[OwnLiquidation]] = OrderedDict()
        self.rows: dict[int, deque[LiquidationRow]] = {}

    def record(self, output: Output, event: Event, instruments: dict[int, Instrument]) -> None:
        """Take one event of `output`, one of EVENTS."""
        if isinstance(event, _OWN):
            self._keep(event.subaccount, OwnLiquidation(event, output.sequence, output.timestamp_ns))
        elif isinstance(event, Trade | Deleveraged):
            row = row_of(event, instruments[event.instrument], output)
            if row is not None:
                self.add(row)
                self._record_parties(output, event)

    def add(self, row: LiquidationRow) -> None:
        """Keep a public row."""
        ring = self.rows.get(row.instrument)
        if ring is None:
            ring = self.rows[row.instrument] = deque(maxlen=self._settings.liquidations_kept)
        ring.append(row)

    def of_account(self, account: int) -> Iterable[OwnLiquidation]:
        """Events of an account, newest first."""
        return reversed(self._accounts.get(account, ()))

    def _record_parties(self, output: Output, event: Trade | Deleveraged) -> None:
        if isinstance(event, Trade):
            self._keep(event.taker.subaccount, OwnLiquidation(event, output.sequence, output.timestamp_ns))
            return
        for side in (event.bankrupt, event.counterparty):
            self._keep(side.subaccount, OwnLiquidation(event, output.sequence, output.timestamp_ns, side))

    def _keep(self, account: int, row: OwnLiquidation) -> None:
        if not account:
            return  # a public feed names nobody
        ring = self._accounts.get(account)
        if ring is None:
            ring = self._accounts[account] = deque(maxlen=self._settings.liquidations_kept)
            if len(self._accounts) > self._settings.subaccounts_kept:
                self._accounts.popitem(last=False)
        ring.append(row)
