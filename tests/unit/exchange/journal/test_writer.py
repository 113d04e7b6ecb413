"""exchange.journal.writer: staging, group commit, rotation, bounds, failures."""

import pytest

from exchange.journal import writer as writer_module
from exchange.journal.errors import JournalError, JournalFailed, JournalFull
from exchange.journal.group import Group
from exchange.journal.reader import read_groups, recover
from exchange.journal.segment import list_segments
from exchange.journal.writer import JournalWriter
from tests.simulation.sim_disk import SimDisk
from tests.unit.exchange.journal.building import SEGMENT_BYTES, make_group, new_journal, open_writer, write_commits


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (make_group(2), "starts at 2, expected 1"),
        (Group(first_sequence=1, command_count=2, timestamp_ns=1, records=bytes(64)), "64 bytes of records"),
        (Group(first_sequence=1, command_count=0, timestamp_ns=1, records=b""), "an empty group"),
        (make_group(1, timestamp_ns=-1), "goes back"),
        (make_group(1, 1024), "does not fit a segment"),
    ],
)
def test_refuses_a_group_that_does_not_continue(group, message):
    """A group out of sequence, out of time, out of shape or too large is refused before it is staged."""
    _, writer = new_journal()
    with pytest.raises(ValueError, match=message):
        writer.stage(group)
    assert writer.staged_commands == 0


@pytest.mark.parametrize("segment_bytes", [4096, 10_000])
def test_refuses_odd_segment_sizes(segment_bytes):
    """A segment has whole blocks and room for one beside its header."""
    with pytest.raises(ValueError, match="multiple of 4096"):
        JournalWriter(SimDisk(), epoch=1, segment_bytes=segment_bytes)


def test_refuses_to_start_over_an_existing_journal():
    """A fresh journal is never made where segments exist."""
    disk, _ = new_journal([[1]])
    with pytest.raises(JournalError, match="recover before writing"):
        JournalWriter(disk, epoch=2, segment_bytes=SEGMENT_BYTES)


def test_is_busy_at_the_bound_and_full_at_twice_the_bound(monkeypatch):
    """Beyond the bound the writer says busy, at twice the bound it takes nothing; a commit frees it."""
    monkeypatch.setattr(writer_module, "STAGED_LIMIT_COMMANDS", 4)
    _, writer = new_journal()
    for sequence in range(1, 9):
        assert writer.busy == (sequence > 4)
        writer.stage(make_group(sequence))
    with pytest.raises(JournalFull):
        writer.stage(make_group(9))
    assert writer.commit_staged() == 8
    assert not writer.busy
    writer.stage(make_group(9))


def test_takes_all_staged_groups_in_one_write_and_one_sync():
    """Three groups staged are one pwrite and one fdatasync on a block boundary."""
    disk, writer = new_journal()
    before = disk.counts["pwrite"], disk.counts["fdatasync"]
    assert write_commits(writer, [[1, 2, 3]]) == 6
    assert (disk.counts["pwrite"], disk.counts["fdatasync"]) == (before[0] + 1, before[1] + 1)


def test_commits_nothing_without_a_write():
    """An empty commit touches nothing."""
    disk, writer = new_journal([[1]])
    before = disk.operation_count
    assert writer.commit_staged() == 1
    assert disk.operation_count == before


def test_rotates_and_chains_across_segments():
    """Groups flow over into further segments and come back in order."""
    disk, writer = new_journal([[100, 100], [300], [400, 500, 1], [900]])
    assert len(list_segments(disk, "journal")) >= 3
    groups = list(read_groups(disk))
    assert [group.command_count for group in groups] == [100, 100, 300, 400, 500, 1, 900]
    assert groups[-1].last_sequence == writer.last_committed == 2301


def test_releases_and_recycles_old_segments():
    """Released segments leave the journal; one file is kept and becomes a later segment without stale groups."""
    disk, writer = new_journal([[900]] * 5)
    assert writer.release(1) == 0
    assert writer.release(2701) == 3
    assert list_segments(disk, "journal") == [4, 5]
    assert disk.listdir("journal") == ["00000001.seg.old", "00000004.seg", "00000005.seg", "EPOCH"]
    write_commits(writer, [[1], [900]])
    assert "00000001.seg.old" not in disk.listdir("journal")
    write_commits(writer, [[2]])
    assert [group.command_count for group in read_groups(disk, from_sequence=2701)] == [900, 900, 1, 900, 2]


def test_a_full_disk_makes_cancel_only_and_resumes():
    """Without room for the next segment nothing staged is lost, and the next try after space returns commits it."""
    disk, writer = new_journal([[100]])
    disk.capacity_bytes = SEGMENT_BYTES + 8192
    assert not writer.prepare_next()
    assert not writer.cancel_only
    assert write_commits(writer, [[600]]) == 700
    assert writer.cancel_only
    assert write_commits(writer, [[300, 200]]) == 700
    assert writer.staged_commands == 500
    disk.capacity_bytes = None
    assert writer.prepare_next()
    assert not writer.cancel_only
    assert writer.commit_staged() == 1200
    assert recover(disk).last_sequence == 1200


@pytest.mark.parametrize("operation", ["fdatasync", "pwrite"])
def test_a_failed_write_or_sync_ends_the_writer(operation):
    """Nothing is released, the journal is marked suspect, and no later call carries on."""
    disk, writer = new_journal([[3]])
    disk.fail(operation)
    with pytest.raises(JournalFailed, match="offset 8192"):
        write_commits(writer, [[5]])
    assert writer.last_committed == 3
    assert disk.exists("journal/SUSPECT")
    synced = disk.counts["fdatasync"]
    for call in (writer.commit_staged, lambda: writer.stage(make_group(9))):
        with pytest.raises(JournalFailed):
            call()
    writer.close()
    assert disk.counts["fdatasync"] == synced


def test_close_writes_the_clean_shutdown_mark():
    """A clean stop is recognised, and the journal goes on behind the mark."""
    disk, writer = new_journal([[3]])
    writer.stage(make_group(4))
    writer.close()
    recovery = recover(disk)
    assert (recovery.clean_shutdown, recovery.last_sequence, recovery.torn) == (True, 4, None)
    assert write_commits(open_writer(disk), [[1]]) == 5
    assert not recover(disk).clean_shutdown
