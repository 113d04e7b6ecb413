"""What can go wrong with a journal, and whose move it is then.

JournalError
|- JournalFull     staged work reached its hard bound: shed load, then stage again
|- JournalFailed   a write or sync failed: the process must end, memory is ahead of the disk
|- JournalGap      sequences asked for were released: start from a snapshot or another copy
`- JournalCorrupt  acknowledged data is damaged: refuse to start; repair or restore
"""

__all__ = ["JournalCorrupt", "JournalError", "JournalFailed", "JournalFull", "JournalGap"]

REPAIR_HINT = "fix: restore a copy, or run `offbook journal repair`"


class JournalError(Exception):
    """Base of all journal errors."""


class JournalFull(JournalError):
    """The hard bound of staged, uncommitted work is reached; nothing was staged."""


class JournalFailed(JournalError):
    """A write or sync failed earlier; nothing after it may be released."""


class JournalGap(JournalError):
    """The sequences asked for are older than the oldest segment or event file."""


class JournalCorrupt(JournalError):
    """Acknowledged data is damaged or missing.

    `file` is the path on the journal's disk, `offset` in bytes, `sequences` the first and, where known, the last
    damaged sequence.
    """

    def __init__(self, file: str, offset: int, sequences: tuple[int, int | None], reason: str) -> None:
        self.file = file
        self.offset = offset
        self.sequences = sequences
        self.reason = reason
        last = "" if sequences[1] is None else str(sequences[1])
        super().__init__(f"{file}: offset {offset}: sequences {sequences[0]}..{last}: {reason}; {REPAIR_HINT}")
