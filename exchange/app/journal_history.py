"""A journal replayed through the engine, command by command: what reports and checks believe instead of a process."""

from collections.abc import Iterator

from exchange.app.failures import Failure
from exchange.domain.commands import Command
from exchange.domain.packing import CommandEvents, unpack_commands
from exchange.engine.apply import apply
from exchange.engine.state import State
from exchange.journal.disk import Disk
from exchange.journal.errors import JournalError
from exchange.journal.reader import read_groups

__all__ = ["replayed"]


def replayed(disk: Disk, state: State) -> Iterator[tuple[Command, CommandEvents]]:
    """Carry `state` on to the journal's end: each command with its events, `state` being the one right after it.

    Raises Failure for a journal that no longer has the command behind `state`, or that cannot be read.
    """
    try:
        for group in read_groups(disk, from_sequence=state.sequence + 1):
            if group.first_sequence > state.sequence + 1:
                raise Failure(
                    f"the journal begins at {group.first_sequence}; sequence {state.sequence + 1} was released"
                )
            for command in unpack_commands(group.records, group.attachments):
                if state.sequence < group.last_sequence:
                    events = apply(state, command, group.timestamp_ns)
                    yield command, CommandEvents(state.sequence, group.timestamp_ns, events)
    except JournalError as error:
        raise Failure(str(error)) from error
