"""exchange.journal.reader and walk: each row of the recovery table, epochs, reading from a sequence."""

import re

import pytest

from exchange.journal.errors import JournalCorrupt, JournalGap
from exchange.journal.group import LAST_OF_WRITE, Placement, crc32c, pack_group
from exchange.journal.reader import raise_epoch, read_epoch, read_groups, recover
from exchange.journal.segment import list_segments
from tests.simulation.sim_disk import Keep, SimDisk
from tests.unit.exchange.journal.building import make_group, new_journal, open_writer, write_commits

FIRST = "journal/00000001.seg"


def overwrite(disk, path, offset, data):
    """Put bytes on the platter."""
    file = disk.open(path)
    file.pwrite(data, offset)
    file.fdatasync()


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (0, "segment header crc differs"),
        (4096 + 20, "header crc differs"),
        (4096 + 64 + 5, "body crc differs"),
        (4096 + 128 + 7, "padding behind a whole group is not zero"),
        (8192, "no group magic"),
    ],
)
def test_damage_that_a_later_group_proves_is_refused(offset, reason):
    """A flipped bit in acknowledged data stops the start with file, offset and the fix; nothing is changed."""
    disk, _ = new_journal([[1], [1], [1]])
    disk.flip_bit(FIRST, offset * 8)
    before = disk.bytes_of(FIRST)
    for read in (lambda: recover(disk), lambda: list(read_groups(disk))):
        with pytest.raises(JournalCorrupt, match=reason) as caught:
            read()
        assert caught.value.file == FIRST
        assert caught.value.offset in (offset // 4096 * 4096, 4096 + 128)
        assert str(caught.value).endswith("run `offbook journal repair`")
        assert "\n" not in str(caught.value)
    assert disk.bytes_of(FIRST) == before


def test_a_lost_block_between_acknowledged_blocks_is_refused():
    """Zeros are a normal end only when nothing follows them."""
    disk, _ = new_journal([[1], [1], [1]])
    overwrite(disk, FIRST, 8192, bytes(4096))
    with pytest.raises(JournalCorrupt, match="offset 8192: sequences 2"):
        recover(disk)


def test_a_clean_shutdown_mark_proves_the_last_write():
    """After an orderly stop damage to the last commands is never taken for a tear."""
    disk, writer = new_journal([[1], [2]])
    writer.close()
    disk.flip_bit(FIRST, (8192 + 64) * 8)
    with pytest.raises(JournalCorrupt, match=r"sequences 2\.\.3"):
        recover(disk)


def test_damage_to_the_shutdown_mark_itself_loses_no_later_group():
    """A mark has no sequences of its own; the group behind it proves it."""
    disk, writer = new_journal([[1]])
    writer.close()
    write_commits(open_writer(disk), [[1]])
    disk.flip_bit(FIRST, (8192 + 3) * 8)
    with pytest.raises(JournalCorrupt, match="offset 8192"):
        recover(disk)


@pytest.mark.parametrize("offset", [8192 + 3, 8192 + 70])
def test_a_consumer_cursor_proves_the_last_write(offset):
    """Damage to the very last write looks like a tear; a cursor beyond it tells the truth."""
    disk, _ = new_journal([[1], [1]])
    disk.flip_bit(FIRST, offset * 8)
    with pytest.raises(JournalCorrupt, match="cursor history stands at sequence 2"):
        recover(disk, cursors={"outbox": 1, "history": 2})
    assert recover(disk, cursors={"history": 1}).last_sequence == 1


def test_a_snapshot_ahead_of_the_journal_is_refused():
    """A journal that ends before its snapshot has lost acknowledged data, even when its files look whole."""
    disk, _ = new_journal([[3]])
    with pytest.raises(JournalCorrupt, match="cursor snapshot stands at sequence 4"):
        recover(disk, from_sequence=5)
    with pytest.raises(JournalCorrupt, match="cursor snapshot"):
        recover(SimDisk(), from_sequence=5)


def test_a_missing_segment_is_refused():
    """A hole between two segment files is damage."""
    disk, _ = new_journal([[900], [900], [900], [1]])
    disk.unlink("journal/00000002.seg")
    with pytest.raises(JournalCorrupt, match=r"00000002\.seg: offset 0: sequences 901.*missing"):
        recover(disk)


def test_a_swapped_previous_segment_is_refused():
    """The next segment's SHA-256 covers every byte of the one before."""
    disk, _ = new_journal([[900], [900]])
    other, _ = new_journal([[900], [900]], attachments=b"x")
    overwrite(disk, FIRST, 0, other.bytes_of(FIRST))
    with pytest.raises(JournalCorrupt, match=r"00000002\.seg: offset 0"):
        recover(disk)


def test_sequences_that_were_released_are_a_gap():
    """Reading below the oldest segment names what is there."""
    disk, writer = new_journal([[900], [900], [900]])
    writer.release(1801)
    with pytest.raises(JournalGap, match="starts at sequence 1801"):
        list(read_groups(disk, from_sequence=901))


@pytest.mark.parametrize("offset", [8192 + 3, 8192 + 70])
def test_a_torn_tail_is_cut_and_reported(offset):
    """The last write, damaged and proved by nothing, is cut; file, offset and sequence are named."""
    disk, _ = new_journal([[1], [1]])
    disk.flip_bit(FIRST, offset * 8)
    recovery = recover(disk)
    assert recovery.last_sequence == 1
    assert (recovery.torn.file, recovery.torn.offset, recovery.torn.first_sequence) == (FIRST, 8192, 2)
    assert re.fullmatch(
        r"journal/\S+: offset 8192: torn tail of \d+ bytes cut .* never acknowledged", str(recovery.torn)
    )
    assert not any(disk.bytes_of(FIRST)[8192:])
    assert recover(disk.image(1, Keep.NOTHING)).torn is None
    assert write_commits(open_writer(disk), [[1]]) == 2


def test_a_cut_inside_a_write_keeps_its_first_groups():
    """Whole groups of a torn write stay; the journal goes on at the next block."""
    disk, _ = new_journal([[1], [1, 1, 1]])
    disk.flip_bit(FIRST, (8192 + 128 + 64 + 9) * 8)
    assert recover(disk).last_sequence == 2
    assert write_commits(open_writer(disk), [[1], [1]]) == 4
    assert [group.first_sequence for group in read_groups(disk)] == [1, 2, 3, 4]
    assert [group.epoch for group in read_groups(disk)] == [1, 1, 2, 2]


def test_a_stale_group_of_another_segment_is_not_taken():
    """A whole group that names another segment number is no group here, and no proof."""
    disk, _ = new_journal([[1]])
    group = make_group(2)
    previous = crc32c(next(iter(read_groups(disk))).body())
    place = Placement(flags=LAST_OF_WRITE, epoch=1, segment_number=9, synced_sequence=50, previous_crc=previous)
    overwrite(disk, FIRST, 8192, pack_group(group, place, group.body(), crc32c(group.body())))
    recovery = recover(disk)
    assert (recovery.last_sequence, recovery.torn.reason) == (1, "group names segment 9")


def test_an_empty_disk_is_a_new_journal():
    """Nothing there: sequence 0 and no position."""
    recovery = recover(SimDisk())
    assert (recovery.last_sequence, recovery.epoch, recovery.position, recovery.torn) == (0, 0, None, None)


def test_recovery_and_reading_start_in_the_segment_of_the_snapshot():
    """From a sequence on, older segments are not read and the groups that hold it come first."""
    disk, _ = new_journal([[900], [900], [900]])
    disk.flip_bit(FIRST, 9000 * 8)
    assert recover(disk, from_sequence=1801).last_sequence == 2700
    assert [group.first_sequence for group in read_groups(disk, from_sequence=950)] == [901, 1801]
    with pytest.raises(JournalCorrupt):
        recover(disk)


def test_segments_behind_the_end_are_removed():
    """A segment that was made ahead of use is made again, not trusted."""
    disk, writer = new_journal([[1]])
    writer.prepare_next()
    assert list_segments(disk, "journal") == [1, 2]
    assert recover(disk).torn is None
    assert list_segments(disk, "journal") == [1]


def test_a_damaged_epoch_file_is_refused():
    """A flipped bit in EPOCH is named, never read as another epoch."""
    disk = SimDisk()
    raise_epoch(disk)
    disk.flip_bit("journal/EPOCH", 0)
    with pytest.raises(JournalCorrupt, match="EPOCH"):
        read_epoch(disk)


def test_epochs_rise_and_survive():
    """Each start has a higher epoch than the file and the journal; it is durable when given out."""
    disk = SimDisk()
    assert read_epoch(disk) == 0
    assert [raise_epoch(disk), raise_epoch(disk), raise_epoch(disk, at_least=9)] == [1, 2, 10]
    disk.crash(Keep.NOTHING)
    assert read_epoch(disk) == 10
