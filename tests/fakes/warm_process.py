"""Real processes of our own programs that start without importing the world again.

A server with the imports done forks each of them: own process id, signals, files and exit code, killed like any other.
The interpreter's start is what they share; tests of command lines start that too.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["WarmProcess"]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["settlement.onchain.local_rpc", "tests.faults.settler_child"])


def _run(program: Callable[[Sequence[str]], int | None], arguments: Sequence[str], output: Connection) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output.fileno(), 1)
    output.close()
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    raise SystemExit(program(list(arguments)))


class WarmProcess:
    """`program(arguments)` in a process; its standard output is `stdout`, its result the exit code."""

    def __init__(self, program: Callable[[Any], int | None], arguments: Sequence[object]) -> None:
        """Start it."""
        reader, writer = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_run, args=(program, [str(one) for one in arguments], writer))
        self._process.start()
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()))
        reader.close()

    def poll(self) -> int | None:
        """Exit code, negative for a signal, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Signal it, if it still runs."""
        if self.poll() is None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; the exit code. AssertionError beyond the limit."""
        self._process.join(timeout_s)
        code = self.poll()
        assert code is not None, f"the process did not end within {timeout_s} s"
        self.stdout.close()
        self._process.close()
        return code
