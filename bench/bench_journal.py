"""G3 (its disk part): group commit of 1, 64 and 1024 records of 128 bytes, beside a raw fdatasync of the same bytes.

Raw syncs and commits alternate on two pre-zeroed files of one disk, so a slow phase hits both. Batch 1 also goes
through the commit thread: from `stage` to the callback, what a lone order waits for. `SIZE=small` makes fewer commits.
`BENCH_DIR` names a folder on the disk to measure (default: pytest's temporary folder).
"""

import hashlib
import os
import statistics
import threading
import time
from pathlib import Path

import pytest

from exchange.journal.commit_thread import CommitThread
from exchange.journal.disk import RealDisk, write_zeros
from exchange.journal.group import BLOCK_BYTES, Group
from exchange.journal.reader import read_groups
from exchange.journal.writer import JournalWriter

SMALL = os.environ.get("SIZE") == "small"
COMMITS = 50 if SMALL else 500
SEGMENT_BYTES = (8 if SMALL else 64) << 20
RAW_FILE_BYTES = 8 << 20
# G3: a durable round trip may exceed a plain one by this many raw syncs.
TARGET_RATIO = 2.5


class RawSync:
    """Overwrites a pre-zeroed file block by block and syncs each write: the floor of any journal."""

    def __init__(self, disk, write_bytes):
        self._file = disk.open("raw", create=True)
        write_zeros(self._file, 0, RAW_FILE_BYTES)
        self._file.fdatasync()
        self._data = b"r" * write_bytes
        self._offset = 0
        self.samples_us = []

    def __call__(self):
        start = time.perf_counter_ns()
        self._file.pwrite(self._data, self._offset)
        self._file.fdatasync()
        self.samples_us.append((time.perf_counter_ns() - start) / 1e3)
        self._offset = (
            (self._offset + len(self._data)) % (RAW_FILE_BYTES - len(self._data)) // BLOCK_BYTES * BLOCK_BYTES
        )


class Flow:
    """Stages groups of `batch` records, each with 64 bytes of attachment."""

    def __init__(self, disk, batch):
        self.disk = disk
        self.writer = JournalWriter(disk, epoch=1, segment_bytes=SEGMENT_BYTES)
        self.writer.prepare_next()
        self._batch = batch
        self._records = bytes(range(64)) * batch
        self._attachments = b"a" * 64 * batch

    def stage(self):
        sequence = self.writer.next_sequence
        self.writer.stage(
            Group(
                first_sequence=sequence,
                command_count=self._batch,
                timestamp_ns=sequence,
                records=self._records,
                attachments=self._attachments,
            )
        )

    def commit(self):
        self.stage()
        self.writer.commit_staged()

    def result_hash(self):
        """Close the journal, read it back, hash it; every command must be there."""
        self.writer.close()
        digest, last = hashlib.sha256(), 0
        for group in read_groups(self.disk):
            digest.update(b"%d %d" % (group.first_sequence, group.timestamp_ns) + group.body())
            last = group.last_sequence
        if last != self.writer.last_committed:
            raise RuntimeError(f"read back {last} of {self.writer.last_committed} commands")
        return digest.hexdigest()


@pytest.fixture
def disk(tmp_path):
    """The disk to measure."""
    folder = Path(os.environ["BENCH_DIR"]) / tmp_path.name if "BENCH_DIR" in os.environ else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return RealDisk(folder)


def write_bytes_of(batch):
    """Bytes that one commit of `batch` records writes."""
    return -(-(64 + 128 * batch) // BLOCK_BYTES) * BLOCK_BYTES


def p99_us(samples):
    """The 99th percentile."""
    return statistics.quantiles(samples, n=100)[98]


def report(benchmark, raw, samples_us, *, batch, result_hash):
    """Store the goal's figures."""
    value_us, reference_us = statistics.median(samples_us), statistics.median(raw.samples_us)
    benchmark.extra_info.update(
        goal="G3",
        value=round(value_us, 1),
        unit=f"us per commit of {batch}, p50",
        target=round(TARGET_RATIO * reference_us, 1),
        met=value_us <= TARGET_RATIO * reference_us,
        result_hash=result_hash,
        reference=round(reference_us, 1),
        ratio=round(value_us / reference_us, 2),
        p99_us=round(p99_us(samples_us), 1),
        reference_p99_us=round(p99_us(raw.samples_us), 1),
        commits_per_s=round(1e6 / value_us),
        records_per_s=round(1e6 * batch / value_us),
        durability="durable",
    )


@pytest.mark.parametrize("batch", [1, 64, 1024])
def test_group_commit(benchmark, disk, batch) -> None:
    """Stage and commit one group on the calling thread."""
    flow, raw = Flow(disk, batch), RawSync(disk, write_bytes_of(batch))
    benchmark.pedantic(flow.commit, setup=raw, rounds=COMMITS, warmup_rounds=5)
    samples_us = [seconds * 1e6 for seconds in benchmark.stats.stats.data]
    report(benchmark, raw, samples_us, batch=batch, result_hash=flow.result_hash())


def test_commit_thread(benchmark, disk) -> None:
    """From `stage` to the callback of the commit thread, one record at a time."""
    flow, raw = Flow(disk, 1), RawSync(disk, write_bytes_of(1))
    committed = threading.Semaphore(0)
    failures = []
    thread = CommitThread(flow.writer, lambda _: committed.release(), failures.append)
    thread.start()

    def round_trip():
        flow.stage()
        if not committed.acquire(timeout=10):
            raise RuntimeError(f"no commit: {failures}")

    benchmark.pedantic(round_trip, setup=raw, rounds=COMMITS, warmup_rounds=5)
    thread.stop()
    samples_us = [seconds * 1e6 for seconds in benchmark.stats.stats.data]
    report(benchmark, raw, samples_us, batch=1, result_hash=flow.result_hash())
