"""The matching core compiled a second time, under AddressSanitizer and UndefinedBehaviorSanitizer.

The shipped extension is not touched: the sanitized one stands in build/sanitized and is built again when a source, a
flag or the compiler changed. Python's own compiler flags are left out on purpose: they hold -fwrapv, which would make
signed overflow defined and blind the sanitizer to it.
"""

import hashlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = [
    "EXTENSION",
    "EXTENSION_SOURCE",
    "FLAGS",
    "PLAIN_FLAGS",
    "ROOT",
    "SanitizerMissing",
    "compile_c",
    "compile_planted",
    "compile_sanitized",
    "sanitized_environment",
]

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "sanitized"
EXTENSION = BUILD / f"_order_book{sysconfig.get_config_var('EXT_SUFFIX')}"
EXTENSION_SOURCE = BUILD / "_order_book.c"
PLAIN_FLAGS = ("-shared", "-fPIC")
FLAGS = (
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-O1",
    "-g",
    *PLAIN_FLAGS,
)
COMPILER = os.environ.get("CC", "cc")
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    # Python's own allocator hides the ends of small objects, packed commands among them.
    "PYTHONMALLOC": "malloc",
}


class SanitizerMissing(Exception):
    """The compiler of this machine has no sanitizers."""


def runtime() -> str:
    """Path of the AddressSanitizer runtime, which must be loaded before Python itself."""
    command = [COMPILER, "-print-file-name=libasan.so"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(found).is_absolute():
        raise SanitizerMissing(f"{COMPILER} has no libasan: install gcc with its sanitizers (Debian: libasan8)")
    return str(Path(found).resolve())


def sanitized_environment() -> dict[str, str]:
    """Environment of a process that may load sanitized code."""
    return {**os.environ, **OPTIONS, "LD_PRELOAD": runtime()}


def fingerprint() -> str:
    """Digest of everything that decides what the compiler writes."""
    digest = hashlib.sha256(" ".join((COMPILER, *FLAGS, runtime())).encode())
    for path in sorted((*(ROOT / "matching_core").glob("*.pyx"), *(ROOT / "matching_core").glob("*.pxd"))):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def compile_c(source: Path, target: Path, flags: tuple[str, ...] = FLAGS) -> None:
    """Compile one C file into a shared library, sanitized unless other flags are given."""
    include = sysconfig.get_paths()["include"]
    # Written beside the target first: an interrupted compiler leaves no half library that looks up to date.
    partial = target.with_suffix(f".{os.getpid()}.partial")
    subprocess.run([COMPILER, *flags, f"-I{include}", str(source), "-o", str(partial)], check=True)
    partial.replace(target)


def compile_planted() -> Path:
    """Bring the planted errors up to date, compiled as the sanitized core is, and return their library."""
    source = ROOT / "tests" / "sanitizers" / "planted.c"
    target = BUILD / "planted.so"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        compile_c(source, target)
    return target


def compile_sanitized() -> Path:
    """Bring the sanitized extension up to date and return its path."""
    stamp = BUILD / "fingerprint"
    wanted = fingerprint()
    if EXTENSION.exists() and stamp.exists() and stamp.read_text() == wanted:
        return EXTENSION
    BUILD.mkdir(parents=True, exist_ok=True)
    sys.stdout.write("sanitizers: compiling the matching core\n")
    sys.stdout.flush()
    cython = [sys.executable, "-m", "cython", "-3", "-o", str(EXTENSION_SOURCE), "matching_core/_order_book.pyx"]
    subprocess.run(cython, cwd=ROOT, check=True)
    stamp.unlink(missing_ok=True)
    compile_c(EXTENSION_SOURCE, EXTENSION)
    stamp.write_text(wanted)
    return EXTENSION
