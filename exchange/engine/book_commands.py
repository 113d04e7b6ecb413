"""The core's language: NEW with its extension where an order has options beyond the 32 bytes, and the time."""

from exchange.domain.commands import Place
from exchange.engine.flags import core_flags
from exchange.engine.state import State
from matching_core.fills import COMMAND, EXTENSION, FLAG_EXTENDED, FLAG_FOK, FLAG_IOC, CoreCommand

__all__ = ["new_order", "tell_time"]

_NEW = int(CoreCommand.NEW)


def new_order(state: State, place: Place, price_ticks: int, lots: int) -> bytes:
    """NEW of `lots` at a price, with all else as in `place`.

    An iceberg's slice and a group's guard follow in an extension. Guards are for orders that may rest.
    """
    flags = core_flags(place, state.accounts[place.subaccount])
    rests = not flags & (FLAG_IOC | FLAG_FOK)
    guard = state.guards[place.subaccount, place.mmp_group] if place.mmp_group and rests else 0
    is_extended = place.display_lots or guard
    command = COMMAND.pack(
        _NEW,
        place.side,
        flags | FLAG_EXTENDED if is_extended else flags,
        place.instrument,
        price_ticks,
        lots,
        state.book_owner(place.subaccount),
        state.cell(place.subaccount, place.instrument),
    )
    return command + EXTENSION.pack(place.display_lots, guard, 0, 0, 0) if is_extended else command


def tell_time(state: State) -> None:
    """What the book answers about guarded orders depends on the time of its last command: make that this one's."""
    state.book.submit(b"", state.timestamp_ns)
