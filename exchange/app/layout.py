"""The data directory: which file is whose, and the lock that keeps two exchanges out of one directory."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from exchange.app.failures import Failure

_FORMAT: Final = 6
_SOCKET_PATH_BYTES = 100

__all__ = ["DataDirectory", "DirectoryBusy", "DirectoryLock", "lock_holder"]


class DirectoryBusy(RuntimeError):
    """Another offbook runs on this data directory."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths below one root; each folder belongs to the process it is named after."""

    root: Path

    @property
    def exchange(self) -> Path:
        """Journal, snapshots and event log."""
        return self.root / "exchange"

    @property
    def settler(self) -> Path:
        """Outbox and ledger."""
        return self.root / "settler"

    @property
    def watcher(self) -> Path:
        """What the watcher remembers, and its last report."""
        return self.root / "watcher"

    @property
    def chain(self) -> Path:
        """Blocks of the embedded chain."""
        return self.root / "chain"

    @property
    def history(self) -> Path:
        """The historian's: everything that happened, by subaccount."""
        return self.root / "history"

    @property
    def remembered(self) -> Path:
        """Highest journal sequence whose events are in the history, as text; written by the historian."""
        return self.history / "remembered"

    @property
    def factors(self) -> Path:
        """Secrets of one-time codes (mode 0600)."""
        return self.exchange / "second_factors.json"

    @property
    def socket(self) -> Path:
        """The exchange's unix socket. A path too long for the kernel moves to the temporary directory."""
        path = self.root / "run" / "exchange.sock"
        if len(os.fsencode(path)) < _SOCKET_PATH_BYTES:
            return path
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"offbook-{os.getuid()}-{name}" / "exchange.sock"

    @property
    def logs(self) -> Path:
        """One bounded log per process."""
        return self.root / "logs"

    @property
    def deployment(self) -> Path:
        """Addresses and parameters of the contracts in use."""
        return self.root / "deployment.json"

    @property
    def demo_accounts(self) -> Path:
        """Owners, session keys and subaccounts of the demo (mode 0600)."""
        return self.root / "demo_accounts.json"

    @property
    def status(self) -> Path:
        """Process ids and port of what runs; written by the supervisor at every start of a process."""
        return self.root / "status.json"

    @property
    def settled(self) -> Path:
        """Highest journal sequence whose batch is final on chain, as text; written by the settler."""
        return self.settler / "settled"

    @property
    def format_mark(self) -> Path:
        """Number of the format of everything below, as text; written once. Directories before format 2 have none."""
        return self.root / "format"

    def check_format(self) -> None:
        """Raise Failure when what is stored here is of another version; a new directory passes."""
        if not (self.format_mark.exists() or self.deployment.exists()):
            return
        found = self.format_mark.read_text().strip() if self.format_mark.exists() else "1"
        if found != str(_FORMAT):
            raise Failure(
                f"{self.root} has data of format {found}, this version reads {_FORMAT}: "
                f"run `offbook reset --data {self.root}` or choose another directory with --data"
            )

    def prepare(self) -> None:
        """Make the folders, private to this user. Raises Failure when they hold data of another version."""
        self.check_format()
        for folder in (self.root, *self._folders()):
            folder.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self.socket.parent.chmod(0o700)
        self.format_mark.write_text(f"{_FORMAT}\n")

    def _folders(self) -> tuple[Path, ...]:
        own = (self.exchange, self.settler, self.watcher, self.history, self.chain)
        return (*own, self.socket.parent, self.logs)

    def clear(self) -> int:
        """Delete everything this layout owns; returns how many entries went. Foreign files stay."""
        owned = self._folders()
        gone = 0
        for folder in owned:
            if folder.exists():
                shutil.rmtree(folder)
                gone += 1
        for file in (self.deployment, self.demo_accounts, self.root / "lock", self.status, self.format_mark):
            if file.exists():
                file.unlink()
                gone += 1
        if self.root.exists() and not any(self.root.iterdir()):
            self.root.rmdir()
        return gone


class DirectoryLock:
    """Exclusive lock on a data directory; the kernel drops it when the process ends, however it ends."""

    def __init__(self, directory: DataDirectory) -> None:
        """Not yet locked."""
        self._path = directory.root / "lock"
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Lock or raise DirectoryBusy with the holder's process id."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while self._file is None:
            self._file = self._locked()
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unlock and leave no lock file."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _locked(self) -> int | None:
        """The lock file, locked; None when its last holder took it away in between. Raises DirectoryBusy."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(file, 20).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise DirectoryBusy(
                f"{self._path.parent}: process {holder} runs on this data directory; "
                f"stop it (`offbook down`) or choose another with --data"
            ) from error
        if self._path.exists() and os.fstat(file).st_ino == self._path.stat().st_ino:
            return file
        os.close(file)
        return None


def lock_holder(directory: DataDirectory) -> int | None:
    """Process id of the offbook that runs on `directory`; None when nobody holds its lock, whatever files say."""
    try:
        file = os.open(directory.root / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(file, 20).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(file)
