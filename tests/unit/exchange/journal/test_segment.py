"""exchange.journal.segment: the header block, making and recycling files."""

import errno

import pytest

from exchange.journal.segment import (
    SegmentHeader,
    list_segments,
    make_segment,
    pack_segment_header,
    retire_segment,
    unpack_segment_header,
)
from tests.simulation.sim_disk import Keep, SimDisk

HEADER = SegmentHeader(
    number=7, epoch=2, first_sequence=99, previous_crc=5, config_hash=b"c" * 32, previous_sha256=b"p" * 32,
    instruments_hash=b"i" * 32,
)  # fmt: skip


def test_refuses_a_damaged_header():
    """Any flipped bit and a short block are named."""
    block = pack_segment_header(HEADER)
    assert unpack_segment_header(block[:-1]) == "segment header cut short"
    for byte in (0, 20, 130, 2000, 4095):
        flipped = bytearray(block)
        flipped[byte] ^= 1
        assert unpack_segment_header(bytes(flipped)) == "segment header crc differs"


def test_header_round_trip():
    """A header block is 4096 bytes and keeps its fields."""
    block = pack_segment_header(HEADER)
    assert len(block) == 4096
    assert unpack_segment_header(block) == HEADER


def test_a_full_disk_refuses_and_the_next_try_succeeds():
    """A segment that could not be made leaves nothing that takes the space of others."""
    disk = SimDisk()
    disk.capacity_bytes = 10_000
    with pytest.raises(OSError, match="full") as caught:
        make_segment(disk, "journal", 1, 65536)
    assert caught.value.errno == errno.ENOSPC
    assert disk.listdir("journal") == []
    assert list_segments(disk, "journal") == []
    disk.capacity_bytes = None
    make_segment(disk, "journal", 1, 65536)
    assert disk.listdir("journal") == ["00000001.seg"]


def test_a_made_segment_is_zeros_that_survive_a_crash():
    """The file and its name are durable when `make_segment` returns, also when a used file is recycled."""
    disk = SimDisk()
    make_segment(disk, "journal", 1, 65536)
    file = disk.open("journal/00000001.seg")
    file.pwrite(b"stale" * 100, 4096)
    file.fdatasync()
    retire_segment(disk, "journal", 1)
    make_segment(disk, "journal", 2, 65536)
    disk.crash(Keep.NOTHING)
    assert disk.listdir("journal") == ["00000002.seg"]
    assert disk.bytes_of("journal/00000002.seg") == bytes(65536)
