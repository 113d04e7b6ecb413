"""Cutting packed batches into commands with the records that belong to them, and showing them."""

from collections.abc import Iterator

from matching_core.fills import COMMAND, COMMAND_BYTES, EXTENSION, FLAG_EXTENDED, QUOTE_LINE, CoreCode, CoreCommand

__all__ = ["CODE_NAMES", "KIND_NAMES", "commands_of", "describe"]


def _names_of(numbers: type) -> dict[int, str]:
    return {value: name for name, value in vars(numbers).items() if name.isupper()}


KIND_NAMES = _names_of(CoreCommand)
CODE_NAMES = _names_of(CoreCode)


def _size_at(batch: bytes, start: int) -> int:
    kind, _side, flags, _instrument, _price, quantity, _owner, _cell = COMMAND.unpack_from(batch, start)
    if kind == CoreCommand.NEW and flags & FLAG_EXTENDED:
        return COMMAND_BYTES + EXTENSION.size
    if kind == CoreCommand.MASS_QUOTE:
        return COMMAND_BYTES + quantity * QUOTE_LINE.size if quantity >= 0 else len(batch)
    return COMMAND_BYTES


def commands_of(batch: bytes) -> Iterator[bytes]:
    """Yield each command with the records that belong to it; what is no whole command comes last as it is."""
    start = 0
    while len(batch) - start >= COMMAND_BYTES:
        size = _size_at(batch, start)
        yield batch[start : start + size]
        start += size
    if start < len(batch):
        yield batch[start:]


def describe(command: bytes) -> str:
    """One line for people: the fields of a command and its further records in hexadecimal."""
    if len(command) < COMMAND_BYTES:
        return f"{len(command)} bytes {command.hex()}"
    kind, side, flags, instrument, price, quantity, owner, cell = COMMAND.unpack_from(command)
    name = KIND_NAMES.get(kind, f"kind {kind}")
    last = f"owner {owner} cell {cell}" if kind == CoreCommand.NEW else f"handle {owner | cell << 32:#x}"
    line = f"{name} side {side} flags {flags:#x} instrument {instrument} {quantity}@{price} {last}"
    more = command[COMMAND_BYTES:].hex()
    return f"{line} + {more}" if more else line
