"""The reference order book: price-time priority in plain Python, the oracle of the compiled twin.

One object holds every instrument. Each side is a sorted map from price to level, best price first; a level is a dict
in match order. Nothing here is clever: quantities are Python ints, touched prices are collected in a set and reported
at the end. The compiled twin must answer each command with the same bytes.

    BookState            settings and views             reference_views
    AuditedState         hash, invariants               reference_audit
    SavedState           snapshot, restore              reference_snapshot
    Matching             trades, clipping, dry run      reference_matching
    OrderCommands        new, cancel, amend             reference_orders
    AuctionCommands      phases, uncross                reference_auction
    ManyOrderCommands    mass quotes, bulk cancels      reference_quotes
    ReferenceOrderBook   the batch                      here
"""

from matching_core.fills import (
    COMMAND,
    COMMAND_BYTES,
    EXTENSION,
    FLAG_EXTENDED,
    QUOTE_LINE,
    CoreCode,
    CoreCommand,
)
from matching_core.limits import (
    DEFAULT_CELL_CAPACITY,
    DEFAULT_GUARD_CAPACITY,
    DEFAULT_INSTRUMENT_CAPACITY,
    DEFAULT_ORDER_CAPACITY,
    require_now,
)
from matching_core.reference_orders import Refusal
from matching_core.reference_quotes import ManyOrderCommands, QuoteHeader
from matching_core.reference_state import Order

__all__ = ["ReferenceOrderBook"]


class ReferenceOrderBook(ManyOrderCommands):
    """All books of one core: commands in, events out (layouts in `fills`), no clock and no randomness."""

    def __init__(
        self,
        *,
        order_capacity: int = DEFAULT_ORDER_CAPACITY,
        instrument_capacity: int = DEFAULT_INSTRUMENT_CAPACITY,
        cell_capacity: int = DEFAULT_CELL_CAPACITY,
        guard_capacity: int = DEFAULT_GUARD_CAPACITY,
    ) -> None:
        super().__init__(
            order_capacity=order_capacity,
            instrument_capacity=instrument_capacity,
            cell_capacity=cell_capacity,
            guard_capacity=guard_capacity,
        )
        self._out = bytearray()
        self._touched: set[tuple[int, int]] = set()

    def submit(self, commands: bytes, now_ns: int = 0) -> bytes:
        """Apply packed commands in order at one time and return all their events.

        ValueError unless whole records are given and the time is 0..2**63-1. A command whose further records are not
        all there is refused with MISSING_RECORDS, and nothing behind it is read.
        """
        if len(commands) % COMMAND_BYTES:
            raise ValueError(f"{len(commands)} bytes are not whole commands of {COMMAND_BYTES} bytes")
        require_now(now_ns)
        self._now_ns = now_ns
        self._out = bytearray()
        at = 0
        while at < len(commands):
            size = _command_bytes(commands, at)
            if at + size > len(commands):
                _, side, _, instrument, *_ = COMMAND.unpack_from(commands, at)
                self._reject((CoreCode.MISSING_RECORDS, 0, 0), side, instrument, 0)
                break
            self._apply(commands, at, size)
            at += size
        return bytes(self._out)

    def _apply(self, commands: bytes, at: int, size: int) -> None:
        kind, side, flags, instrument, price, quantity, owner, cell = COMMAND.unpack_from(commands, at)
        row = (side, instrument, price, quantity)
        handle = 0
        match kind:
            case CoreCommand.NEW:
                taker = Order(0, instrument, side, price, quantity, owner, cell, flags)
                refusal = self._new_extended(taker, commands, at) if flags & FLAG_EXTENDED else self._new(taker)
            case CoreCommand.CANCEL | CoreCommand.AMEND:
                handle = owner | cell << 32
                is_cancel = kind == CoreCommand.CANCEL
                refusal = self._cancel(handle) if is_cancel else self._amend(instrument, handle, price, quantity)
            case CoreCommand.MASS_QUOTE:
                lines = commands[at + COMMAND_BYTES : at + size]
                refusal = self._mass_quote(QuoteHeader(flags, owner, cell), quantity, lines)
            case CoreCommand.CANCEL_GUARD:
                refusal = self._cancel_guard(*row, guard=cell)
            case CoreCommand.CANCEL_OWNER | CoreCommand.CANCEL_INSTRUMENT:
                refusal = self._cancel_many(*row, owner=owner if kind == CoreCommand.CANCEL_OWNER else None)
            case CoreCommand.SET_PHASE:
                refusal = self._set_phase(*row)
            case CoreCommand.UNCROSS:
                refusal = self._uncross(*row)
            case _:
                refusal = (CoreCode.UNKNOWN_KIND, 0, 0)
        self._reject(refusal, side, instrument, handle)

    def _new_extended(self, taker: Order, commands: bytes, at: int) -> Refusal:
        taker.display_lots, taker.guard, *reserved = EXTENSION.unpack_from(commands, at + COMMAND_BYTES)
        if any(reserved):
            # An impossible flag, so that the refusal comes at its place in the order of checks.
            taker.flags |= 1 << 16
        return self._new(taker)


def _command_bytes(commands: bytes, at: int) -> int:
    """Bytes of the command at an offset, further records included; more than are there when its count is absurd."""
    kind, _, flags, _, _, quantity, _, _ = COMMAND.unpack_from(commands, at)
    if kind == CoreCommand.NEW and flags & FLAG_EXTENDED:
        return COMMAND_BYTES + EXTENSION.size
    if kind == CoreCommand.MASS_QUOTE:
        return COMMAND_BYTES + QUOTE_LINE.size * quantity if quantity >= 0 else len(commands) + 1
    return COMMAND_BYTES
