"""Events of subaccounts on disk: damage and gaps first, then pages, budgets and restarts."""

import sqlite3

import pytest

from exchange.domain.events import CashMoved, OrderClosed
from exchange.domain.packing import CommandEvents, pack_events
from exchange.domain.result_codes import CloseReason, OrderStatus
from exchange.historian.account_events import EventPage
from exchange.historian.follower import Follower
from exchange.historian.store import FILE_NAME, BadHistoryFile, HistoryReader, HistoryStore
from exchange.journal.disk import RealDisk
from exchange.journal.event_log import EventLog

AT_NS = 1_790_000_000 * 10**9
HOUR_NS = 3_600 * 10**9
WIDE = 1 << 30


def moved(account, seq):
    """A deposit with this number."""
    return CashMoved(subaccount=account, account_seq=seq, request_index=1, amount_e6=1, cash_e6=0, ledger_cash_e6=0)


def closed(account, seq):
    """The end of an order of which nothing was heard."""
    return OrderClosed(
        subaccount=account, account_seq=seq, order=77, instrument=1, status=OrderStatus.CANCELED,
        reason=CloseReason.USER_REQUEST, unfilled_lots=1,
    )  # fmt: skip


class World:
    """An event log with a history behind it."""

    def __init__(self, folder, **store):
        self.disk, self.folder, self.options = RealDisk(folder), folder, store
        self.log = EventLog(self.disk)
        self.sequence = 0

    def tell(self, *events, at_ns=AT_NS):
        """One command, taken at once by a historian that then ends."""
        self.sequence += 1
        blob = pack_events([CommandEvents(self.sequence, at_ns, events)])
        self.log.append(1, self.sequence, self.sequence, at_ns, blob)
        with HistoryStore(self.folder, **self.options) as store:
            Follower(self.disk, store).step()

    def page(self, account, after, limit=WIDE):
        """What a reader finds."""
        return HistoryReader(self.folder).events(account, after, limit)

    def seqs(self, account, after, limit=WIDE):
        """Numbers of it."""
        return [row.account_seq for row in self.page(account, after, limit).rows]


@pytest.mark.parametrize("body", [b"", b"no chunk", b"x\x9cK\xcb\xcf\x07\x00\x02\x82\x01E"])
def test_a_damaged_chunk_is_one_error_that_names_the_file(tmp_path, body):
    """Never half of it, and never nothing."""
    world = World(tmp_path)
    world.tell(moved(2, 1))
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("UPDATE account_events SET body = ?", (body,))
    with pytest.raises(BadHistoryFile, match=FILE_NAME):
        world.page(2, 0)


def test_without_a_history_there_is_nothing(tmp_path):
    """Before the historian's first start, and in a file of a version that kept no events."""
    assert World(tmp_path).page(2, 0) == EventPage([], None, 0)
    world = World(tmp_path)
    world.tell(moved(2, 1))
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("DROP TABLE account_events")
    assert world.page(2, 0) == EventPage([], None, 1)
    world.tell(moved(2, 2))
    assert (world.seqs(2, 1), world.page(2, 0).forgotten_seq) == ([2], 1)


def test_a_place_that_is_gone_gives_nothing_but_the_oldest(tmp_path):
    """The reader is told where it could begin; another subaccount is not touched."""
    world = World(tmp_path)
    world.tell(moved(2, 5), moved(3, 1))
    world.tell(moved(2, 6))
    page = world.page(2, 3)
    assert ([row.account_seq for row in page.rows], page.forgotten_seq) == ([], 4)
    assert (world.seqs(2, 4), world.seqs(2, 6), world.seqs(3, 0)) == ([5, 6], [], [1])


@pytest.mark.parametrize(("limit", "count"), [(1, 5), (300, 2), (WIDE, 1)])
def test_pages_join_and_never_split_a_command(tmp_path, limit, count):
    """Whatever a page holds; orders of one command stand together on the streams."""
    world = World(tmp_path)
    wanted, seq = [], 0
    for size in (1, 3, 200, 1, 64):
        wanted.append([seq + at for at in range(1, size + 1)])
        world.tell(*(moved(2, number) for number in wanted[-1]))
        seq += size
    pages, after = [], 0
    while found := world.seqs(2, after, limit):
        pages.append(found)
        after = found[-1]
    assert [number for page in pages for number in page] == list(range(1, seq + 1))
    ends = {numbers[-1] for numbers in wanted}
    assert all(page[-1] in ends for page in pages)
    assert len(pages) == count


def test_a_chunk_is_bounded_whatever_one_look_finds(tmp_path):
    """A historian that was away takes thousands of commands at once; a page need not decode them all."""
    world = World(tmp_path)
    commands = [CommandEvents(number, AT_NS, (moved(2, number),)) for number in range(1, 301)]
    world.log.append(1, 1, 300, AT_NS, pack_events(commands))
    with HistoryStore(tmp_path) as store:
        assert Follower(world.disk, store).step() == 300
        spans = store._database.execute("SELECT first_seq, last_seq FROM account_events ORDER BY id").fetchall()
    assert spans == [(1, 64), (65, 128), (129, 192), (193, 256), (257, 300)]
    assert world.seqs(2, 100, 1) == list(range(101, 129))


def test_an_order_from_before_the_history_ends_what_was_kept(tmp_path):
    """Its event could not be shown as it was: only what is behind its command may be resumed from."""
    world = World(tmp_path)
    world.tell(moved(2, 1), moved(3, 1))
    world.tell(moved(2, 2), closed(2, 3), moved(2, 4))
    assert (world.page(2, 0).forgotten_seq, world.seqs(3, 0)) == (None, [1])
    world.tell(moved(2, 5))
    assert (world.page(2, 3).forgotten_seq, world.seqs(2, 4)) == (4, [5])


def test_events_are_kept_for_a_day(tmp_path):
    """By the time of the newest event, whoever it belongs to."""
    world = World(tmp_path)
    for hour in range(30):
        world.tell(moved(2, hour + 1), at_ns=AT_NS + hour * HOUR_NS)
    assert world.page(2, 0).forgotten_seq == 6
    assert world.seqs(2, 6) == list(range(7, 31))
    world.tell(moved(3, 1), at_ns=AT_NS + 99 * HOUR_NS)
    assert world.page(2, 30).forgotten_seq is None
    assert world.seqs(3, 0) == [1]


def test_beyond_the_budget_the_oldest_go(tmp_path):
    """Of all subaccounts together; the count goes on over restarts of the historian."""
    world = World(tmp_path, event_bytes=2_000)
    for number in range(1, 101):
        world.tell(moved(2 + number % 2, (number + 1) // 2))
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        sizes = [size for (size,) in database.execute("SELECT length(body) FROM account_events ORDER BY id")]
    assert 2_000 - max(sizes) < sum(sizes) <= 2_000
    assert world.seqs(2, 49) == world.seqs(3, 49) == [50]
    assert world.page(2, 0).forgotten_seq == 50 - (len(sizes) + 1) // 2


def test_a_history_that_begins_again_joins_nothing(tmp_path):
    """Behind a gap of the event log, what was kept before it is let go."""
    world = World(tmp_path)
    world.tell(moved(2, 1))
    with HistoryStore(tmp_path) as store:
        store.begin_at(9)
    assert world.page(2, 0) == EventPage([], None, 8)
