"""exchange.journal.disk: the real disk behaves as the journal asks; the same journal code runs on it."""

import errno
import os

import pytest

from exchange.journal.disk import RealDisk, read_whole, write_durably, write_zeros
from exchange.journal.reader import read_groups, recover
from tests.unit.exchange.journal.building import open_writer, write_commits


def test_a_short_write_is_an_error(tmp_path, monkeypatch):
    """The operating system's partial success is EIO here."""
    file = RealDisk(tmp_path).open("a", create=True)
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: len(data) - 1)
    with pytest.raises(OSError, match="short write: 3 of 4 bytes at offset 7") as caught:
        file.pwrite(b"abcd", 7)
    assert caught.value.errno == errno.EIO


def test_an_absent_file_is_an_error_and_an_absent_folder_is_empty(tmp_path):
    """Opening needs `create`; listing does not."""
    disk = RealDisk(tmp_path)
    with pytest.raises(FileNotFoundError):
        disk.open("none")
    assert disk.listdir("none") == []


def test_files_and_names(tmp_path):
    """Write, read, cut, rename, remove; files are private to their owner."""
    disk = RealDisk(tmp_path)
    disk.mkdir("a/b")
    write_durably(disk, "a/b", "x", b"hello")
    assert (read_whole(disk, "a/b/x"), disk.size("a/b/x"), disk.listdir("a/b")) == (b"hello", 5, ["x"])
    assert (tmp_path / "a/b/x").stat().st_mode & 0o777 == 0o600
    file = disk.open("a/b/x")
    file.truncate(2)
    write_zeros(file, 2, 3_000_000)
    file.fdatasync()
    assert file.pread(9_000_000, 0) == b"he" + bytes(2_999_998)
    file.close()
    file.close()
    disk.rename("a/b/x", "a/b/y")
    disk.fsync_directory("a/b")
    assert (disk.exists("a/b/x"), disk.exists("a/b/y")) == (False, True)
    disk.unlink("a/b/y")
    assert disk.listdir("a/b") == []


def test_a_journal_on_real_files(tmp_path):
    """Write over several segments, stop, find everything again."""
    disk = RealDisk(tmp_path)
    writer = open_writer(disk)
    write_commits(writer, [[1, 2], [900], [900]])
    writer.close()
    recovery = recover(disk)
    assert (recovery.last_sequence, recovery.clean_shutdown) == (1803, True)
    assert [group.command_count for group in read_groups(disk)] == [1, 2, 900, 900]
