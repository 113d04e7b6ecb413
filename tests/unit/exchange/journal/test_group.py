"""exchange.journal.group: the header's bytes, its refusals, the round trip."""

import struct

import pytest

from exchange.journal.group import Group, Placement, crc32c, pack_group, unpack_body, unpack_header

GROUP = Group(first_sequence=10, command_count=2, timestamp_ns=77, records=b"r" * 128, attachments=b"abc", output_crc=9)
PLACE = Placement(flags=1, epoch=3, segment_number=4, synced_sequence=8, previous_crc=5)


def packed():
    """Return the sample group as bytes."""
    body = GROUP.body()
    return pack_group(GROUP, PLACE, body, crc32c(body))


def with_header_field(offset, code, value):
    """Return the sample with one field changed and the header crc made right again."""
    data = bytearray(packed())
    struct.pack_into(code, data, offset, value)
    struct.pack_into("<I", data, 60, crc32c(bytes(data[:60])))
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed()[:63], "header cut short"),
        (bytes(64), "no group magic"),
        (packed()[:10] + b"\xff" + packed()[11:], "header crc differs"),
        (with_header_field(4, "<H", 2), "unknown group format version 2"),
        (with_header_field(24, "<I", 9), "body length does not fit the command count"),
        (with_header_field(28, "<I", 130), "body length does not fit the command count"),
    ],
)
def test_a_bad_header_is_named(data, reason):
    """Each way a header can be wrong has its phrase."""
    assert unpack_header(data) == reason


def test_a_bad_body_is_named():
    """A body that is short or altered is refused."""
    header = unpack_header(packed())
    assert unpack_body(header, packed()[64:-1]) == "body cut short"
    assert unpack_body(header, b"x" + packed()[65:]) == "body crc differs"


def test_every_flipped_bit_of_a_group_is_noticed():
    """No single bit of header or body changes without a refusal."""
    data = packed()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        header = unpack_header(bytes(flipped))
        assert isinstance(header, str) or isinstance(unpack_body(header, bytes(flipped[64:])), str)


def test_round_trip_keeps_all_fields_and_pads_attachments():
    """What was packed comes back; attachments come back with the zeros that fill 64 bytes."""
    data = packed()
    assert len(data) == 64 + 128 + 64
    group = unpack_body(unpack_header(data), data[64:])
    assert (group.first_sequence, group.last_sequence, group.command_count) == (10, 11, 2)
    assert (group.epoch, group.segment_number, group.synced_sequence, group.previous_crc) == (3, 4, 8, 5)
    assert (group.flags, group.timestamp_ns, group.output_crc, group.records) == (1, 77, 9, b"r" * 128)
    assert group.attachments == b"abc" + bytes(61)


def test_the_header_has_the_documented_offsets():
    """Each field stands where the format says."""
    data = packed()
    fields = struct.unpack("<4sHHIIQIIQQIIII", data[:64])
    assert fields[:-1] == (b"OBJG", 1, 1, 3, 4, 10, 2, 192, 77, 8, 5, 9, crc32c(data[64:]))
