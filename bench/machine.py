"""The machine a figure was measured on: without it a figure says nothing."""

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

__all__ = ["describe", "line"]

_SYNCS = 60
_BLOCK_BYTES = 4096


def describe(folder: Path) -> dict[str, object]:
    """CPU, cores, Python, commit, and the median fdatasync of one block in `folder`."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "fdatasync_p50_us": round(_fdatasync_p50_us(folder), 1),
    }


def line(machine: dict[str, object]) -> str:
    """One line for people."""
    return (
        f"machine: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, commit {machine['commit']}, "
        f"fdatasync p50 {machine['fdatasync_p50_us']} us"
    )


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for text in information.read_text().splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """Short hash, with a plus when tracked files differ from it."""
    root = Path(__file__).resolve().parents[1]
    try:
        head = _git(root, "rev-parse", "--short", "HEAD")
        return f"{head}+" if _git(root, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _fdatasync_p50_us(folder: Path) -> float:
    """Overwrite a pre-zeroed file block by block, as the journal does."""
    path = folder / "fdatasync.probe"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    samples: list[float] = []
    try:
        os.pwrite(descriptor, bytes(_SYNCS * _BLOCK_BYTES), 0)
        os.fsync(descriptor)
        for number in range(_SYNCS):
            start = time.perf_counter_ns()
            os.pwrite(descriptor, b"p" * _BLOCK_BYTES, number * _BLOCK_BYTES)
            getattr(os, "fdatasync", os.fsync)(descriptor)
            samples.append((time.perf_counter_ns() - start) / 1e3)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(samples)
