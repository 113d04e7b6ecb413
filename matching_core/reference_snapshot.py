"""The reference book as bytes and back: layout in `snapshots`."""

from itertools import pairwise
from struct import Struct, error
from typing import Any, Final, Self

from matching_core import snapshots
from matching_core.errors import SnapshotDamaged
from matching_core.fills import FLAG_EXTENDED, FLAG_FOK, FLAG_IOC, FLAG_REDUCE_ONLY, CorePhase, CoreSide
from matching_core.invariants import InvariantViolated, require
from matching_core.limits import FLAGS_KNOWN, QUANTITY_MAX_LOTS
from matching_core.reference_audit import AuditedState
from matching_core.reference_state import Instrument, Order, SlotPool

__all__ = ["SavedState"]

_SLOT_MASK: Final = 0xFFFF_FFFF
_FLAGS_RESTING: Final = FLAGS_KNOWN & ~(FLAG_EXTENDED | FLAG_IOC | FLAG_FOK)


class SavedState(AuditedState):
    """The state with its snapshot."""

    def snapshot(self) -> bytes:
        """Everything this book is, handles and the order of free slots included; equal books give equal bytes."""
        body = bytearray(self._pack_counts())
        for slots in self._slots.parts:
            body += b"".join(map(snapshots.SLOT.pack, slots))
        for cell in sorted(self._counters.cells.items()):
            body += snapshots.CELL.pack(*cell)
        for number in sorted(self._counters.guards):
            body += self._pack_guard(number)
        for _, book in sorted(self._instruments.items()):
            body += _pack_instrument(book)
        return snapshots.seal(bytes(body))

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        """Return the book a snapshot was taken of; SnapshotRefused when the bytes are not one this core wrote."""
        reader = _Reader(snapshots.unseal(snapshot))
        try:
            book = cls._read(reader)
            book.check_invariants()
        except (error, ValueError, LookupError, InvariantViolated) as refusal:
            raise SnapshotDamaged(f"the snapshot contradicts itself: {refusal}") from refusal
        return book

    def _pack_counts(self) -> bytes:
        generations, free = self._slots.parts
        capacities = (self._slots.capacity, self._instrument_capacity, self._cell_capacity, self._guard_capacity)
        lengths = (len(generations), len(free), len(self._counters.cells), len(self._counters.guards))
        market = (len(self._instruments), 0, self._arrivals, self._now_ns)
        return snapshots.COUNTS.pack(*capacities, *lengths, *market)

    def _pack_guard(self, number: int) -> bytes:
        guard = self._counters.guards[number]
        limits = (guard.quantity_limit_lots, guard.delta_limit_e9, guard.vega_limit_e9, guard.count_limit)
        sums = (guard.start_ns, guard.quantity_lots, guard.delta_e9, guard.vega_e9, guard.count)
        line = self._lines[number]
        packed = snapshots.GUARD.pack(number, guard.is_frozen, guard.interval_ns, *limits, *sums, len(line))
        return packed + b"".join(snapshots.SLOT.pack(handle & _SLOT_MASK) for handle in line)

    @classmethod
    def _read(cls, reader: "_Reader") -> Self:
        counts = reader.take(snapshots.COUNTS)
        orders, instruments, cells, guards, slots, free, cell_count, guard_count, instrument_count, zero = counts[:10]
        book = cls(order_capacity=orders, instrument_capacity=instruments, cell_capacity=cells, guard_capacity=guards)
        require(slots <= orders and zero == 0, "more slots than capacity")
        book._arrivals, book._now_ns = counts[10:]
        require(book._now_ns < 2**63, "time beyond the range")
        book._slots = _read_slots(reader, orders, slots, free)
        for cell, position in _ascending([reader.take(snapshots.CELL) for _ in range(cell_count)]):
            require(cell > 0, "cell 0 is none")
            require(len(book._counters.cells) < cells, "more cells than capacity")
            book._counters.cells[cell] = position
        lines = dict(book._read_guard(reader) for _ in range(guard_count))
        require(len(lines) == guard_count and sorted(lines) == list(lines), "guards out of order")
        listed = [book._read_instrument(reader) for _ in range(instrument_count)]
        require(listed == sorted(listed), "instruments out of order")
        require(reader.is_at_end, "bytes behind the last order")
        used = {handle & _SLOT_MASK for handle in book._orders}
        require(used.isdisjoint(book._slots.parts[1]), "slot both used and free")
        book._link_lines(lines)
        return book

    def _read_guard(self, reader: "_Reader") -> tuple[int, list[int]]:
        number, is_frozen, interval_ns, *numbers, length = reader.take(snapshots.GUARD)
        limits = dict(zip(("quantity_lots", "delta_e9", "vega_e9", "count"), numbers[:4], strict=True))
        self.set_guard(number, interval_ns=interval_ns, **limits)
        require(is_frozen in (0, 1), "frozen is yes or no")
        guard = self._counters.guards[number]
        guard.is_frozen = bool(is_frozen)
        guard.start_ns, guard.quantity_lots, guard.delta_e9, guard.vega_e9, guard.count = numbers[4:]
        return number, [reader.take(snapshots.SLOT)[0] for _ in range(length)]

    def _read_instrument(self, reader: "_Reader") -> int:
        number, phase, low, high, delta_e9, vega_e9, *sides = reader.take(snapshots.INSTRUMENT)
        self.list_instrument(number, price_min_ticks=low, price_max_ticks=high)
        self.set_weights(number, delta_e9=delta_e9, vega_e9=vega_e9)
        require(phase in (CorePhase.CONTINUOUS, CorePhase.AUCTION), "unknown phase")
        self._instruments[number].phase = phase
        for side, count in zip((CoreSide.BUY, CoreSide.SELL), sides, strict=True):
            for _ in range(count):
                self._read_order(reader, self._instruments[number], side)
        return int(number)

    def _read_order(self, reader: "_Reader", book: Instrument, side: int) -> None:
        price, remaining, hidden, display, arrival, slot, owner, cell, guard, flags = reader.take(snapshots.ORDER)
        require(slot > 0, "slot 0 is none")
        require(0 <= hidden < remaining <= QUANTITY_MAX_LOTS, "quantity out of range")
        require(not flags & ~_FLAGS_RESTING, "flags of no resting order")
        require(0 <= display <= QUANTITY_MAX_LOTS and (display or not hidden), "slice out of range")
        require(cell or not flags & FLAG_REDUCE_ONLY, "reduce-only without a cell")
        require(cell == 0 or cell in self._counters.cells, "unknown cell")
        require(guard == 0 or guard in self._counters.guards, "unknown guard")
        worst = book.sides[side].peekitem(-1)[0] if book.sides[side] else price
        require(price >= worst if side == CoreSide.SELL else price <= worst, "orders out of line")
        handle = self._slots.handle_of(slot)
        require(handle not in self._orders, "slot used twice")
        order = Order(
            handle, book.instrument, side, price, remaining, owner, cell, flags, display, guard, arrival, hidden
        )
        self._orders[handle] = order
        book.append(order)

    def _link_lines(self, lines: dict[int, list[int]]) -> None:
        by_slot = {handle & _SLOT_MASK: order for handle, order in self._orders.items()}
        for number, slots in lines.items():
            self._lines[number] = {by_slot[slot].handle: by_slot[slot] for slot in slots}
            require(all(by_slot[slot].guard == number for slot in slots), "order in another guard's line")


class _Reader:
    """Takes records off the front of a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Whether every byte has been read."""
        return self._at == len(self._body)

    def take(self, layout: Struct) -> tuple[Any, ...]:
        """Return the next record; struct.error when too few bytes are left."""
        fields = layout.unpack_from(self._body, self._at)
        self._at += layout.size
        return fields


def _read_slots(reader: _Reader, capacity: int, slots: int, free: int) -> SlotPool:
    generations = [reader.take(snapshots.SLOT)[0] for _ in range(slots)]
    queue = [reader.take(snapshots.SLOT)[0] for _ in range(free)]
    require(all(generations), "generation 0 is none")
    require(len(set(queue)) == free, "slot free twice")
    require(all(0 < slot <= slots for slot in queue), "free slot beyond the table")
    return SlotPool.of_parts(capacity, generations, queue)


def _ascending(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    require(all(before[0] < after[0] for before, after in pairwise(rows)), "ids out of order")
    return rows


def _pack_instrument(book: Instrument) -> bytes:
    sides = [[order for level in side.values() for order in level.orders.values()] for side in book.sides]
    row = (book.instrument, book.phase, book.price_min_ticks, book.price_max_ticks, book.delta_e9, book.vega_e9)
    packed = snapshots.INSTRUMENT.pack(*row, *map(len, sides))
    return packed + b"".join(_pack_order(order) for side in sides for order in side)


def _pack_order(order: Order) -> bytes:
    lots = (order.remaining_lots, order.hidden_lots, order.display_lots)
    ids = (order.handle & _SLOT_MASK, order.owner, order.cell, order.guard, order.flags)
    return snapshots.ORDER.pack(order.price_ticks, *lots, order.arrival, *ids)
