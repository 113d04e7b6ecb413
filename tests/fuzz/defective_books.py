"""Deliberate defects, each a class around the compiled book: suite, differential and fuzz run must find every one.

They are the classic ones of other engines (and one wild read). The shipped book knows nothing of them: `plant` puts the
class in the place of `matching_core.OrderBook`, so the tools that judge it stay as they are.
"""

import ctypes

import matching_core
from matching_core.fills import (
    COMMAND,
    COMMAND_BYTES,
    COMMAND_HANDLE,
    EVENT,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    CoreCode,
    CoreCommand,
    CoreEvent,
)
from matching_core.limits import QUANTITY_MAX_LOTS
from tests.fuzz.commands import commands_of
from tests.sanitizers.build import compile_planted

__all__ = ["DEFECTS", "SANITIZER_DEFECTS", "plant"]


WILD_SLOT = 1 << 20


class OneByOne(matching_core.OrderBook):
    """A book that meets the commands of a batch one at a time, so that a defect can stand between two."""

    def submit(self, commands: bytes, now_ns: int = 0) -> bytes:
        """Answer as the compiled book does."""
        if len(commands) % COMMAND_BYTES:
            return super().submit(commands, now_ns)
        return b"".join(self.submit_one(command, now_ns) for command in commands_of(commands))

    def submit_one(self, command: bytes, now_ns: int) -> bytes:
        """Answer one command."""
        return super().submit(command, now_ns)


class DemoteMaker(OneByOne):
    """A partial fill sends the maker to the back of its level: amended up and down again, and nobody is told."""

    def submit_one(self, command: bytes, now_ns: int) -> bytes:
        """Answer one command; makers it left partially filled lose their place."""
        events = super().submit_one(command, now_ns)
        for kind, _side, _code, instrument, handle, price, _quantity in EVENT.iter_unpack(events):
            row = self.order(handle) if kind == CoreEvent.TRADE else None
            if row is not None:
                for lots in (row[3] + 1, row[3]):
                    amend = COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, instrument, price, lots, handle)
                    super().submit_one(amend, now_ns)
        return events


class StaleCancel(OneByOne):
    """The cancel of an order that is gone is acknowledged instead of refused."""

    def __init__(self, **options: int) -> None:
        self._given: dict[int, tuple[int, int, int, int]] = {}

    def submit_one(self, command: bytes, now_ns: int) -> bytes:
        """Answer one command; refusals of handles once given out become cancels."""
        events = super().submit_one(command, now_ns)
        if not events:
            return events
        kind, side, code, instrument, handle, price, quantity = EVENT.unpack_from(events)
        if kind == CoreEvent.ACCEPTED:
            self._given[handle] = (side, instrument, price, quantity)
        stale = command[0] == CoreCommand.CANCEL and code == CoreCode.UNKNOWN_HANDLE
        if not stale or handle not in self._given:
            return events
        side, instrument, price, quantity = self._given[handle]
        return EVENT.pack(CoreEvent.CANCELED, side, CoreCode.USER_REQUEST, instrument, handle, price, quantity)


class FokPerLevel(OneByOne):
    """FOK is judged by the best level's total alone: refused where it needs two, filled in part where totals lie."""

    def submit_one(self, command: bytes, now_ns: int) -> bytes:
        """Answer one command; a FOK goes on as an IOC or asks for more than there can be."""
        kind, side, flags, instrument, price, quantity, owner, cell = COMMAND.unpack_from(command)
        is_fok = kind == CoreCommand.NEW and flags & (FLAG_FOK | FLAG_IOC | FLAG_POST_ONLY) == FLAG_FOK
        if not is_fok or not 0 < quantity <= QUANTITY_MAX_LOTS:
            return super().submit_one(command, now_ns)
        if self._level_lots(instrument, side, price) >= quantity:
            flags = flags ^ FLAG_FOK | FLAG_IOC
        else:
            quantity = QUANTITY_MAX_LOTS
        changed = COMMAND.pack(kind, side, flags, instrument, price, quantity, owner, cell)
        return super().submit_one(changed + command[COMMAND_BYTES:], now_ns)

    def _level_lots(self, instrument: int, side: int, price: int) -> int:
        """Total of the opposite best, 0 when it is not reached."""
        try:
            bid, bid_lots, ask, ask_lots = self.best(instrument)
        except KeyError:
            return 0
        if side:
            return bid_lots if bid is not None and price <= bid else 0
        return ask_lots if ask is not None and price >= ask else 0


class WildRead(OneByOne):
    """The cancel of a slot nobody has reads memory behind a pool: only a sanitizer sees it."""

    def submit_one(self, command: bytes, now_ns: int) -> bytes:
        """Answer one command, after a look behind the end."""
        if command[0] == CoreCommand.CANCEL and int.from_bytes(command[24:28], "little") > WILD_SLOT:
            ctypes.CDLL(str(compile_planted())).read_past_the_end(ctypes.c_int64(5))
        return super().submit_one(command, now_ns)


DEFECTS = {"demote-maker": DemoteMaker, "fok-per-level": FokPerLevel, "stale-cancel": StaleCancel}
SANITIZER_DEFECTS = {"wild-read": WildRead}


def plant(name: str) -> None:
    """Put a defective book in the place of the compiled one, for this process."""
    matching_core.OrderBook = {**DEFECTS, **SANITIZER_DEFECTS}[name]
