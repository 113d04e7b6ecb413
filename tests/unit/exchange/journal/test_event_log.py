"""exchange.journal.event_log: appending, following, cutting, releasing, crashes."""

import pytest

from exchange.journal.disk import RealDisk
from exchange.journal.errors import JournalCorrupt, JournalGap
from exchange.journal.event_log import EventLog, EventLogReader
from tests.simulation.sim_disk import Keep, SimDisk

FILE_BYTES = 2000


def append(log, first, last=None, size_bytes=400):
    """Append the events of one group."""
    log.append(1, first, last or first, first * 1000, b"%08d" % first * (size_bytes // 8))


def filled(count=12, disk=None, **options):
    """Return a disk and a log of `count` one-command blobs over several files."""
    disk = disk or SimDisk()
    log = EventLog(disk, file_bytes=FILE_BYTES, **options)
    for sequence in range(log.last_sequence + 1, log.last_sequence + count + 1):
        append(log, sequence)
    return disk, log


def sequences(blobs):
    """Return the first sequences."""
    return [blob.first_sequence for blob in blobs]


def test_refuses_a_gap():
    """Events follow one another without a hole."""
    _, log = filled(3)
    with pytest.raises(ValueError, match="start at 5, expected 4"):
        append(log, 5)


def test_a_reader_below_the_oldest_file_has_a_gap():
    """Released events are named, not skipped."""
    disk, log = filled(budget_bytes=0)
    assert log.release(9) > 0
    with pytest.raises(JournalGap, match="were released: 1"):
        EventLogReader("events", 0, disk=disk).poll()


def test_damage_in_a_file_that_no_longer_grows_is_refused():
    """A flipped bit in a sealed file stops the follower with file and offset."""
    disk, _ = filled()
    disk.flip_bit("events/0000000000000001.evt", 1000 * 8)
    reader = EventLogReader("events", 0, disk=disk)
    assert sequences(reader.poll()) == [1, 2]
    assert reader.poll() == []  # it may be growing: the file is read again from its start
    with pytest.raises(JournalCorrupt, match=r"0000000000000001\.evt"):
        reader.poll()
    assert reader.cursor == 2


def test_reads_across_files_from_any_sequence():
    """Reading gives every blob that holds the sequence or comes later."""
    disk, log = filled()
    assert len(disk.listdir("events")) >= 3
    for start in range(1, 13):
        assert sequences(log.read(start)) == list(range(start, 13))
    assert sequences(log.read(13)) == []


def test_a_blob_larger_than_a_poll_arrives(monkeypatch):
    """No size makes a follower stand still."""
    monkeypatch.setattr("exchange.journal.event_log.POLL_LIMIT_BYTES", 500)
    disk = SimDisk()
    log = EventLog(disk)
    append(log, 1, size_bytes=4000)
    append(log, 2, 9, size_bytes=16)
    assert sequences(log.read(1)) == [1, 2]
    assert sequences(EventLogReader("events", 1, disk=disk).poll()) == [2]


def test_a_follower_sees_each_blob_once_while_the_log_grows(tmp_path):
    """Polling between appends, over file changes, on real files, gives everything once and in order."""
    log = EventLog(RealDisk(tmp_path), file_bytes=FILE_BYTES)
    reader = EventLogReader(tmp_path / "events")
    assert reader.poll() == []
    seen = []
    for sequence in range(1, 21):
        append(log, sequence)
        if sequence % 3:
            seen += sequences(reader.poll())
    while blobs := reader.poll():
        seen += sequences(blobs)
    assert seen == list(range(1, 21))
    assert reader.poll() == []


def test_a_half_written_blob_is_not_given():
    """A follower waits for the rest of a blob."""
    disk, _ = filled(2)
    whole = disk.bytes_of("events/0000000000000001.evt")
    for cut in range(len(whole) // 2, len(whole)):
        other = SimDisk()
        other.open("events/0000000000000001.evt", create=True).pwrite(whole[:cut], 0)
        assert sequences(EventLogReader("events", 0, disk=other).poll()) == [1]


@pytest.mark.parametrize("limit", range(13))
def test_cut_after_drops_what_reaches_beyond(limit):
    """After a cut the log ends at the limit, also across files, and goes on from there."""
    disk, log = filled()
    assert log.cut_after(limit) == limit
    append(log, limit + 1)
    assert sequences(EventLog(disk).read(1)) == list(range(1, limit + 2))


def test_a_cut_drops_a_blob_that_straddles_the_limit():
    """Replay starts again from the straddling blob's first sequence."""
    log = EventLog(SimDisk())
    append(log, 1, 4)
    append(log, 5, 9)
    assert log.cut_after(7) == 4


def test_a_follower_survives_a_cut_and_new_growth():
    """A follower that stood behind the cut gets each sequence once more at most, and never an unread hole."""
    disk, log = filled(4)
    reader = EventLogReader("events", 0, disk=disk)
    assert sequences(reader.poll()) == [1, 2, 3, 4]
    log.cut_after(2)
    for sequence in range(3, 8):
        append(log, sequence, size_bytes=160)
    seen = sequences(reader.poll()) + sequences(reader.poll()) + sequences(reader.poll())
    assert seen == [5, 6, 7]


@pytest.mark.parametrize("keep", list(Keep))
def test_a_crash_leaves_a_prefix_that_opening_cuts(keep):
    """Whatever sectors survive, opening finds whole blobs in order, and the log goes on."""
    for seed in range(40):
        disk, _ = filled()
        disk = disk.image(seed, keep)
        log = EventLog(disk, file_bytes=FILE_BYTES)
        last = log.last_sequence
        assert sequences(log.read(1)) == list(range(1, last + 1))
        assert keep is not Keep.EVERYTHING or last == 12
        assert last >= 8
        filled(5, disk)
        assert sequences(EventLog(disk).read(1)) == list(range(1, last + 6))


def test_release_keeps_for_resume_within_the_budget():
    """A released file goes when it is old or the budget is exceeded, never before its consumers passed."""
    _, log = filled()
    assert log.release(12) == 0
    _, log = filled(budget_bytes=3000)
    assert log.over_budget
    assert log.release(1) == 0
    assert log.release(12) == 2
    assert log.first_sequence == 9
    _, log = filled(retention_ns=5000)
    assert log.release(12) == 1


def test_an_old_seal_gives_the_age_after_a_restart():
    """The age of a file sealed by an earlier process is read from its seal."""
    disk, log = filled()
    log.close()
    assert EventLog(disk, file_bytes=FILE_BYTES, retention_ns=5000).release(12) == 1
