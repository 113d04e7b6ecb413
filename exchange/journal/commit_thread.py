"""The threads that run a `JournalWriter` in production; the simulator calls the writer itself instead."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exchange.journal.writer import JournalWriter

__all__ = ["CommitThread"]

# How long to wait before a segment that the disk refused is tried again.
RETRY_SECONDS = 1.0


class CommitThread:
    """Two daemon threads: one commits whenever something is staged, one makes the next segment ahead of use.

    `on_committed(last_sequence)` and `on_failure(error)` run on these threads: hand over with
    `loop.call_soon_threadsafe`. After `on_failure` no further callback comes and nothing more is committed.
    """

    def __init__(
        self,
        writer: "JournalWriter",
        on_committed: Callable[[int], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Prepare both threads; `start` runs them."""
        self._writer = writer
        self._on_committed = on_committed
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._make = threading.Event()
        self._failed = threading.Event()
        self._committer = threading.Thread(target=self._commit_loop, name="journal-commit", daemon=True)
        self._maker = threading.Thread(target=self._make_loop, name="journal-make", daemon=True)

    def start(self) -> None:
        """Run both threads."""
        self._make.set()
        self._maker.start()
        self._committer.start()

    def stop(self) -> None:
        """Commit what is staged, end both threads and wait for them. The writer stays open; call its `close`."""
        self._stopping.set()
        self._writer.staged_event.set()
        self._make.set()
        self._committer.join()
        self._maker.join()

    def _commit_loop(self) -> None:
        while not self._failed.is_set():
            self._writer.staged_event.wait()
            stopping = self._stopping.is_set()
            if not self._guarded(self._commit_once) or stopping:
                return

    def _commit_once(self) -> None:
        before = self._writer.last_committed
        last = self._writer.commit_staged()
        if self._writer.next_missing:
            self._make.set()
        if last > before:
            self._on_committed(last)

    def _make_loop(self) -> None:
        while not self._failed.is_set():
            self._make.wait()
            if self._stopping.is_set():
                return
            self._make.clear()
            if not self._guarded(self._make_once):
                return

    def _make_once(self) -> None:
        while not self._stopping.is_set() and not self._writer.prepare_next():
            self._stopping.wait(RETRY_SECONDS)
        if self._writer.staged_commands:
            self._writer.staged_event.set()

    def _guarded(self, step: Callable[[], None]) -> bool:
        """Run a step; report its first failure once. Every exception ends the journal, not only OSError."""
        try:
            step()
        except BaseException as error:  # noqa: BLE001  the process must hear of it whatever it is
            if not self._failed.is_set():
                self._failed.set()
                self._make.set()
                self._on_failure(error)
            return False
        return True
