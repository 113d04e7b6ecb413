"""History on disk: damaged and foreign files first, then pages, restarts and what a reader sees meanwhile."""

import sqlite3

import pytest

from exchange.domain.events import CashMoved
from exchange.domain.packing import CommandEvents, pack_events
from exchange.historian.follower import Follower
from exchange.historian.rows import BEGINNING, Kind
from exchange.historian.store import FILE_NAME, BadHistoryFile, HistoryReader, HistoryStore
from exchange.journal.disk import RealDisk
from exchange.journal.event_log import EventLog

AT_NS = 1_790_000_000 * 10**9


def moved(subaccount, number):
    """A deposit with a number of its own."""
    return CashMoved(
        subaccount=subaccount, account_seq=number, request_index=number, amount_e6=number, cash_e6=0, ledger_cash_e6=0
    )


def append(log, first, last, events_of):
    """One group: commands `first` to `last`, each with what `events_of` gives."""
    commands = [CommandEvents(sequence, AT_NS, tuple(events_of(sequence))) for sequence in range(first, last + 1)]
    log.append(1, first, last, AT_NS, pack_events(commands))


def follow(disk, folder):
    """Take everything there is, as a process would that then ends; the cursor."""
    with HistoryStore(folder) as store:
        follower = Follower(disk, store)
        while follower.step():
            pass
        return store.cursor


def walk(reader, subaccount, limit, kind=Kind.CASH):
    """Every row by cursor, page by page."""
    rows, after = [], BEGINNING
    while True:
        page = reader.page(subaccount, kind, after, limit)
        assert len(page.rows) <= limit
        rows += page.rows
        if not page.has_more:
            return rows
        after = page.rows[-1].place


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + bytes(4_000)])
def test_a_file_that_is_no_history_is_refused_by_both_sides(tmp_path, content):
    """One error that names the file; nothing is overwritten."""
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(BadHistoryFile, match=FILE_NAME):
        HistoryStore(tmp_path)
    with pytest.raises(BadHistoryFile, match=FILE_NAME):
        HistoryReader(tmp_path).page(1, Kind.CASH, BEGINNING, 10)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_another_format_is_refused(tmp_path):
    """A later version's file is not misread."""
    HistoryStore(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("UPDATE progress SET format = 2")
    with pytest.raises(BadHistoryFile, match="format 2, this version reads 1"):
        HistoryStore(tmp_path)


def test_before_there_is_a_history_every_page_is_empty(tmp_path):
    """The exchange may be asked before the historian has started."""
    reader = HistoryReader(tmp_path)
    page = reader.page(2, Kind.TRADES, BEGINNING, 10)
    assert (page.rows, page.has_more, page.sequence, page.begins) == ([], False, 0, 0)
    assert reader.reached() == 0
    HistoryStore(tmp_path).close()
    assert reader.page(2, Kind.TRADES, BEGINNING, 10).rows == []


def test_a_history_that_was_deleted_begins_again_and_an_open_reader_sees_it(tmp_path):
    """Reset while it runs: pages of the file that is gone would be answered for ever."""
    disk, folder = RealDisk(tmp_path / "log"), tmp_path / "history"
    append(EventLog(disk), 1, 3, lambda sequence: [moved(1, sequence)])
    follow(disk, folder)
    reader = HistoryReader(folder)
    assert len(walk(reader, 1, 10)) == 3
    for path in folder.iterdir():
        path.unlink()
    assert (reader.page(1, Kind.CASH, BEGINNING, 10).rows, reader.reached()) == ([], 0)
    follow(disk, folder)
    assert (len(walk(reader, 1, 10)), reader.reached()) == (3, 3)


@pytest.mark.parametrize("limit", [1, 7, 999, 1_000])
def test_ten_thousand_rows_of_one_nanosecond_come_once_each(tmp_path, limit):
    """Pages go by place: equal times and rows of one command neither repeat nor vanish (P45)."""
    disk = RealDisk(tmp_path)
    log = EventLog(disk)
    count = 10_000 if limit > 1 else 500
    append(log, 1, 3, lambda sequence: [moved(2 + number % 2, number) for number in range(sequence, count, 3)])
    assert follow(disk, tmp_path) == 3
    reader = HistoryReader(tmp_path)
    numbers = [row.body.event.request_index for account in (2, 3) for row in walk(reader, account, limit)]
    assert sorted(numbers) == list(range(1, count))


def test_a_walk_goes_on_while_rows_come(tmp_path):
    """What a cursor has passed is not shown again, what comes later is behind it."""
    disk = RealDisk(tmp_path)
    log = EventLog(disk)
    reader = HistoryReader(tmp_path)
    seen, after = [], BEGINNING
    for sequence in range(1, 40):
        append(log, sequence, sequence, lambda at: [moved(2, at * 10 + part) for part in range(3)])
        follow(disk, tmp_path)
        page = reader.page(2, Kind.CASH, after, 2)
        seen += page.rows
        after = page.rows[-1].place
    while page.has_more:
        page = reader.page(2, Kind.CASH, after, 2)
        seen += page.rows
        after = page.rows[-1].place
    assert [row.body.event.request_index for row in seen] == [
        at * 10 + part for at in range(1, 40) for part in range(3)
    ]


def test_a_writer_that_ends_anywhere_leaves_the_history_of_one_that_never_did(tmp_path):
    """Groups are taken once, in whatever portions; a group that was half known before is not taken twice."""
    disk = RealDisk(tmp_path)
    log = EventLog(disk)
    for first in range(1, 60, 3):
        append(log, first, first + 2, lambda at: [moved(at % 5 + 2, at)])
        if first % 4 == 1:
            follow(disk, tmp_path)
    assert follow(disk, tmp_path) == 60
    rows = [row for account in range(2, 7) for row in walk(HistoryReader(tmp_path), account, 100)]
    assert sorted(row.body.event.request_index for row in rows) == list(range(1, 61))


def test_where_the_log_has_let_go_the_history_says_where_it_begins(tmp_path):
    """A historian that was away too long goes on behind the gap and does not pretend to know it."""
    disk = RealDisk(tmp_path)
    log = EventLog(disk, file_bytes=300, budget_bytes=0, retention_ns=0)
    append(log, 1, 1, lambda at: [moved(2, at)])
    assert follow(disk, tmp_path) == 1
    for sequence in range(2, 30):
        append(log, sequence, sequence, lambda at: [moved(2, at)])
    log.release(20)
    with HistoryStore(tmp_path) as store:
        follower = Follower(disk, store)
        assert follower.step() == 0
        while follower.step():
            pass
        assert store.cursor == 29
    page = HistoryReader(tmp_path).page(2, Kind.CASH, BEGINNING, 100)
    numbers = [row.body.event.request_index for row in page.rows]
    assert numbers == [1, *range(page.begins, 30)]
    assert 2 < page.begins <= 20


def test_a_reader_sees_whole_transactions(tmp_path):
    """Rows and how far they reach come together; a reader that is open follows the writer."""
    disk = RealDisk(tmp_path)
    log = EventLog(disk)
    reader = HistoryReader(tmp_path)
    for sequence in range(1, 20):
        append(log, sequence, sequence, lambda at: [moved(2, at)])
        follow(disk, tmp_path)
        page = reader.page(2, Kind.CASH, BEGINNING, 100)
        assert page.sequence == sequence == len(page.rows) == reader.reached()
