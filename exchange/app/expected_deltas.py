"""What the journal's events say about each batch, without the settler's code: sums of trades, values of its round.

The watcher holds posted batches against it. The fold is saved with a cursor, because events of long ago are released.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from exchange.domain.commands import Side
from exchange.domain.events import BatchClosed, FillSide, InstrumentListed, Trade
from exchange.domain.liquidations import Deleveraged, FundPaid
from exchange.domain.packing import CommandEvents, unpack_events
from exchange.domain.rounds import InstrumentSettled, OracleRoundSet
from settlement.watch.history import BadHistory

__all__ = ["JournalDeltas"]

_FORMAT: Final = 2

Delta = tuple[int, dict[int, int]]


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    version: int
    cursor: int
    units: dict[int, int]
    open: dict[int, Delta]
    closed: dict[int, dict[int, Delta]]
    values: dict[int, int]
    began: dict[int, dict[int, int]]


class JournalDeltas:
    """Implements `settlement.watch.watcher.ExpectedDeltas`; `cursor` is the last sequence taken."""

    def __init__(self, path: Path | None = None) -> None:
        """Go on with what `path` holds. Raises BadHistory."""
        self._path = path
        self.cursor = 0
        self._units: dict[int, int] = {}
        self._open: dict[int, Delta] = {}
        self._closed: dict[int, dict[int, Delta]] = {}
        self._values: dict[int, int] = {}
        self._began: dict[int, dict[int, int]] = {}
        self._is_paying = False
        if path is not None and path.exists():
            self._load(path.read_bytes())

    def take(self, blobs: Iterable[bytes]) -> None:
        """Fold packed events behind the cursor."""
        for blob in blobs:
            for item in unpack_events(blob):
                if item.sequence > self.cursor:
                    self._take(item)

    def of_batch(self, seq: int) -> Mapping[int, Delta] | None:
        """Every account's cash in 1e-6 USDC and lots in batch `seq`, None until the journal has closed it."""
        return self._closed.get(seq)

    def values_of_batch(self, seq: int) -> Mapping[int, int] | None:
        """Funding index or payoff per lot in 1e-12 USDC with which batch `seq` began, None until it is closed."""
        return self._began.get(seq)

    def forget(self, up_to_seq: int) -> None:
        """Drop final batches and save the rest."""
        gone = [seq for seq in self._closed if seq <= up_to_seq]
        for seq in gone:
            del self._closed[seq], self._began[seq]
        if gone and self._path is not None:
            saved = _Saved(_FORMAT, self.cursor, self._units, self._open, self._closed, self._values, self._began)
            temporary = self._path.with_suffix(".new")
            temporary.write_bytes(msgspec.msgpack.encode(saved))
            temporary.replace(self._path)

    def _take(self, item: CommandEvents) -> None:
        self._is_paying = False
        for event in item.events:
            if isinstance(event, Trade):
                value_e6 = event.quantity_lots * event.price_ticks * self._units[event.instrument]
                sign = 1 if event.taker_side is Side.BUY else -1
                self._book(event.taker, event.instrument, sign * event.quantity_lots, -sign * value_e6)
                self._book(event.maker, event.instrument, -sign * event.quantity_lots, sign * value_e6)
            elif isinstance(event, Deleveraged):
                self._deleverage(event)
            elif isinstance(event, FundPaid):
                self._pay(event.subaccount, event.amount_e6)
            elif isinstance(event, BatchClosed):
                self._closed[event.batch], self._open = self._open, {}
                self._began[event.batch] = dict(self._values)
            elif isinstance(event, OracleRoundSet):
                self._values = {row.instrument: row.index_e12 for row in event.funding}
            elif isinstance(event, InstrumentSettled):
                self._settle(event)
            elif isinstance(event, InstrumentListed):
                self._units[event.instrument.instrument_id] = event.instrument.unit_e6
        self.cursor = item.sequence

    def _settle(self, event: InstrumentSettled) -> None:
        """A command pays its share of an expiry whole: only what it pays has a payoff, and only what somebody held."""
        if not self._is_paying:
            self._is_paying = True
            self._values = {key: value for key, value in self._values.items() if key >> 31}
        if event.position_count:
            self._values[event.instrument] = event.value_e12

    def _book(self, party: FillSide, instrument: int, lots: int, value_e6: int) -> None:
        self._move(party.subaccount, instrument, lots, value_e6 - party.fee_e6)

    def _deleverage(self, event: Deleveraged) -> None:
        value_e6 = event.notional_e6 if event.bankrupt_lots < 0 else -event.notional_e6
        self._move(event.bankrupt.subaccount, event.instrument, event.bankrupt_lots, value_e6)
        self._move(event.counterparty.subaccount, event.instrument, -event.bankrupt_lots, -value_e6)

    def _move(self, account: int, instrument: int, lots: int, cash_e6: int) -> None:
        self._pay(account, cash_e6)
        held = self._open[account][1]
        held[instrument] = held.get(instrument, 0) + lots

    def _pay(self, account: int, cash_e6: int) -> None:
        before_e6, held = self._open.get(account, (0, {}))
        self._open[account] = (before_e6 + cash_e6, held)

    def _load(self, raw: bytes) -> None:
        try:
            saved = msgspec.msgpack.decode(raw, type=_Saved)
        except msgspec.MsgspecError as error:
            raise BadHistory(f"{self._path} cannot be read ({error}): delete the watcher's folder") from error
        if saved.version != _FORMAT:
            raise BadHistory(f"{self._path} has format {saved.version}, this build reads {_FORMAT}: delete it")
        self.cursor, self._units, self._open, self._closed = saved.cursor, saved.units, saved.open, saved.closed
        self._values, self._began = saved.values, saved.began
