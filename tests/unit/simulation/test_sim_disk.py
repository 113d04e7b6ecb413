"""tests.simulation.sim_disk: it loses exactly what was not synced, and fails exactly where told."""

import errno

import pytest

from tests.simulation.sim_disk import Keep, SimCrashError, SimDisk


def synced_file(disk, data=b"old" * 400):
    """Return a durable file."""
    file = disk.open("d/f", create=True)
    file.pwrite(data, 0)
    file.fdatasync()
    disk.fsync_directory("d")
    return file


def test_faults_hit_the_named_operation():
    """A fault waits for its index, hits once or for ever, and can be healed."""
    disk = SimDisk()
    file = synced_file(disk)
    disk.fail("fdatasync", at=1)
    file.fdatasync()
    with pytest.raises(OSError, match="injected") as caught:
        file.fdatasync()
    assert caught.value.errno == errno.EIO
    file.fdatasync()
    disk.fail("pwrite", error=errno.ENOSPC, forever=True)
    for _ in range(3):
        with pytest.raises(OSError, match="injected"):
            file.pwrite(b"x", 0)
    disk.heal()
    file.pwrite(b"x", 0)


def test_a_failed_sync_is_not_made_good_by_the_next():
    """After EIO the data is readable, the next sync succeeds, and a crash loses it all the same."""
    disk = SimDisk()
    file = synced_file(disk)
    file.pwrite(b"new", 0)
    disk.fail("fdatasync")
    with pytest.raises(OSError, match="injected"):
        file.fdatasync()
    file.fdatasync()
    assert disk.bytes_of("d/f")[:3] == b"new"
    assert disk.image(1, Keep.NOTHING).bytes_of("d/f")[:3] == b"old"


def test_the_disk_fills_up():
    """Growth beyond the capacity is ENOSPC; overwriting is not."""
    disk = SimDisk()
    file = synced_file(disk, bytes(1000))
    disk.capacity_bytes = 1000
    file.pwrite(b"x" * 1000, 0)
    with pytest.raises(OSError, match="full"):
        file.pwrite(b"x", 1000)
    with pytest.raises(OSError, match="full"):
        file.truncate(1001)


def test_power_goes_at_the_named_operation():
    """From the crash on every mutation fails, until `crash` brings the disk back with dead handles."""
    disk = SimDisk()
    file = synced_file(disk)
    disk.crash_at = disk.operation_count + 1
    file.pwrite(b"kept?", 0)
    for _ in range(2):
        with pytest.raises(SimCrashError):
            file.fdatasync()
    disk.crash(Keep.NOTHING)
    with pytest.raises(OSError, match="before a crash"):
        file.pread(1, 0)
    assert disk.open("d/f").pread(3, 0) == b"old"


def test_unsynced_sectors_live_or_die_one_by_one():
    """Over many seeds every subset of two sectors occurs, and a sector is never torn."""
    disk = SimDisk()
    file = synced_file(disk, b"o" * 1024)
    file.pwrite(b"n" * 1024, 0)
    seen = {disk.image(seed).bytes_of("d/f") for seed in range(60)}
    assert seen == {first * 512 + second * 512 for first in (b"o", b"n") for second in (b"o", b"n")}


def test_the_last_write_is_cut_at_a_byte():
    """Earlier writes stay, the last one ends where told."""
    disk = SimDisk()
    file = synced_file(disk, b"o" * 20)
    file.pwrite(b"a" * 5, 0)
    file.pwrite(b"b" * 10, 5)
    assert disk.last_write_bytes() == 10
    assert disk.image(0, Keep.EVERYTHING, cut_bytes=3).bytes_of("d/f") == b"a" * 5 + b"b" * 3 + b"o" * 12


def test_names_need_a_folder_sync():
    """Creations, renames and removals are lost without it, and kept in order with it."""
    disk = SimDisk()
    synced_file(disk)
    disk.rename("d/f", "d/g")
    disk.open("d/h", create=True)
    assert disk.listdir("d") == ["g", "h"]
    assert disk.image(0, Keep.NOTHING).listdir("d") == ["f"]
    assert {tuple(disk.image(seed).listdir("d")) for seed in range(40)} == {("f",), ("g",), ("g", "h")}
    disk.fsync_directory("d")
    disk.unlink("d/h")
    assert disk.image(0, Keep.NOTHING).listdir("d") == ["g", "h"]


def test_the_same_seed_gives_the_same_image():
    """An image is a function of the disk and the seed."""
    disk = SimDisk()
    file = synced_file(disk, bytes(8192))
    file.pwrite(b"n" * 8192, 0)
    assert disk.image(7).bytes_of("d/f") == disk.image(7).bytes_of("d/f")
    assert disk.image(7).bytes_of("d/f") != disk.image(8).bytes_of("d/f")
