"""Record files through a book: ids to handles on the way in, events to report lines on the way out.

A record names its order by the file's id, the core by a handle that it gives out itself. The id table learns handles
from ACCEPTED events; a batch ends early when a record needs the handle of an order placed in the same batch. Handles
are deterministic, so the commands of a first pass can be submitted again to an empty book in full batches: that is
what is timed.

A modify loses its place in the line whatever it changes. AMEND keeps it for a smaller quantity at the same price, so
such a record becomes two commands: up beyond any quantity the order can have left (to the back of the line), then to
the quantity named. At an unchanged price neither can trade.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from bench.record_file import CANCEL, NEW, RECORD, RecordError, Survey
from matching_core.fills import (
    COMMAND,
    COMMAND_BYTES,
    COMMAND_HANDLE,
    EVENT,
    FLAG_IOC,
    CoreCode,
    CoreCommand,
    CoreEvent,
)

__all__ = ["BATCH", "Replay", "batches"]

BATCH: Final = 256
_SLOT: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Expected:
    """The record behind a command; a silent command has no line of its own."""

    kind: int
    sequence: int
    order_id: int
    is_silent: bool = False


def batches(commands: bytes, size: int = BATCH) -> list[bytes]:
    """Cut packed commands into pieces of `size` commands."""
    step = size * COMMAND_BYTES
    return [commands[start : start + step] for start in range(0, len(commands), step)]


class Replay:
    """One pass of a file through an empty book; keeps the commands, hashes the events, counts the trades."""

    def __init__(self, book, survey: Survey) -> None:
        self.trades = 0
        self.refused = 0
        self.commands: list[bytes] = []
        self.events = sha256()
        self._book, self._core_ids = book, survey.core_ids
        self._handles: dict[int, int] = {}
        self._ids: dict[int, int] = {}
        self._named: dict[int, tuple[int, int, int]] = {}
        self._unanswered: set[int] = set()
        self._batch: list[bytes] = []
        self._expected: list[Expected] = []
        self._held = ""

    def lines(self, body: bytes) -> Iterator[list[str]]:
        """Match all records; yields the report lines of each batch, sorted within each record."""
        for kind, side, ioc, _, quantity, sequence, order_id, price, instrument in RECORD.iter_unpack(body):
            if order_id in self._unanswered:
                yield self._flush()
            if kind == NEW:
                self._new(order_id, side, ioc, price, quantity, self._core_ids[instrument])
            elif kind == CANCEL:
                handle = self._handles.get(order_id, 0)
                self._batch.append(COMMAND_HANDLE.pack(CoreCommand.CANCEL, 0, 0, 0, 0, 0, handle))
            else:
                self._modify(order_id, sequence, side, price, quantity, self._core_ids[instrument])
            self._expected.append(Expected(kind, sequence, order_id))
            if len(self._batch) >= BATCH:
                yield self._flush()
        yield self._flush()

    def _new(self, order_id: int, side: int, ioc: int, price: int, quantity: int, instrument: int) -> None:
        self._unanswered.add(order_id)
        self._named[order_id] = (instrument, price, quantity)
        flags = FLAG_IOC if ioc else 0
        self._batch.append(COMMAND.pack(CoreCommand.NEW, side, flags, instrument, price, quantity, 0, 0))

    def _modify(self, order_id: int, sequence: int, side: int, price: int, quantity: int, instrument: int) -> None:
        handle = self._handles.get(order_id, 0)
        instrument, price_before, quantity_before = self._named.get(order_id, (instrument, 0, 0))
        if price == price_before and quantity <= quantity_before:
            up = COMMAND_HANDLE.pack(CoreCommand.AMEND, side, 0, instrument, price, quantity_before + 1, handle)
            self._batch.append(up)
            self._expected.append(Expected(NEW, sequence, order_id, is_silent=True))
        self._named[order_id] = (instrument, price, quantity)
        command = COMMAND_HANDLE.pack(CoreCommand.AMEND, side, 0, instrument, price, quantity, handle)
        self._batch.append(command)

    def _flush(self) -> list[str]:
        commands = b"".join(self._batch)
        events = self._book.submit(commands)
        self.commands.append(commands)
        self.events.update(events)
        found = self._report(events)
        self._batch.clear()
        self._expected.clear()
        self._unanswered.clear()
        return found

    def _report(self, events: bytes) -> list[str]:
        """Lines of a batch; the opening event of each command moves on to the next expected record."""
        found: list[str] = []
        upcoming = iter(self._expected)
        record = Expected(NEW, 0, 0)
        for kind, side, code, _, handle, price, quantity in EVENT.iter_unpack(events):
            if kind == CoreEvent.DEPTH:
                continue
            if kind == CoreEvent.TRADE:
                self.trades += 1
                maker_id = self._ids[handle & _SLOT]
                found.append(f"1,{record.sequence},{price},{quantity},{maker_id},{record.order_id}")
                continue
            if kind != CoreEvent.CANCELED or code == CoreCode.USER_REQUEST:
                record = next(upcoming)
                self._release(found)
            if kind == CoreEvent.CANCELED:
                found.append(f"2,{record.sequence},{side},{record.order_id},{price}")
            elif kind == CoreEvent.ACCEPTED:
                self._handles[record.order_id] = handle
                self._ids[handle & _SLOT] = record.order_id
                found.append(f"0,{record.sequence},{side},{record.order_id},{price},{quantity}")
            elif not record.is_silent:
                self._answer(found, record, kind, code, f"{side},{record.order_id},{price},{quantity}")
        self._release(found)
        return found

    def _answer(self, found: list[str], record: Expected, kind: int, code: int, rest: str) -> None:
        if kind == CoreEvent.AMENDED:
            # Its trades are of a smaller type and come first in the report.
            self._held = f"3,{record.sequence},{rest}"
        elif record.kind == NEW:
            raise RecordError(f"the core refused new order {record.order_id} (sequence {record.sequence}): code {code}")
        else:
            self.refused += 1
            found.append(f"{4 if record.kind == CANCEL else 5},{record.sequence},{record.order_id}")

    def _release(self, found: list[str]) -> None:
        if self._held:
            found.append(self._held)
            self._held = ""
