"""exchange.journal.repair: what verify says, what repair keeps, saves and mends."""

import pytest

from exchange.journal.reader import read_groups, recover
from exchange.journal.repair import repair, verify
from tests.unit.exchange.journal.building import new_journal, open_writer, write_commits

FIRST = "journal/00000001.seg"


def test_verify_names_damage_and_changes_nothing():
    """Damage is reported with file and offset, and stays as it is."""
    disk, _ = new_journal([[1], [1], [1]])
    disk.flip_bit(FIRST, (8192 + 70) * 8)
    before = disk.operation_count
    report = verify(disk)
    assert (report.damage.file, report.damage.offset, report.kept_sequence) == (FIRST, 8192, 1)
    assert disk.operation_count == before


def test_verify_of_a_whole_journal_and_of_a_torn_one():
    """A whole journal has no damage; a torn tail is listed, not damage; a cursor makes it damage."""
    disk, _ = new_journal([[900], [900], [1]])
    report = verify(disk)
    assert (report.damage, report.lost, report.group_count, report.kept_sequence) == (None, [], 3, 1801)
    disk.flip_bit("journal/00000003.seg", 4100 * 8)
    assert verify(disk).damage is None
    assert str(verify(disk).lost[0]).startswith("journal/00000003.seg: offset 4096: sequences 1801..? lost")
    assert verify(disk, cursors={"history": 1801}).damage is not None


def test_repair_keeps_the_longest_prefix_and_saves_the_rest():
    """Everything before the damage stays, what is cut is listed and kept in files, and the journal goes on."""
    disk, _ = new_journal([[1], [900], [900], [5]])
    damaged = disk.bytes_of("journal/00000003.seg")
    disk.flip_bit("journal/00000003.seg", (4096 + 70) * 8)
    report = repair(disk)
    (lost,) = report.lost
    assert (report.kept_sequence, lost.first_sequence, lost.last_sequence) == (901, 902, 1806)
    assert lost.kept_in == "journal/00000003.seg.lost, journal/00000004.seg.lost"
    assert len(disk.bytes_of("journal/00000003.seg.lost")) == len(damaged.rstrip(b"\0"))
    assert recover(disk).last_sequence == 901
    assert write_commits(open_writer(disk), [[1]]) == 902
    assert [group.command_count for group in read_groups(disk)] == [1, 900, 1]


@pytest.mark.parametrize(
    ("offset", "message"), [(4096 + 128 + 3, "cleaned (padding"), (100, "segment header rebuilt"), (3000, "rebuilt")]
)
@pytest.mark.parametrize("number", [1, 2])
def test_repair_mends_what_holds_no_command(offset, message, number):
    """Damaged padding and segment headers cost no sequence."""
    disk, _ = new_journal([[1], [900], [1], [900], [1]])
    path = f"journal/{number:08x}.seg"
    if number == 2 and "padding" in message:
        offset = len(disk.bytes_of(path).rstrip(b"\0")) + 64
    disk.flip_bit(path, offset * 8)
    if "padding" not in message or number == 1:
        assert verify(disk).damage is not None
    report = repair(disk)
    assert (report.lost, report.kept_sequence) == ([], 1803)
    assert message in report.cleaned[0]
    assert recover(disk).last_sequence == 1803
    assert verify(disk).damage is None


def test_repair_of_a_whole_journal_does_nothing():
    """Nothing lost, nothing cleaned."""
    disk, _ = new_journal([[1], [2]])
    report = repair(disk)
    assert (report.lost, report.cleaned, report.kept_sequence) == ([], [], 3)
