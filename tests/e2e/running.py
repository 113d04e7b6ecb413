"""A whole exchange in processes of its own, started as a user starts it: `offbook up --demo` on a free port."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["OFFBOOK", "Running", "free_port", "running", "until"]

OFFBOOK = Path(sys.executable).with_name("offbook")
START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 45
_POLL_S = 0.1


@dataclass
class Running:
    """A started exchange: its address, data directory and demo accounts."""

    port: int
    data: Path
    process: "subprocess.Popen[bytes]"

    @property
    def http(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> str:
        """URL of the websocket."""
        return f"ws://127.0.0.1:{self.port}/v3/ws"

    @property
    def output(self) -> str:
        """What `offbook up` printed so far."""
        return _output(self.data)

    @property
    def accounts(self) -> list[dict[str, Any]]:
        """Rows of demo_accounts.json."""
        rows: list[dict[str, Any]] = json.loads((self.data / "demo_accounts.json").read_text())
        return rows

    def public(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Result of a public method over REST."""
        request = urllib.request.Request(
            f"{self.http}/v3/public/{method}",
            json.dumps(params or {}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)["result"]

    def command(self, *words: str, names_port: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run another `offbook` verb on the same data directory; some verbs know no port."""
        line = [str(OFFBOOK), *words, "--data", str(self.data)]
        line += ["--port", str(self.port)] if names_port else []
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, env=_environment())


@contextlib.contextmanager
def running(
    root: Path, *options: str, port: int | None = None, rate: float = 24.0, default_data: bool = False
) -> Iterator[Running]:
    """Start in the folder `root` and stop with Ctrl-C's signal; `rate` is what all bots send per second.

    With `default_data` no `--data` is given: the data is where a newcomer has it.
    """
    port = port or free_port()
    folder = root / (".offbook" if default_data else "data")
    line = [str(OFFBOOK), "up", "--demo", "--port", str(port), "--rate", str(rate), *options]
    line += [] if default_data else ["--data", str(folder)]
    with (root / "up.log").open("wb") as log:
        process = subprocess.Popen(
            line, cwd=root, stdout=log, stderr=subprocess.STDOUT, env=_environment(), start_new_session=True
        )
    try:
        until(
            lambda: "\nready;" in _output(folder) or process.poll() is not None,
            lambda: _output(folder),
            timeout_s=START_TIMEOUT_S,
        )
        assert process.poll() is None, _output(folder)
        yield Running(port, folder, process)
    finally:
        _stop(process)


def until(holds: Callable[[], Any], what: str | Callable[[], str], *, timeout_s: float = 30) -> Any:
    """Poll until `holds` gives something true and return it; AssertionError says `what` was waited for."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := holds()):
        assert time.monotonic() < deadline_s, what if isinstance(what, str) else what()
        time.sleep(_POLL_S)
    return value


def free_port() -> int:
    """Return a port that is free, like the next one, which the embedded chain takes."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


def _output(folder: Path) -> str:
    return (folder.parent / "up.log").read_text(errors="replace")


def _environment() -> dict[str, str]:
    """Our environment without settings of somebody's own exchange."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OFFBOOK_")}


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
