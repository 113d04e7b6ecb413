"""A real redis-server of a test's own: on a unix socket in its folder, no port, nothing on disk."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

__all__ = ["RedisServer", "redis_server"]

_START_S = 10.0


class RedisServer:
    """Started, killed, paused, flushed and filled by its test."""

    def __init__(self, folder: Path) -> None:
        """Nothing runs yet."""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder / 'redis.sock'}"

    def start(self) -> None:
        """Start an empty server and wait until it answers."""
        binary = shutil.which("redis-server")
        assert binary is not None, "redis-server is not installed: run .ci/tools as root"
        line = [
            binary,
            "--port",
            "0",
            "--unixsocket",
            str(self._folder / "redis.sock"),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log, cwd=self._folder)
        deadline_s = time.monotonic() + _START_S
        while not self._answers():
            assert time.monotonic() < deadline_s, (self._folder / "redis.log").read_text()
            time.sleep(0.01)

    def client(self) -> Redis:
        """A client that waits for answers."""
        return Redis.from_url(self.url, socket_timeout=5.0)

    def kill(self) -> None:
        """SIGKILL: what was in memory is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Forget every key."""
        with self.client() as client:
            client.flushall()

    def fill(self) -> None:
        """Refuse every write that needs memory from now on."""
        with self.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """Run a server until the block ends."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
