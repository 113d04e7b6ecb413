"""Power loss at every operation of a journal's life: nothing acknowledged is lost, and the journal goes on (R2)."""

import random
from collections import Counter

import pytest

from exchange.journal.errors import JournalFailed
from exchange.journal.reader import read_groups, recover
from tests.simulation.sim_disk import Keep, SimCrashError, SimDisk
from tests.unit.exchange.journal.building import SEGMENT_BYTES, make_group, open_writer, write_commits

# Small and large commits, groups that fill a block exactly, and enough to use four segments.
COMMITS = [[1], [3, 1, 2], [63], [62, 63, 1], [400], [200, 300, 200], [1], [500, 1], [1, 1], [700], [5]]
IMAGES_PER_CRASH = 16


class Life:
    """A scripted life of a journal: what was staged and what was acknowledged."""

    def __init__(self, disk):
        self.disk = disk
        self.acknowledged = 0

    def run(self):
        """Write all commits, release once, restart once cleanly."""
        writer = open_writer(self.disk, segment_bytes=SEGMENT_BYTES)
        for index, counts in enumerate(COMMITS):
            for count in counts:
                writer.stage(make_group(writer.next_sequence, count, attachments=b"signature" * 9))
            self.acknowledged = writer.commit_staged()
            if index % 3 == 1:
                writer.prepare_next()
            if index == 6:
                writer.close()
                writer = open_writer(self.disk, segment_bytes=SEGMENT_BYTES)
        writer.close()


def count_operations():
    """How many mutations the life makes."""
    life = Life(SimDisk())
    life.run()
    return life.disk.operation_count


def crashed_life(crash_at):
    """Live until operation `crash_at`, where the power goes."""
    life = Life(SimDisk(crash_at))
    life.disk.crash_at = crash_at
    with pytest.raises(SimCrashError):
        life.run()
    return life


def check_image(disk, acknowledged):
    """Recover one image, compare every kept group, and write on."""
    recovery = recover(disk)
    assert recovery.last_sequence >= acknowledged
    groups = list(read_groups(disk))
    check_groups(groups, recovery.last_sequence)
    writer = open_writer(disk)
    assert write_commits(writer, [[2, 700]]) == recovery.last_sequence + 702
    after = disk.image(1, Keep.NOTHING)
    assert recover(after).last_sequence == recovery.last_sequence + 702
    assert list(read_groups(after))[: len(groups)] == groups
    return "torn" if recovery.torn else "clean"


def check_groups(groups, last_sequence):
    """Check that the groups are exactly those that were staged, without a gap."""
    following = 1
    for group in groups:
        expected = make_group(following, group.command_count)
        assert (group.first_sequence, group.records) == (following, expected.records)
        assert group.timestamp_ns == expected.timestamp_ns
        following = group.last_sequence + 1
    assert following == last_sequence + 1


def test_a_crash_at_every_operation_loses_nothing_acknowledged():
    """At each write, sync, rename and creation the power goes, with many subsets of the unsynced sectors kept."""
    outcomes = Counter()
    for crash_at in range(count_operations()):
        life = crashed_life(crash_at)
        for seed in range(IMAGES_PER_CRASH):
            keep = [Keep.NOTHING, Keep.EVERYTHING][seed] if seed < 2 else Keep.RANDOM
            outcomes[check_image(life.disk.image(seed, keep), life.acknowledged)] += 1
    assert outcomes["torn"] > 100
    assert outcomes["clean"] > 100


@pytest.mark.parametrize("counts", [[1], [3, 1, 2], [60, 70]])
def test_the_last_write_cut_at_every_byte(counts):
    """Whatever byte the last write ends at, the groups before it stay and only whole groups of it are kept."""
    disk = SimDisk()
    writer = open_writer(disk, segment_bytes=28 << 10)
    write_commits(writer, [[5], [1, 1]])
    disk.crash_at = disk.operation_count + 1
    with pytest.raises(SimCrashError):
        write_commits(writer, [counts])
    kept = 7
    for cut_bytes in range(disk.last_write_bytes() + 1):
        image = disk.image(0, Keep.EVERYTHING, cut_bytes=cut_bytes)
        recovery = recover(image)
        assert recovery.last_sequence >= kept
        kept = recovery.last_sequence
        check_groups(list(read_groups(image)), kept)
        assert recovery.torn is None or kept < 7 + sum(counts)
    assert kept == 7 + sum(counts)


def test_repeated_crashes_and_restarts_in_one_journal():
    """Three hundred lives on one disk, each ended by a power loss at a random operation."""
    chance = random.Random(11)
    disk, acknowledged, released = SimDisk(11), 0, 1
    for _ in range(300):
        disk.crash_at = disk.operation_count + chance.randint(0, 12)
        try:
            writer = open_writer(disk)
            while True:
                acknowledged = max(acknowledged, writer.last_committed)
                acknowledged = write_commits(writer, [[chance.randint(1, 90) for _ in range(chance.randint(1, 4))]])
                if chance.random() < 0.1:
                    released = max(released, acknowledged - 500)
                    writer.release(released)
        except SimCrashError:
            disk.crash()
        # An image of its own: looking must not repair the disk under test.
        look = disk.image(1, Keep.NOTHING)
        recovery = recover(look, from_sequence=released)
        assert recovery.last_sequence >= acknowledged
        for group in read_groups(look, from_sequence=released):
            assert group.records == make_group(group.first_sequence, group.command_count).records


@pytest.mark.parametrize("forever", [False, True])
def test_eio_at_every_sync_releases_nothing_and_recovers(forever):
    """A sync that fails ends the writer; the next start finds all that was acknowledged and makes the rest durable."""
    syncs = Life(SimDisk())
    syncs.run()
    for at in range(syncs.disk.counts["fdatasync"]):
        life = Life(SimDisk(at))
        life.disk.fail("fdatasync", at=at, forever=forever)
        with pytest.raises((JournalFailed, OSError)):
            life.run()
        life.disk.heal()
        recovery = recover(life.disk)
        assert recovery.last_sequence >= life.acknowledged
        # The process died, not the machine: what recovery kept must now survive a power loss too.
        image = life.disk.image(at, Keep.NOTHING)
        assert recover(image).last_sequence == recovery.last_sequence
        check_groups(list(read_groups(image)), recovery.last_sequence)


def test_enospc_at_every_size_loses_nothing_acknowledged():
    """Whatever the disk's size, acknowledged groups stay, the writer turns cancel-only, and space resumes it."""
    for capacity_bytes in range(SEGMENT_BYTES + 8192, 5 * SEGMENT_BYTES, 24 << 10):
        disk = SimDisk()
        disk.capacity_bytes = capacity_bytes
        writer = open_writer(disk)
        last = write_commits(writer, [[300], [300], [300], [300], [300]])
        assert writer.cancel_only == (last < 1500)
        assert recover(disk.image(1, Keep.NOTHING)).last_sequence == last
        disk.capacity_bytes = None
        assert writer.commit_staged() == 1500
        assert not writer.cancel_only


def test_short_writes_are_failures():
    """A write that stops half way ends the writer like a failed sync, at each write of a life."""
    life = Life(SimDisk())
    life.run()
    for at in range(0, life.disk.counts["pwrite"], 3):
        short = Life(SimDisk(at))
        short.disk.fail("pwrite", at=at)
        with pytest.raises((JournalFailed, OSError)):
            short.run()
        short.disk.heal()
        assert recover(short.disk).last_sequence >= short.acknowledged
