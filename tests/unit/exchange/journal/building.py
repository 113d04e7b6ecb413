"""Groups and journals that the journal tests share."""

from collections.abc import Iterable

from exchange.journal.group import Group
from exchange.journal.reader import raise_epoch, recover
from exchange.journal.writer import JournalWriter
from tests.simulation.sim_disk import SimDisk

SEGMENT_BYTES = 64 << 10


def make_group(first_sequence, command_count=1, *, attachments=b"", timestamp_ns=None):
    """Return a group whose every record names its sequence."""
    records = b"".join(
        b"\x01" + (first_sequence + i).to_bytes(8, "little") + bytes([i & 255] * 55) for i in range(command_count)
    )
    return Group(
        first_sequence=first_sequence,
        command_count=command_count,
        timestamp_ns=first_sequence * 1000 if timestamp_ns is None else timestamp_ns,
        records=records,
        attachments=attachments,
        output_crc=first_sequence * 7 & 0xFFFFFFFF,
    )


def open_writer(disk, *, segment_bytes=SEGMENT_BYTES, cursors=None):
    """Recover what is there and continue it in a new epoch."""
    recovery = recover(disk, cursors=cursors or {})
    epoch = raise_epoch(disk, at_least=recovery.epoch)
    return JournalWriter.resume(disk, recovery, epoch=epoch, segment_bytes=segment_bytes)


def write_commits(writer, commits: Iterable[Iterable[int]], attachments=b""):
    """Stage the groups of each commit (given by their command counts), commit, and return the last sequence."""
    last = writer.last_committed
    for counts in commits:
        for count in counts:
            writer.stage(make_group(writer.next_sequence, count, attachments=attachments))
        last = writer.commit_staged()
    return last


def new_journal(commits=(), *, segment_bytes=SEGMENT_BYTES, attachments=b""):
    """Return a simulated disk with a journal of these commits, and its writer."""
    disk = SimDisk()
    writer = open_writer(disk, segment_bytes=segment_bytes)
    write_commits(writer, commits, attachments)
    return disk, writer
