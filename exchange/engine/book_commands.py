"""Orders in the core's language: NEW with its extension where an order has options beyond the 32 bytes."""

from exchange.domain.commands import Place
from exchange.engine.flags import core_flags
from exchange.engine.state import State
from matching_core.fills import COMMAND, EXTENSION, FLAG_EXTENDED, CoreCommand

__all__ = ["new_order"]

_NEW = int(CoreCommand.NEW)


def new_order(state: State, place: Place, price_ticks: int, lots: int) -> bytes:
    """NEW of `lots` at a price, with all else as in `place`; an iceberg's slice follows in an extension."""
    flags = core_flags(place, state.accounts[place.subaccount])
    command = COMMAND.pack(
        _NEW,
        place.side,
        flags | FLAG_EXTENDED if place.display_lots else flags,
        place.instrument,
        price_ticks,
        lots,
        state.book_owner(place.subaccount),
        state.cell(place.subaccount, place.instrument),
    )
    return command + EXTENSION.pack(place.display_lots, 0, 0, 0, 0) if place.display_lots else command
