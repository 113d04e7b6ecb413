"""exchange.journal.snapshot: whole or not at all, newest first, three kept."""

import pytest

from exchange.journal.snapshot import Snapshot, load_newest, write_snapshot
from tests.simulation.sim_disk import Keep, SimCrashError, SimDisk


def make_snapshot(sequence):
    """Return a snapshot whose sections name its sequence."""
    return Snapshot(
        sequence=sequence, epoch=2, timestamp_ns=sequence * 10, state_hash=b"s" * 32, config_hash=b"c" * 32,
        sections={"orders": b"orders %d" % sequence, "accounts": b"", "clock": b"t"},
    )  # fmt: skip


def test_every_flipped_bit_is_reported_and_the_older_one_used():
    """A damaged snapshot is never loaded; one line names file and offset."""
    disk = SimDisk()
    write_snapshot(disk, make_snapshot(5))
    path = write_snapshot(disk, make_snapshot(9))
    for bit in range(8 * disk.size(path)):
        disk.flip_bit(path, bit)
        damages = []
        assert load_newest(disk, on_damage=damages.append) == make_snapshot(5)
        assert len(damages) == 1
        assert damages[0].startswith(f"{path}: offset ")
        disk.flip_bit(path, bit)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b""])
def test_a_snapshot_of_another_length_is_refused(change):
    """Bytes missing or added are damage."""
    disk = SimDisk()
    path = write_snapshot(disk, make_snapshot(5))
    data = change(disk.bytes_of(path))
    file = disk.open(path)
    file.truncate(0)
    file.pwrite(data, 0)
    assert load_newest(disk) is None


def test_round_trip_newest_first_and_three_kept():
    """Sections come back; the newest wins, also below a bound; older ones go."""
    disk = SimDisk()
    assert load_newest(disk) is None
    for sequence in (1, 20, 300, 4000):
        write_snapshot(disk, make_snapshot(sequence))
    assert load_newest(disk) == make_snapshot(4000)
    assert load_newest(disk, at_most=3999) == make_snapshot(300)
    assert len(disk.listdir("snapshots")) == 3


def test_a_crash_at_each_step_leaves_the_old_or_the_new():
    """Whenever the power goes, a whole snapshot is found."""
    for steps in range(7):
        disk = SimDisk(steps)
        write_snapshot(disk, make_snapshot(5))
        disk.crash_at = disk.operation_count + steps
        finished = False
        try:
            write_snapshot(disk, make_snapshot(9))
            finished = True
        except SimCrashError:
            pass
        for seed in range(30):
            found = load_newest(disk.image(seed, Keep.RANDOM))
            assert found in ([make_snapshot(9)] if finished else [make_snapshot(5), make_snapshot(9)])
