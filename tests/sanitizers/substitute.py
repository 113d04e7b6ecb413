"""Makes the compiled modules mean the sanitized extensions in this process, and proves that they do."""

import ctypes
import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

from tests.sanitizers.build import CODEC, ENGINE, EXTENSION, engine_extension

__all__ = [
    "NotSanitized",
    "require_codec",
    "require_engine",
    "require_sanitized",
    "substitute",
    "substitute_codec",
    "substitute_engine",
]

MODULE = "matching_core._order_book"
MARKS = (b"__asan_report_store8", b"__asan_report_load8", b"__ubsan_handle_add_overflow_abort")


class NotSanitized(Exception):
    """The core in this process is not the sanitized one: whatever ran on it proves nothing about memory."""


class _Finder(MetaPathFinder):
    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, str(file)))


def substitute(file: Path = EXTENSION) -> None:
    """Let every later import of the core's extension load `file`; call it before `matching_core` is imported."""
    if MODULE in sys.modules:
        raise NotSanitized(f"{MODULE} was imported before it could be substituted")
    sys.meta_path.insert(0, _Finder({MODULE: file}))


def substitute_engine() -> None:
    """The same for the engine's extensions."""
    _substitute_all(ENGINE)


def substitute_codec() -> None:
    """The same for the gateway's frame codec."""
    _substitute_all(CODEC)


def require_sanitized(file: Path = EXTENSION) -> None:
    """Raise NotSanitized unless the imported core is `file`, has the checks and the runtime is in this process."""
    core = importlib.import_module(MODULE)
    book = importlib.import_module("matching_core").OrderBook
    if Path(core.__file__ or "").resolve() != file.resolve():
        raise NotSanitized(f"{MODULE} came from {core.__file__}")
    if core.OrderBook not in book.__mro__:
        raise NotSanitized("matching_core.OrderBook is not the extension's class")
    code = file.read_bytes()
    missing = [mark.decode() for mark in MARKS if mark not in code]
    if missing:
        raise NotSanitized(f"the extension was compiled without {', '.join(missing)}")
    if not hasattr(ctypes.CDLL(None), "__asan_init"):
        raise NotSanitized("AddressSanitizer is not loaded in this process")


def require_engine() -> None:
    """Raise NotSanitized unless every extension of the engine, imported now, is the sanitized one."""
    _require_all(ENGINE)


def require_codec() -> None:
    """The same for the frame codec, and that the runtime is in this process."""
    _require_all(CODEC)
    if not hasattr(ctypes.CDLL(None), "__asan_init"):
        raise NotSanitized("AddressSanitizer is not loaded in this process")


def _substitute_all(modules: tuple[str, ...]) -> None:
    early = [module for module in modules if module in sys.modules]
    if early:
        raise NotSanitized(f"{early[0]} was imported before it could be substituted")
    sys.meta_path.insert(0, _Finder({module: engine_extension(module) for module in modules}))


def _require_all(modules: tuple[str, ...]) -> None:
    for module in modules:
        file = importlib.import_module(module).__file__ or ""
        expected = engine_extension(module)
        if Path(file).resolve() != expected.resolve():
            raise NotSanitized(f"{module} came from {file}")
        if b"__asan_report" not in expected.read_bytes():
            raise NotSanitized(f"{module} was compiled without the sanitizers")
