"""Child processes: how they are started, watched, restarted and stopped, and that none is left behind.

Each child runs `python -m exchange.app.child NAME` with its settings as one JSON argument and its output in a bounded
log file. A child asks the kernel to be killed when its parent dies, so that even a killed supervisor leaves nothing.
A crash is followed by a restart; only crashes soon after a start make the pause before the next one longer.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from exchange.app.config import Settings

__all__ = [
    "Child",
    "ChildSpec",
    "child_command",
    "die_with",
    "restart_delay_s",
    "settings_from_json",
    "settings_to_json",
    "trim_log",
]

_LOG_LIMIT_BYTES: Final = 4 << 20
_PR_SET_PDEATHSIG: Final = 1
_RESTART_DELAYS_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_SHORT_LIFE_S: Final = 3.0
"""A child that crashes sooner than this after its start does not get well by starting it at once."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. When it ends by itself with one of `fatal_codes`, it stays down and `on_fatal` hears of it."""

    name: str
    stop_grace_s: float = 5.0
    fatal_codes: tuple[int, ...] = (78,)


@dataclass(slots=True)
class Child:
    """One supervised process."""

    spec: ChildSpec
    settings: Settings
    log_path: Path
    on_fatal: Callable[[str, int], None]
    on_start: Callable[[], None] = lambda: None
    """Called after each start: the process id is another one."""
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None
    _stopping: bool = False
    _short_lives: int = 0
    _started_s: float = 0.0
    _watch: "asyncio.Task[None] | None" = field(default=None)

    async def start(self) -> None:
        """Start it and keep it running until `stop`."""
        await self._spawn()
        self._watch = asyncio.create_task(self._keep_alive(), name=f"watch {self.spec.name}")

    async def stop(self) -> None:
        """SIGTERM, wait for the grace period, then SIGKILL."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self.process is None or self.process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), self.spec.stop_grace_s)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.process.wait()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        running = self.process is not None and self.process.returncode is None
        return self.process.pid if running and self.process is not None else None

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.process is not None:
                self.process.send_signal(number)

    async def _spawn(self) -> None:
        trim_log(self.log_path)
        with self.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *child_command(self.spec.name, self.settings),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started_s = time.monotonic()
        self.on_start()

    async def _keep_alive(self) -> None:
        while not self._stopping and self.process is not None:
            code = await self.process.wait()
            if self._stopping:
                return
            if code in self.spec.fatal_codes:
                self.on_fatal(self.spec.name, code)
                return
            is_short = time.monotonic() - self._started_s < _SHORT_LIFE_S
            self._short_lives = self._short_lives + 1 if is_short else 0
            self.restarts += 1
            await asyncio.sleep(restart_delay_s(self._short_lives))
            await self._spawn()


def restart_delay_s(short_lives: int) -> float:
    """Pause before a restart after `short_lives` crashes in a row that came soon after a start."""
    return _RESTART_DELAYS_S[min(short_lives, len(_RESTART_DELAYS_S) - 1)]


def child_command(name: str, settings: Settings) -> list[str]:
    """Argument vector of process `name`; it ends when the calling process does."""
    return [sys.executable, "-m", "exchange.app.child", name, settings_to_json(settings), str(os.getpid())]


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when process `parent`, which started it, ends (Linux; else nothing).

    The parent's id is an argument, because a parent that died before this call is no longer ours to ask for.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def settings_to_json(settings: Settings) -> str:
    """One line that `settings_from_json` reads back."""
    return json.dumps(
        {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    )


def settings_from_json(text: str) -> Settings:
    """Inverse of `settings_to_json`."""
    values = json.loads(text)
    return Settings(**{**values, "data": Path(values["data"])})


def trim_log(path: Path) -> None:
    """Keep the newer half of a log that outgrew its bound; its writer appends, so it may go on meanwhile."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.write_bytes(path.read_bytes()[-_LOG_LIMIT_BYTES // 2 :])
