"""The link of a helper process to the exchange: connect, run a step at an interval, reconnect when it breaks."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from exchange.bus.unix_socket import UnixPort

__all__ = ["run_linked", "stop_event", "stop_flag"]

_RETRY_S = 0.2


def stop_event() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def stop_flag() -> threading.Event:
    """The same for a process without event loop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


async def run_linked(path: Path, session: Callable[[UnixPort], Awaitable[None]]) -> None:
    """Keep a session with the exchange until told to stop; a broken link begins a new session."""
    stop = stop_event()
    stopped = asyncio.create_task(stop.wait())
    while not stop.is_set():
        try:
            port = await UnixPort.connect(path)
        except OSError:
            await asyncio.wait({stopped}, timeout=_RETRY_S)
            continue
        work = asyncio.ensure_future(session(port))
        gone = asyncio.create_task(port.closed.wait())
        await asyncio.wait({work, gone, stopped}, return_when=asyncio.FIRST_COMPLETED)
        failed = work.done() and not work.cancelled() and work.exception() is not None and not port.closed.is_set()
        for task in (work, gone):
            task.cancel()
        port.close()
        if failed:
            work.result()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await work
    stopped.cancel()
