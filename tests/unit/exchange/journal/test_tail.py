"""exchange.journal.tail: every committed command once, across writes, segments, cut tails and restarts."""

import pytest

from exchange.journal.errors import JournalCorrupt, JournalGap
from exchange.journal.reader import read_groups
from exchange.journal.segment import list_segments
from exchange.journal.tail import JournalTail
from tests.unit.exchange.journal.building import new_journal, open_writer, write_commits

FIRST = "journal/00000001.seg"


def expected(disk):
    """(sequence, record) of every command, by the reader of whole journals."""
    return [
        (group.first_sequence + place, group.records[64 * place : 64 * place + 64])
        for group in read_groups(disk)
        for place in range(group.command_count)
    ]


def test_released_commands_are_a_gap():
    """The consumer hears that it is too late."""
    disk, _ = new_journal([[1], [2]])
    with pytest.raises(JournalGap, match="sequence 1 was released"):
        list(JournalTail(disk, 0, "elsewhere").records(1))


@pytest.mark.parametrize(
    ("bit", "reason"), [(4096 * 8 + 160, "header crc differs"), ((4096 + 69) * 8, "body crc differs")]
)
def test_damaged_commands_are_refused(bit, reason):
    """A flipped bit in what is committed."""
    disk, _ = new_journal([[1], [2]])
    disk.flip_bit(FIRST, bit)
    with pytest.raises(JournalCorrupt, match=reason):
        list(JournalTail(disk, 0).records(2))


def test_commands_that_are_not_there_are_damage():
    """It is told that they are committed."""
    disk, _ = new_journal([[1], [2]])
    with pytest.raises(JournalCorrupt, match="committed commands are missing"):
        list(JournalTail(disk, 0).records(4))


@pytest.mark.parametrize("commits", [[[1]], [[1], [2], [3]], [[2, 1], [3]], [[1, 1, 1], [5]]])
def test_every_command_comes_once_and_in_order(commits):
    """In portions of any size, and from any cursor."""
    disk, _ = new_journal(commits)
    whole = expected(disk)
    for cursor in range(len(whole)):
        tail = JournalTail(disk, cursor)
        rows = [row for up_to in range(cursor + 1, len(whole) + 1) for row in tail.records(up_to)]
        assert [(number, record) for number, record, _ in rows] == whole[cursor:]
        assert list(tail.records(len(whole))) == []
        tail.close()


def test_segments_are_entered_one_after_another():
    """Groups of many segments, read while they are written."""
    disk, writer = new_journal(segment_bytes=3 * 4096)
    tail, seen = JournalTail(disk, 0), []
    for commit in range(12):
        last = write_commits(writer, [[commit % 3 + 1]], attachments=b"\x07" * 100)
        seen += [(number, record) for number, record, _ in tail.records(last)]
    assert len(list_segments(disk, "journal")) > 3
    assert seen == expected(disk)


def test_a_tail_cut_by_a_recovery_is_stepped_over():
    """The writer goes on behind the cut; so does the reader, whether it stood there or comes anew."""
    disk, writer = new_journal([[1, 1], [1]])
    standing = JournalTail(disk, 0)
    assert len(list(standing.records(3))) == 3
    writer = open_writer(disk)
    last = write_commits(writer, [[2], [1]])
    for tail in (standing, JournalTail(disk, 0)):
        rows = [(number, record) for number, record, _ in tail.records(last)]
        assert rows == expected(disk)[-len(rows) :]
        assert rows[-1][0] == last
