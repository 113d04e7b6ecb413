"""The exchange under test: `offbook up --demo` without its bots, in a directory of its own, on a free port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from exchange.app.config import Settings, child_environment, load_settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.app.supervisor import fetch_json, fetch_metrics

__all__ = ["ExchangeUnderTest", "await_value", "free_port"]

_START_LIMIT_S: Final = 120.0
_STOP_LIMIT_S: Final = 40.0
_POLL_S: Final = 0.02
# Short windows: many batches and snapshots fall between the kills. The check reads every batch back, so none is pruned.
_ENVIRONMENT: Final = {
    "OFFBOOK_FINALITY_WINDOW_S": "2",
    "OFFBOOK_BATCH_INTERVAL_S": "1",
    "OFFBOOK_SNAPSHOT_INTERVAL_S": "3",
    "OFFBOOK_HISTORY_BLOCKS": "0",
}
_Value = TypeVar("_Value")


class ExchangeUnderTest:
    """Start it, find and kill its processes, stop it. `stop` is safe to call whenever."""

    def __init__(self, root: Path, port: int, seed: int) -> None:
        """Nothing runs yet; output of the supervisor goes to `root`/up.log."""
        self.directory = DataDirectory(root)
        self.settings: Settings = load_settings(
            {"data": root, "port": port, "seed": seed, "demo": True, "orders_per_second": 0.0}
        )
        self._output = root / "up.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The public websocket."""
        return f"ws://{self.settings.host}:{self.settings.port}/v3/ws"

    def start(self) -> None:
        """Start and wait for the banner. Raises Failure."""
        settings = self.settings
        command = [sys.executable, "-m", "exchange.cli.main", "up", "--demo", "--rate", "0"]
        command += ["--data", str(settings.data), "--port", str(settings.port), "--seed", str(settings.seed)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=child_environment(_ENVIRONMENT)
            )
        await_value(self._banner, _START_LIMIT_S, "the exchange did not start")

    def pid(self, name: str) -> int | None:
        """Process id of a child that is alive now."""
        try:
            status = msgspec.json.decode(self.directory.status.read_bytes())
        except (OSError, msgspec.DecodeError):
            return None
        pid: int | None = status["processes"].get(name, {}).get("pid")
        return pid if pid is not None and _is_child(pid, name) else None

    def kill(self, name: str) -> int | None:
        """SIGKILL a child; its process id, None when it does not run."""
        pid = self.pid(name)
        if pid is None:
            return None
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return pid

    def metrics(self) -> dict[str, float]:
        """Numbers of /metrics; empty while the exchange is away."""
        return fetch_metrics(f"http://{self.settings.host}:{self.settings.port}/metrics")

    def ready(self) -> Any:
        """What /ready says; None while the exchange is away."""
        return fetch_json(f"http://{self.settings.host}:{self.settings.port}/ready")

    def stop(self) -> int | None:
        """Ctrl-C, then SIGKILL after a while; the supervisor's exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            return process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _banner(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise Failure(f"`offbook up` ended: {self._output.read_text(errors='replace').strip()[-300:]}")
        return "\nready; " in self._output.read_text(errors="replace")


def await_value(look: Callable[[], _Value], limit_s: float, problem: str) -> _Value:
    """First true value of `look`, asked again and again; Failure with `problem` after `limit_s` seconds."""
    deadline_s = time.monotonic() + limit_s
    while not (value := look()):
        if time.monotonic() > deadline_s:
            raise Failure(f"{problem} within {limit_s:.0f} s")
        time.sleep(_POLL_S)
    return value


def free_port() -> int:
    """A port that is free with its successor, which the embedded chain takes."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def _is_child(pid: int, name: str) -> bool:
    """Whether `pid` is a live child of ours by its command line: process ids are used again."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"exchange.app.child" in words and name.encode() in words
