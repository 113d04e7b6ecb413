"""The journal: every command on disk before anyone hears of its effect, and found again after any crash."""

from exchange.journal.commit_thread import CommitThread
from exchange.journal.disk import Disk, File, RealDisk
from exchange.journal.errors import JournalCorrupt, JournalError, JournalFailed, JournalFull, JournalGap
from exchange.journal.group import Group
from exchange.journal.reader import Recovery, TornTail, raise_epoch, read_epoch, read_groups, recover
from exchange.journal.writer import JournalWriter

__all__ = [
    "CommitThread",
    "Disk",
    "File",
    "Group",
    "JournalCorrupt",
    "JournalError",
    "JournalFailed",
    "JournalFull",
    "JournalGap",
    "JournalWriter",
    "RealDisk",
    "Recovery",
    "TornTail",
    "raise_epoch",
    "read_epoch",
    "read_groups",
    "recover",
]
