"""Core, engine and frame codec compiled a second time, under AddressSanitizer and UndefinedBehaviorSanitizer.

The shipped extensions are not touched: the sanitized ones stand in build/sanitized and are built again when a source, a
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
    "CODEC",
    "ENGINE",
    "EXTENSION",
    "EXTENSION_SOURCE",
    "FLAGS",
    "PLAIN_FLAGS",
    "ROOT",
    "SanitizerMissing",
    "compile_c",
    "compile_codec",
    "compile_engine",
    "compile_planted",
    "compile_sanitized",
    "engine_extension",
    "sanitized_environment",
]

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "sanitized"
EXTENSION = BUILD / f"_order_book{sysconfig.get_config_var('EXT_SUFFIX')}"
EXTENSION_SOURCE = BUILD / "_order_book.c"
ENGINE = tuple(sorted(f"exchange.engine.{path.stem}" for path in (ROOT / "exchange" / "engine").glob("*.pyx")))
CODEC = ("exchange.gateway._frames",)
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


def fingerprint(*folders: str) -> str:
    """Digest of everything that decides what the compiler writes of the sources in some folders."""
    digest = hashlib.sha256(" ".join((COMPILER, *FLAGS, runtime())).encode())
    for path in sorted(path for folder in folders for path in (ROOT / folder).glob("*.p[yx][xd]")):
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


def engine_extension(module: str) -> Path:
    """Where the sanitized extension of a module of the engine or of the codec stands."""
    return BUILD / f"{module.rpartition('.')[2]}{sysconfig.get_config_var('EXT_SUFFIX')}"


def compile_sanitized() -> Path:
    """Bring the sanitized core up to date and return its path."""
    _refresh("fingerprint", ("matching_core",), {"matching_core/_order_book.pyx": EXTENSION})
    return EXTENSION


def compile_engine() -> None:
    """Bring the sanitized engine up to date."""
    _refresh("fingerprint-engine", ("matching_core", "exchange/engine"), _sources(ENGINE))


def compile_codec() -> None:
    """Bring the sanitized frame codec up to date."""
    _refresh("fingerprint-codec", ("exchange/gateway",), _sources(CODEC))


def _sources(modules: tuple[str, ...]) -> dict[str, Path]:
    return {f"{module.replace('.', '/')}.pyx": engine_extension(module) for module in modules}


def _refresh(stamp_name: str, folders: tuple[str, ...], extensions: dict[str, Path]) -> None:
    """Compile the extensions, given by source, unless they are what the stamp says."""
    stamp = BUILD / stamp_name
    wanted = fingerprint(*folders)
    if all(path.exists() for path in extensions.values()) and stamp.exists() and stamp.read_text() == wanted:
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    for source, target in extensions.items():
        sys.stdout.write(f"sanitizers: compiling {source}\n")
        sys.stdout.flush()
        written = BUILD / Path(source).with_suffix(".c").name
        command = [sys.executable, "-m", "cython", "-3", "-o", str(written), source]
        subprocess.run(command, cwd=ROOT, check=True)
        compile_c(written, target)
    stamp.write_text(wanted)
