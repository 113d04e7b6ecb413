"""A disk in memory that loses what was not synced, refuses on command, and forgets names without a folder sync.

The model: a file has a durable image and a list of unsynced writes; reads see both. At a crash each unsynced 512-byte
sector is kept or lost on its own, or the last write is cut at a given byte. A folder's changes that were not synced
survive as a prefix of their order. A failed sync leaves its writes readable but never makes them durable: the next
sync reports success without them, as Linux does.
"""

import errno
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["MUTATIONS", "Keep", "SimCrashError", "SimDisk", "SimFile"]

SECTOR_BYTES = 512
MUTATIONS = ("pwrite", "truncate", "fdatasync", "create", "rename", "unlink", "fsync_directory")


class SimCrashError(Exception):
    """The power went out at the operation that `crash_at` named; only `crash` or `image` bring the disk back."""


class Keep(Enum):
    """What a crash keeps of the unsynced sectors."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    RANDOM = "random"


@dataclass(slots=True)
class _Inode:
    durable: bytearray = field(default_factory=bytearray)
    cached: bytearray = field(default_factory=bytearray)
    # Unsynced operations in order: (offset, data) is a write, (size, None) a truncation.
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    # Writes of a failed sync: readable, perhaps on the platter, never synced by a later call.
    orphaned: list[tuple[int, bytes | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Change:
    """One unsynced change of a folder: the name points to `inode` afterwards, or to nothing."""

    folder: str
    names: tuple[tuple[str, _Inode | None], ...]


class SimDisk:
    """A `Disk` for tests: `crash`, `image`, `fail`, `flip_bit`, `capacity_bytes`, `crash_at`."""

    def __init__(self, seed: int = 0) -> None:
        self.capacity_bytes: int | None = None
        self.operation_count = 0
        self.crash_at: int | None = None
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._durable: dict[str, _Inode] = {}
        self._names: dict[str, _Inode] = {}
        self._changes: list[_Change] = []
        self._folders: set[str] = set()
        self._faults: dict[tuple[str, int], tuple[int, bool]] = {}
        self._last_written: _Inode | None = None
        self._life = 0
        self._crashed = False

    # The Disk protocol

    def open(self, path: str, create: bool = False) -> "SimFile":
        """Open a file, or create an empty one."""
        if path not in self._names:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            self._step("create")
            self._change(_Change(_folder(path), ((path, _Inode()),)))
        return SimFile(self, self._names[path], self._life)

    def exists(self, path: str) -> bool:
        """Say whether a file or folder has this name."""
        return path in self._names or path in self._folders

    def listdir(self, path: str) -> list[str]:
        """Return the names in a folder, sorted."""
        return sorted(name.rpartition("/")[2] for name in self._names if _folder(name) == path)

    def mkdir(self, path: str) -> None:
        """Create a folder; folders are durable at once, as the real disk syncs the parent."""
        self._folders.add(path)

    def rename(self, source: str, target: str) -> None:
        """Rename within a folder; lost by a crash without `fsync_directory`."""
        if source not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", source)
        self._step("rename")
        self._change(_Change(_folder(source), ((source, None), (target, self._names[source]))))

    def unlink(self, path: str) -> None:
        """Remove a name; it may come back after a crash without `fsync_directory`."""
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        self._step("unlink")
        self._change(_Change(_folder(path), ((path, None),)))

    def fsync_directory(self, path: str) -> None:
        """Make the folder's changes durable."""
        self._step("fsync_directory")
        for change in self._changes:
            if change.folder == path:
                _apply(self._durable, change)
        self._changes = [change for change in self._changes if change.folder != path]

    def size(self, path: str) -> int:
        """Return the size that a reader sees."""
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return len(self._names[path].cached)

    # Faults

    def fail(self, operation: str, *, at: int | None = None, error: int = errno.EIO, forever: bool = False) -> None:
        """Make the `at`-th `operation` from now (0: the next) raise `error`; a failed pwrite leaves half its bytes."""
        self._faults[operation, self.counts[operation] + (at or 0)] = (error, forever)

    def heal(self) -> None:
        """Forget all faults not yet met."""
        self._faults.clear()

    def flip_bit(self, path: str, bit: int) -> None:
        """Flip bit `bit` of a file (byte `bit // 8`), on the platter and in the cache."""
        inode = self._names[path]
        for data in (inode.durable, inode.cached):
            if bit // 8 < len(data):
                data[bit // 8] ^= 1 << bit % 8

    def bytes_of(self, path: str) -> bytes:
        """Return what a reader sees of a file."""
        return bytes(self._names[path].cached)

    def last_write_bytes(self) -> int:
        """Return the length of the last write when it is still unsynced, else 0."""
        inode = self._last_written
        data = inode.pending[-1][1] if inode is not None and inode.pending else None
        return len(data) if data is not None else 0

    # Crashes

    def crash(self, keep: Keep = Keep.RANDOM, *, cut_bytes: int | None = None) -> None:
        """Lose power now and come back: see `image`. Open files are dead."""
        after = self.image(self._random.getrandbits(32), keep, cut_bytes=cut_bytes)
        self._names, self._durable, self._changes = after._names, after._durable, []
        self._folders, self._last_written, self.crash_at = after._folders, None, None
        self._life += 1
        self._crashed = False

    def image(self, seed: int, keep: Keep = Keep.RANDOM, *, cut_bytes: int | None = None) -> "SimDisk":
        """Return a new disk as one crash now would leave it; this one is untouched.

        `cut_bytes`: all earlier unsynced writes are kept and the very last one is cut after that many bytes.
        """
        chance = random.Random(seed)
        after = SimDisk(seed)
        after._folders = set(self._folders)
        names = dict(self._durable)
        kept_changes = {Keep.NOTHING: 0, Keep.EVERYTHING: len(self._changes)}.get(keep)
        if kept_changes is None:
            kept_changes = chance.randint(0, len(self._changes))
        for change in self._changes[:kept_changes]:
            _apply(names, change)
        for path, inode in names.items():
            data = bytes(self._survivor(inode, chance, keep, cut_bytes))
            after._names[path] = after._durable[path] = _Inode(bytearray(data), bytearray(data))
        return after

    def _survivor(self, inode: _Inode, chance: random.Random, keep: Keep, cut_bytes: int | None) -> bytearray:
        data = bytearray(inode.durable)
        operations = inode.orphaned + inode.pending
        for index, (offset, written) in enumerate(operations):
            is_last = inode is self._last_written and index == len(operations) - 1
            if cut_bytes is not None:
                _keep_prefix(data, offset, written, cut_bytes if is_last else None)
            elif keep is Keep.EVERYTHING:
                _keep_prefix(data, offset, written, None)
            elif keep is Keep.RANDOM:
                _keep_some(data, offset, written, chance)
        return data

    # Called by SimFile

    def _step(self, operation: str) -> None:
        """Count a mutation; crash or fail here when told to."""
        if self._crashed:
            raise SimCrashError("the disk is without power")
        index = self.counts[operation]
        self.counts[operation] += 1
        self.operation_count += 1
        if self.crash_at is not None and self.operation_count > self.crash_at:
            self._crashed = True
            raise SimCrashError(f"power lost at operation {self.operation_count} ({operation})")
        for (name, at), (error, forever) in self._faults.items():
            if name == operation and (index == at or (forever and index > at)):
                raise OSError(error, f"injected at {operation} {index}")

    def _room(self, inode: _Inode, end: int) -> None:
        used = sum(len(each.cached) for each in {id(each): each for each in self._names.values()}.values())
        if self.capacity_bytes is not None and used + max(0, end - len(inode.cached)) > self.capacity_bytes:
            raise OSError(errno.ENOSPC, "the simulated disk is full")

    def _change(self, change: _Change) -> None:
        self._changes.append(change)
        _apply(self._names, change)


class SimFile:
    """An open file of a `SimDisk`; dead after a crash."""

    def __init__(self, disk: SimDisk, inode: _Inode, life: int) -> None:
        self._disk = disk
        self._inode = inode
        self._life = life

    def pwrite(self, data: bytes, offset: int) -> None:
        """Write into the cache. A failing or crashing write leaves its first half, or all of it, unsynced."""
        self._alive()
        self._disk._room(self._inode, offset + len(data))
        try:
            self._disk._step("pwrite")
        except SimCrashError:
            self._write(data, offset)
            raise
        except OSError:
            self._write(data[: len(data) // 2], offset)
            raise
        self._write(data, offset)

    def pread(self, byte_count: int, offset: int) -> bytes:
        """Return what the cache holds."""
        self._alive()
        return bytes(self._inode.cached[offset : offset + byte_count])

    def fdatasync(self) -> None:
        """Make the writes durable; when it fails they are orphaned and a later sync will not save them."""
        self._alive()
        inode = self._inode
        try:
            self._disk._step("fdatasync")
        except OSError:
            inode.orphaned += inode.pending
            inode.pending = []
            raise
        for offset, data in inode.pending:
            _keep_prefix(inode.durable, offset, data, None)
        inode.pending = []

    def truncate(self, byte_count: int) -> None:
        """Cut or extend with zeros."""
        self._alive()
        self._disk._room(self._inode, byte_count)
        self._disk._step("truncate")
        self._inode.pending.append((byte_count, None))
        _keep_prefix(self._inode.cached, byte_count, None, None)

    def close(self) -> None:
        """Do nothing: closing does not sync."""

    def _write(self, data: bytes, offset: int) -> None:
        self._inode.pending.append((offset, data))
        self._disk._last_written = self._inode
        _keep_prefix(self._inode.cached, offset, data, None)

    def _alive(self) -> None:
        if self._life != self._disk._life:
            raise OSError(errno.EBADF, "opened before a crash")


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _apply(names: dict[str, _Inode], change: _Change) -> None:
    for name, inode in change.names:
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def _keep_prefix(data: bytearray, offset: int, written: bytes | None, cut_bytes: int | None) -> None:
    """Apply one operation to an image, a write only up to `cut_bytes`."""
    if written is None:
        data[offset:] = bytes(max(0, offset - len(data)))
        return
    kept = written if cut_bytes is None else written[:cut_bytes]
    if not kept:
        return
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(kept)] = kept


def _keep_some(data: bytearray, offset: int, written: bytes | None, chance: random.Random) -> None:
    """Apply each sector of one operation, or not, by chance."""
    if written is None:
        if chance.random() < 0.5:
            _keep_prefix(data, offset, None, None)
        return
    start = 0
    while start < len(written):
        end = min(len(written), start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES)
        if chance.getrandbits(1):
            _keep_prefix(data, offset + start, written[start:end], None)
        start = end
