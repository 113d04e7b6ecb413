"""`offbook up`: start the processes in order, watch them, show one status line, stop them all.

chain -> contracts -> exchange -> gateways -> historian, pricer, feeds, settler, watcher -> (demo) accounts, makers,
takers. Each step waits until the one before answers. A child that crashes is started again; one that refuses to run
(exit code 78) stops everything, and its last line, which names the fix, is what the user sees. Without a historian or a
feed all goes on.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from exchange import __version__
from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory, DirectoryBusy, DirectoryLock
from exchange.app.processes import Child, ChildSpec, trim_log
from exchange.bus.redis_keys import redis_trouble

__all__ = ["Supervisor", "UpFailed", "fetch_json", "fetch_metrics", "port_is_free"]

FATAL_CODE: Final = 78
_START_TIMEOUT_S: Final = 60.0
_STATUS_INTERVAL_S: Final = 5.0


class UpFailed(Failure):
    """The exchange cannot run; the text is one line that names the fix."""


class Supervisor:
    """Owns the children of one data directory."""

    def __init__(self, settings: Settings, *, quiet: bool = False) -> None:
        """Nothing is started yet. `quiet`: only the banner's essentials, no status line."""
        self.settings = settings
        self.directory = DataDirectory(settings.data.resolve())
        self._children: list[Child] = []
        self._stop = asyncio.Event()
        self._fatal: str | None = None
        self._quiet = quiet

    async def run(self) -> None:
        """Run until a signal or a fatal child. Raises UpFailed; whatever happens, no child is left."""
        try:
            with DirectoryLock(self.directory):
                await self._run_locked()
        except DirectoryBusy as busy:
            raise UpFailed(str(busy)) from busy

    async def _run_locked(self) -> None:
        for name, port in self._ports():
            if not port_is_free(self.settings.host, port):
                raise UpFailed(f"port {port} ({name}) is in use: stop what listens there or choose another with --port")
        if self.settings.redis and (trouble := await asyncio.to_thread(redis_trouble, self.settings.redis)):
            raise UpFailed(trouble)
        self.directory.prepare()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        starting = asyncio.create_task(self._start_all())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await self._watch()
        finally:
            for task in (starting, stopping):
                task.cancel()
            await asyncio.gather(starting, stopping, return_exceptions=True)
            await self._stop_all()
        if self._fatal is not None:
            raise UpFailed(self._fatal)

    def _ports(self) -> list[tuple[str, int]]:
        ports = [("exchange", self.settings.port)]
        if self.settings.embedded_chain:
            ports.append(("embedded chain", self.settings.chain_port or self.settings.port + 1))
        ports += [(f"gateway {number}", port) for number, port in enumerate(self.settings.gateway_ports, 1)]
        ports += [(f"feed {number}", port) for number, port in enumerate(self.settings.feed_ports, 1)]
        return ports

    async def _start_all(self) -> None:
        self._say(f"offbook {__version__}, seed {self.settings.seed}, data in {self.directory.root}")
        if self.settings.embedded_chain:
            await self._start("chain", stop_grace_s=10)
        await self._until(self._chain_answers, f"chain at {self.settings.chain_url}")
        await self._run_once("deploy")
        await self._start("exchange", stop_grace_s=15)
        await self._until(self._exchange_answers, "exchange")
        await self._start_gateways()
        # Trading goes on without it: it is started again until somebody has repaired what it says in its log.
        await self._start("historian", fatal_codes=())
        await self._start("pricer")
        for number, _ in enumerate(self.settings.feed_ports, 1):
            # Rounds are signed without one of them, and trading goes on without all.
            await self._start(f"feed{number}", fatal_codes=())
        if self.settings.settler:
            await self._start("settler", stop_grace_s=10)
        await self._start("watcher", stop_grace_s=10)
        if self.settings.demo:
            await self._run_once("accounts")
            if self.settings.orders_per_second > 0:
                await self._start("makers")
                await self._start("takers")
                await self._until(self._is_quoted, "demo market's first quotes")
        self._banner()

    async def _start_gateways(self) -> None:
        for number, port in enumerate(self.settings.gateway_ports, 1):
            await self._start(f"gateway{number}")
            url = f"http://{self.settings.host}:{port}/ready"
            await self._until(lambda url=url: (fetch_json(url) or {}).get("ready"), f"gateway {number}")

    async def _start(
        self, name: str, *, stop_grace_s: float = 5.0, fatal_codes: tuple[int, ...] = (FATAL_CODE,)
    ) -> Child:
        spec = ChildSpec(name=name, stop_grace_s=stop_grace_s, fatal_codes=fatal_codes)
        child = Child(
            spec, self.settings, self.directory.logs / f"{name}.log", self._on_fatal, on_start=self._write_status
        )
        self._children.append(child)
        await child.start()
        return child

    async def _run_once(self, name: str) -> None:
        """Run a child that ends by itself; its failure is ours."""
        done = asyncio.Event()
        codes: list[int] = []

        def ended(_: str, code: int) -> None:
            codes.append(code)
            done.set()

        spec = ChildSpec(name=name, fatal_codes=tuple(range(-64, 256)))
        child = Child(spec, self.settings, self.directory.logs / f"{name}.log", ended)
        self._children.append(child)
        await child.start()
        try:
            await asyncio.wait_for(done.wait(), _START_TIMEOUT_S)
        except TimeoutError as error:
            raise UpFailed(f"{name} did not finish within {_START_TIMEOUT_S:.0f} s, see {child.log_path}") from error
        self._children.remove(child)
        if codes[0] != 0:
            raise UpFailed(_last_line(child.log_path) or f"{name} ended with code {codes[0]}, see {child.log_path}")

    def _on_fatal(self, name: str, code: int) -> None:
        path = self.directory.logs / f"{name}.log"
        self._fatal = _last_line(path) or f"{name} ended with code {code}, see {path}"
        self._stop.set()

    async def _until(self, ready: Any, what: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not await asyncio.to_thread(ready):
            if self._fatal is not None:
                raise UpFailed(self._fatal)
            if time.monotonic() > deadline:
                raise UpFailed(f"the {what} did not answer within {_START_TIMEOUT_S:.0f} s, see {self.directory.logs}")
            await asyncio.sleep(0.05)

    def _chain_answers(self) -> bool:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
        request = urllib.request.Request(  # noqa: S310 - the operator's own URL
            self.settings.chain_url, body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as reply:  # noqa: S310 - as above
                return "result" in json.load(reply)
        except (OSError, ValueError):
            return False

    def _exchange_answers(self) -> bool:
        return fetch_json(f"http://{self.settings.host}:{self.settings.port}/live") is not None

    def _is_quoted(self) -> bool:
        url = f"http://{self.settings.host}:{self.settings.port}/v3/public/get_order_book?instrument_name=BTC-PERP"
        book = (fetch_json(url) or {}).get("result") or {}
        return bool(book.get("bids") and book.get("asks"))

    async def _watch(self) -> None:
        previous: dict[str, float] = {}
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _STATUS_INTERVAL_S)
            for child in self._children:
                trim_log(child.log_path)
            if self._stop.is_set() or self._quiet:
                continue
            url = f"http://{self.settings.host}:{self.settings.port}/metrics"
            values = await asyncio.to_thread(fetch_metrics, url)
            self._say(_status_line(previous, values))
            previous = values

    async def _stop_all(self) -> None:
        if self._children:
            self._say("stopping")
        for child in reversed(self._children):
            await child.stop()
        self._children.clear()
        self.directory.status.unlink(missing_ok=True)

    def _write_status(self) -> None:
        pids = {child.spec.name: {"pid": child.pid, "restarts": child.restarts} for child in self._children}
        path = self.directory.status
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps({"processes": pids, "port": self.settings.port}))
        temporary.replace(path)

    def _banner(self) -> None:
        base = f"{self.settings.host}:{self.settings.port}"
        lines = [
            f"  page       http://{base}/",
            f"  REST       http://{base}/v3",
            f"  websocket  ws://{base}/v3/ws",
            f"  chain RPC  {self.settings.chain_url}",
            *(
                f"  gateway    http://{self.settings.host}:{port}/v3  public data"
                for port in self.settings.gateway_ports
            ),
        ]
        if self.settings.feeds:
            lines.append(f"  feeds      {self.settings.feeds_needed} of {self.settings.feeds} sign each oracle round")
        if self.directory.deployment.exists():
            deployment = json.loads(self.directory.deployment.read_text())
            lines += [f"  {name:<10} {deployment[name]}" for name in ("settlement", "chain_id") if name in deployment]
        if self.directory.demo_accounts.exists():
            accounts = json.loads(self.directory.demo_accounts.read_text())
            lines.append(f"  accounts   {len(accounts)} funded, in {self.directory.demo_accounts}")
            lines += [f"    {row['subaccount_id']}  owner {row['owner']}  key {row['session_key']}" for row in accounts]
        self._say("\n".join(lines))
        self._say(f"ready; batches finalize after {self.settings.finality_window_s} s here. Ctrl-C stops everything.")

    def _say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def port_is_free(host: str, port: int) -> bool:
    """Whether nobody listens on `host:port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def fetch_json(url: str, timeout_s: float = 2.0) -> Any | None:
    """Parsed body of a GET whatever its status, None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as reply:  # noqa: S310 - loopback
            return json.load(reply)
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            return json.load(error)
        return None
    except (OSError, ValueError):
        return None


def fetch_metrics(url: str) -> dict[str, float]:
    """Values of a Prometheus text page by name; empty when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - loopback
            text = reply.read().decode()
    except OSError:
        return {}
    values: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name and not line.startswith("#"):
            with contextlib.suppress(ValueError):
                values[name] = float(value)
    return values


def _status_line(previous: dict[str, float], values: dict[str, float]) -> str:
    if not values:
        return "the exchange does not answer; it is being restarted"

    def rate(name: str) -> float:
        gained = _total(values, name) - _total(previous, name)
        return max(0.0, gained) / _STATUS_INTERVAL_S if previous else 0.0

    return (
        f"{rate('offbook_orders_total'):7.1f} orders/s  {rate('offbook_fills_total'):6.1f} fills/s  "
        f"{_total(values, 'offbook_ws_clients'):3.0f} clients  "
        f"batches {_total(values, 'offbook_batch_head'):.0f} posted, "
        f"{_total(values, 'offbook_batch_final'):.0f} final  "
        f"gas/fill {_total(values, 'offbook_batch_gas_per_fill'):.0f}"
    )


def _total(values: dict[str, float], name: str) -> float:
    return sum(value for key, value in values.items() if key == name or key.startswith(name + "{"))


def _last_line(path: Path) -> str | None:
    if not path.exists():
        return None
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("offbook: ") if lines else None
