"""The disk seam: everything the journal asks of a file system, and the real one.

Paths are strings with `/`, relative to the disk's root. The simulated disk lives in `tests/simulation/sim_disk.py`.
Non-goals: locking (the process that owns the data directory locks it), caching, partial success: a short write is EIO.
"""

import errno
import os
from pathlib import Path
from typing import Protocol

__all__ = ["Disk", "File", "RealDisk", "read_whole", "write_durably", "write_zeros"]

ZERO_CHUNK = bytes(1 << 20)


class File(Protocol):
    """An open file. All offsets and counts are bytes; every call may raise OSError."""

    def pwrite(self, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`; a short write raises EIO."""

    def pread(self, byte_count: int, offset: int) -> bytes:
        """Return at most `byte_count` bytes; fewer only at the end of the file."""

    def fdatasync(self) -> None:
        """Make all earlier writes of this file durable. A failure must never be retried."""

    def truncate(self, byte_count: int) -> None:
        """Cut or extend (with zeros) to `byte_count`."""

    def close(self) -> None:
        """Release the handle. Does not sync."""


class Disk(Protocol):
    """A tree of files. A new or renamed name survives a crash only after `fsync_directory` of its folder."""

    def open(self, path: str, create: bool = False) -> File:
        """Open for reading and writing; FileNotFoundError unless `create`."""

    def exists(self, path: str) -> bool:
        """Say whether a file or folder has this name."""

    def listdir(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; an absent folder is empty."""

    def mkdir(self, path: str) -> None:
        """Create a folder and its parents; it may exist."""

    def rename(self, source: str, target: str) -> None:
        """Rename, replacing `target`, atomically."""

    def unlink(self, path: str) -> None:
        """Remove a file's name."""

    def fsync_directory(self, path: str) -> None:
        """Make creations, renames and removals in this folder durable."""

    def size(self, path: str) -> int:
        """Return the file's size in bytes."""


class RealFile:
    """A file of the operating system."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pwrite(self, data: bytes, offset: int) -> None:
        """Write all of `data`; a short write is reported as EIO."""
        written = os.pwrite(self._descriptor, data, offset)
        if written != len(data):
            raise OSError(errno.EIO, f"short write: {written} of {len(data)} bytes at offset {offset}")

    def pread(self, byte_count: int, offset: int) -> bytes:
        """Read until `byte_count` bytes or the end of the file."""
        parts: list[bytes] = []
        while byte_count > 0:
            part = os.pread(self._descriptor, byte_count, offset)
            if not part:
                break
            parts.append(part)
            byte_count -= len(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def fdatasync(self) -> None:
        """Sync the data, once."""
        os.fdatasync(self._descriptor)

    def truncate(self, byte_count: int) -> None:
        """Cut or extend by ftruncate(2)."""
        os.ftruncate(self._descriptor, byte_count)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class RealDisk:
    """The operating system's files below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root)

    def open(self, path: str, create: bool = False) -> File:
        """Open read-write, mode 0600 when created."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return RealFile(os.open(self._root / path, flags, 0o600))

    def exists(self, path: str) -> bool:
        """Say whether the name exists."""
        return (self._root / path).exists()

    def listdir(self, path: str) -> list[str]:
        """Return sorted names; an absent folder is empty."""
        try:
            return sorted(entry.name for entry in (self._root / path).iterdir())
        except FileNotFoundError:
            return []

    def mkdir(self, path: str) -> None:
        """Create the folder with its parents and make its name durable."""
        folder = self._root / path
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _fsync_folder(folder.parent)

    def rename(self, source: str, target: str) -> None:
        """Replace the target in one step."""
        (self._root / source).rename(self._root / target)

    def unlink(self, path: str) -> None:
        """Remove the name."""
        (self._root / path).unlink()

    def fsync_directory(self, path: str) -> None:
        """Sync the folder itself."""
        _fsync_folder(self._root / path)

    def size(self, path: str) -> int:
        """Return the size that stat(2) reports."""
        return (self._root / path).stat().st_size


def read_whole(disk: Disk, path: str) -> bytes:
    """Return a file's bytes; FileNotFoundError when absent."""
    file = disk.open(path)
    try:
        return file.pread(disk.size(path), 0)
    finally:
        file.close()


def write_durably(disk: Disk, directory: str, name: str, data: bytes) -> None:
    """Replace `directory/name` by `data` so that a crash leaves the old or the new file, never a mixture."""
    temporary = f"{directory}/{name}.tmp"
    file = disk.open(temporary, create=True)
    try:
        file.truncate(0)
        file.pwrite(data, 0)
        file.fdatasync()
    finally:
        file.close()
    disk.rename(temporary, f"{directory}/{name}")
    disk.fsync_directory(directory)


def write_zeros(file: File, start: int, end: int) -> None:
    """Write real zeros over bytes `start` to `end`; allocated but unwritten extents would slow each later sync."""
    offset = start
    while offset < end:
        chunk = min(len(ZERO_CHUNK), end - offset)
        file.pwrite(ZERO_CHUNK if chunk == len(ZERO_CHUNK) else bytes(chunk), offset)
        offset += chunk


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
