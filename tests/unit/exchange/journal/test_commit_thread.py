"""exchange.journal.commit_thread: what it commits, reports and leaves."""

import errno
import threading

import pytest

from exchange.journal.commit_thread import CommitThread
from exchange.journal.errors import JournalFailed
from exchange.journal.reader import recover
from tests.unit.exchange.journal.building import make_group, new_journal


class Listener:
    """Collects what a CommitThread reports."""

    def __init__(self):
        self.committed = []
        self.failures = []
        self.changed = threading.Condition()

    def on_committed(self, sequence):
        with self.changed:
            self.committed.append(sequence)
            self.changed.notify_all()

    def on_failure(self, error):
        with self.changed:
            self.failures.append(error)
            self.changed.notify_all()

    def wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, timeout=20)


def test_thread_commits_what_is_staged_and_makes_segments():
    """Every staged group is reported committed, in order, over several segments."""
    disk, writer = new_journal()
    listener = Listener()
    thread = CommitThread(writer, listener.on_committed, listener.on_failure)
    thread.start()
    for _ in range(40):
        writer.stage(make_group(writer.next_sequence, 100))
    listener.wait(lambda: listener.committed and listener.committed[-1] == 4000)
    thread.stop()
    writer.close()
    assert listener.committed == sorted(set(listener.committed))
    assert listener.failures == []
    assert recover(disk).last_sequence == 4000


def test_thread_commits_the_rest_when_stopped():
    """What was staged before `stop` is durable after it."""
    disk, writer = new_journal()
    listener = Listener()
    thread = CommitThread(writer, listener.on_committed, listener.on_failure)
    writer.stage(make_group(1, 7))
    thread.start()
    thread.stop()
    assert listener.committed == [7]
    assert recover(disk).last_sequence == 7


@pytest.mark.parametrize(("operation", "error"), [("fdatasync", errno.EIO), ("pwrite", errno.ENOSPC)])
def test_thread_reports_a_failure_once(operation, error):
    """A failed commit fires `on_failure` once, and no group of it is reported."""
    disk, writer = new_journal()
    assert writer.prepare_next()
    listener = Listener()
    thread = CommitThread(writer, listener.on_committed, listener.on_failure)
    disk.fail(operation, error=error)
    thread.start()
    writer.stage(make_group(1))
    listener.wait(lambda: listener.failures)
    thread.stop()
    assert listener.committed == []
    assert [type(failure) for failure in listener.failures] == [JournalFailed]
