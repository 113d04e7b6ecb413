"""A flipped bit anywhere in a journal lands in its row of the recovery table, with file and offset (R17)."""

import random
import sys
from collections import Counter

import pytest

from exchange.journal.errors import JournalCorrupt
from exchange.journal.reader import read_groups, recover
from exchange.journal.repair import repair, verify
from tests.simulation.sim_disk import Keep
from tests.unit.exchange.journal.building import make_group, new_journal

# Sizes that leave an unused rest in each segment.
SEGMENT_BYTES = 20 << 10
COMMITS = [[1], [3, 1], [20, 40], [100], [1, 1], [70], [9]]
LAST_SEQUENCE = sum(sum(counts) for counts in COMMITS)
LAST_WRITE_FIRST = LAST_SEQUENCE - 8
FLIPS = 6_000


@pytest.fixture(scope="module")
def journal():
    """Return the disk with the journal, its segment files and the place of the last write."""
    disk, writer = new_journal(COMMITS, segment_bytes=SEGMENT_BYTES)
    files = [f"journal/{name}" for name in disk.listdir("journal") if name.endswith(".seg")]
    writer.prepare_next()
    last_start = max(
        offset for offset in range(4096, SEGMENT_BYTES, 4096) if any(disk.bytes_of(files[-1])[offset : offset + 64])
    )
    return disk, files, last_start


def row_of(journal, path, offset, *, used_bytes):
    """Return the row that a flip at this place belongs to."""
    _, files, last_start = journal
    if path != files[-1] or offset < last_start:
        return "acknowledged" if offset < used_bytes else "unused rest of a full segment"
    if offset < last_start + 64 + 9 * 64:
        return "last write"
    return "acknowledged" if offset < last_start + 4096 else "unused"


def seeded_flips(journal, count):
    """Yield random places, half of them in used blocks."""
    disk, files, _ = journal
    chance = random.Random(17)
    for _ in range(count):
        path = chance.choice(files)
        used_bytes = -(-len(disk.bytes_of(path).rstrip(b"\0")) // 4096) * 4096
        end = used_bytes if chance.random() < 0.8 else SEGMENT_BYTES
        yield path, chance.randrange(8 * end), used_bytes


def outcome_of(disk, cursors):
    """Recover a copy; return what was said of file and offset, and what is left."""
    copy = disk.image(0, Keep.NOTHING)
    try:
        recovery = recover(copy, cursors=cursors)
    except JournalCorrupt as error:
        return "corrupt", error.file, error.offset, None
    torn = recovery.torn
    if torn is None:
        return "silent", "", 0, recovery.last_sequence
    for group in read_groups(copy):
        assert group.records == make_group(group.first_sequence, group.command_count).records
    return "torn", torn.file, torn.offset, recovery.last_sequence


def test_each_flip_lands_in_its_row(journal, capsys):
    """Acknowledged data: refused. Last write: a tear, or refused by a cursor. Unused bytes: cut, nothing lost."""
    disk, _, _ = journal
    rows = Counter()
    for path, bit, used_bytes in seeded_flips(journal, FLIPS):
        row = row_of(journal, path, bit // 8, used_bytes=used_bytes)
        disk.flip_bit(path, bit)
        verdict, file, offset, last_sequence = outcome_of(disk, {})
        if row == "last write":
            assert (verdict, last_sequence) == ("torn", LAST_WRITE_FIRST - 1)
            assert outcome_of(disk, {"history": LAST_SEQUENCE})[0] == "corrupt"
        else:
            expected = ("torn", LAST_SEQUENCE) if row == "unused" else ("corrupt", None)
            assert (verdict, last_sequence) == expected
        assert file == path
        assert offset <= bit // 8 < offset + 3 * 4096 or row.startswith("unused")
        disk.flip_bit(path, bit)
        rows[row] += 1
    assert all(
        rows[row] > FLIPS // 100 for row in ("acknowledged", "last write", "unused", "unused rest of a full segment")
    )
    with capsys.disabled():
        sys.stdout.write(f"\nflips: {dict(rows)}; caught by the cursor alone: {rows['last write']}\n")


def test_repair_keeps_all_before_the_flip(journal):
    """After repair the journal starts, holds a prefix, and lists what it lost."""
    disk, _, _ = journal
    for path, bit, used_bytes in seeded_flips(journal, 300):
        disk.flip_bit(path, bit)
        copy = disk.image(0, Keep.NOTHING)
        report = repair(copy)
        assert verify(copy).damage is None
        assert recover(copy).last_sequence == report.kept_sequence
        if row_of(journal, path, bit // 8, used_bytes=used_bytes).startswith("unused"):
            assert report.kept_sequence == LAST_SEQUENCE
        if report.kept_sequence < LAST_SEQUENCE:
            assert report.lost[0].first_sequence == report.kept_sequence + 1
        disk.flip_bit(path, bit)
