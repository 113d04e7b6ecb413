"""Children: restart pauses, bounded logs, settings as an argument, and no child after its parent."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.processes import (
    Child,
    ChildSpec,
    child_command,
    restart_delay_s,
    settings_from_json,
    settings_to_json,
    trim_log,
)
from exchange.app.supervisor import UpFailed
from tests.faults.running_exchange import await_true

_LIMIT = 4 << 20


@pytest.mark.parametrize(("short_lives", "delay_s"), [(0, 0.2), (1, 0.5), (4, 5.0), (400, 5.0)])
def test_restart_pause_grows_to_a_bound(short_lives, delay_s):
    """Only crashes soon after a start count."""
    assert restart_delay_s(short_lives) == delay_s


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (_LIMIT, _LIMIT), (_LIMIT + 1, _LIMIT // 2)])
def test_log_keeps_its_newer_half(tmp_path, size, kept):
    """Beyond the bound the end stays."""
    path = tmp_path / "x.log"
    path.write_bytes(b"a" * max(0, size - 3) + b"end"[: min(3, size)])
    trim_log(path)
    data = path.read_bytes()
    assert len(data) == kept
    assert data.endswith(b"end"[: min(3, size)])


def test_missing_log_is_fine(tmp_path):
    """The first start."""
    trim_log(tmp_path / "none.log")


def test_settings_survive_the_argument():
    """Paths included."""
    settings = Settings(data=Path("/a b/c"), port=9_000, demo=True, batch_interval_s=0.5)
    assert settings_from_json(settings_to_json(settings)) == settings


def test_child_of_another_parent_ends(tmp_path):
    """A parent that died before the child could ask to follow it."""
    settings = Settings(data=tmp_path)
    command = [*child_command("pricer", settings)[:-1], "1"]
    done = subprocess.run(command, timeout=30, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b""


def test_a_failure_of_the_supervisor_is_expected():
    """It becomes one line."""
    assert issubclass(UpFailed, Failure)


def _child(tmp_path, monkeypatch, code, **fields):
    monkeypatch.setattr("exchange.app.processes.child_command", lambda *_: [sys.executable, "-c", code])
    return Child(ChildSpec("x", **fields), Settings(data=tmp_path), tmp_path / "x.log", lambda *_: None)


def test_crash_is_restarted_and_told(tmp_path, monkeypatch):
    """Each start is announced, so that nobody shows an old process id."""
    child = _child(tmp_path, monkeypatch, "import time; time.sleep(60)")
    pids = []
    child.on_start = lambda: pids.append(child.pid)

    async def main():
        await child.start()
        os.kill(pids[0], signal.SIGKILL)
        await asyncio.to_thread(await_true, lambda: len(pids) == 2, 20, "the child's turn")
        await child.stop()

    asyncio.run(main())
    assert child.restarts == 1
    assert len(set(pids)) == 2
    assert child.pid is None


def test_fatal_code_is_not_restarted(tmp_path, monkeypatch):
    """A child that says it cannot run is believed."""
    heard = []
    child = _child(tmp_path, monkeypatch, "raise SystemExit(78)")
    child.on_fatal = lambda *what: heard.append(what)

    async def main():
        await child.start()
        await asyncio.to_thread(await_true, lambda: heard, 20, "the child's turn")
        await child.stop()

    asyncio.run(main())
    assert heard == [("x", 78)]
    assert child.restarts == 0


def test_child_that_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    """After the grace period."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = _child(tmp_path, monkeypatch, code, stop_grace_s=0.2)

    async def main():
        await child.start()
        await asyncio.to_thread(await_true, lambda: "up" in (tmp_path / "x.log").read_text(), 20, "the child's turn")
        await child.stop()

    asyncio.run(main())
    assert child.process.returncode == -signal.SIGKILL
