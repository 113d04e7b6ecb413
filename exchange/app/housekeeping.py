"""What keeps disk bounded: snapshots made by replay in another process, then release of what everybody has passed.

The live process never pauses for a snapshot: a child loads the newest one, replays the journal behind it, checks
every group, and writes. Journal segments and event files are released only below the oldest snapshot kept and below
what is final on chain, and only when they are beyond the budget.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from exchange.app.config import Settings
from exchange.app.layout import DataDirectory
from exchange.app.processes import child_command
from exchange.app.recovery import Recovered
from exchange.journal.disk import RealDisk
from exchange.journal.snapshot import oldest_sequence

__all__ = ["Housekeeper", "folder_bytes", "releasable", "sequence_in"]

_logger = logging.getLogger(__name__)


def releasable(*, oldest_snapshot: int | None, settled_sequence: int, remembered_sequence: int) -> int:
    """Sequences below this are needed by nobody: every kept snapshot, every final batch and the history lie behind."""
    return 0 if oldest_snapshot is None else min(oldest_snapshot, settled_sequence, remembered_sequence) + 1


def sequence_in(path: Path) -> int:
    """The sequence that another process wrote to `path`; 0 while it has not."""
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return 0


def folder_bytes(folder: Path) -> int:
    """Bytes of the files directly in `folder`."""
    with suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return 0


class Housekeeper:
    """Runs beside the event loop; its work happens in a child process and in short file operations."""

    def __init__(self, settings: Settings, directory: DataDirectory, recovered: Recovered) -> None:
        """Nothing is scheduled yet."""
        self._settings = settings
        self._directory = directory
        self._recovered = recovered
        self.snapshot_sequence = 0

    async def run(self, committed: Callable[[], int]) -> None:
        """Until canceled: a snapshot per interval while there is news, then a release."""
        while True:
            await asyncio.sleep(self._settings.snapshot_interval_s)
            if committed() > self.snapshot_sequence:
                reached = committed()
                # What a snapshot lets go of in the journal must be in the event log on disk (sequencer D-5).
                await asyncio.to_thread(self._recovered.event_log.sync)
                if await self._snapshot():
                    self.snapshot_sequence = reached
            with suppress(FileNotFoundError):
                await self.release()

    async def release(self) -> None:
        """Drop what is beyond the budgets and needed by nobody."""
        disk = RealDisk(self._directory.exchange)
        before = releasable(
            oldest_snapshot=oldest_sequence(disk),
            settled_sequence=sequence_in(self._directory.settled),
            remembered_sequence=sequence_in(self._directory.remembered),
        )
        if folder_bytes(self._directory.exchange / "journal") > self._settings.journal_bytes:
            # Off the loop: it may wait for a segment that is being made.
            await asyncio.to_thread(self._recovered.writer.release, before)
        self._recovered.event_log.release(before)

    async def _snapshot(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            *child_command("snapshot", self._settings),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, errors = await process.communicate()
        finally:
            # A stopping exchange leaves no half-written snapshot's writer behind.
            with suppress(ProcessLookupError):
                process.kill()
        if process.returncode == 0:
            return True
        _logger.error("snapshot failed: %s", errors.decode(errors="replace").strip().splitlines()[-1:])
        return False
