"""The lease on a data directory's settling: one job at a time holds it, and says who it is.

The kernel drops it when the job ends, however it ends; the file stays. Behind it the chain refuses a second batch of
one number all the same (`seq == head + 1`), and the outbox a transaction that it did not store.
"""

import fcntl
import os
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory

__all__ = ["LeaseHeld", "LeaseHolder", "SettlerLease", "lease_holder"]

_NAME: Final = "lease"
_BYTES: Final = 200


class LeaseHeld(Failure):
    """Another job settles here; the text names it and what to do."""


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Process id (0 where the file says none) and the command it was started by."""

    pid: int
    command: str


class SettlerLease:
    """Held from `with` to its end."""

    def __init__(self, directory: DataDirectory, command: str) -> None:
        """Not held yet. `command` is how users started the job."""
        self._directory = directory
        self._command = command
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Take it or raise LeaseHeld."""
        self._directory.settler.mkdir(parents=True, exist_ok=True)
        file = os.open(self._directory.settler / _NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(file)
            os.close(file)
            raise LeaseHeld(
                f"process {holder.pid} (`{holder.command}`) settles {self._directory.root} already: ask it with "
                f"`offbook settle now`, or stop it first (an exchange: start it with --no-settler)"
            ) from error
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()} {self._command}\n".encode())
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def lease_holder(directory: DataDirectory) -> LeaseHolder | None:
    """Who settles here now; None when nobody does, whatever the file says."""
    try:
        file = os.open(directory.settler / _NAME, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder(file)
    else:
        return None
    finally:
        os.close(file)


def _holder(file: int) -> LeaseHolder:
    os.lseek(file, 0, os.SEEK_SET)
    number, _, command = os.read(file, _BYTES).decode(errors="replace").strip().partition(" ")
    return LeaseHolder(int(number) if number.isdigit() else 0, command or "unknown")
