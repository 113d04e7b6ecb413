"""Verbs that run an exchange: up, down, status, reset, config."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

from exchange.app.config import Settings, load_settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory, DirectoryBusy, DirectoryLock, lock_holder
from exchange.app.settle_lease import SettlerLease
from exchange.app.supervisor import Supervisor, fetch_json
from exchange.engine.states import COMPILED

__all__ = ["add_data_option", "add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    up = verbs.add_parser("up", help="start the exchange; Ctrl-C stops it")
    add_data_option(up)
    up.add_argument(
        "--port", type=int, help="HTTP and websocket port (default 8700); the embedded chain takes the next"
    )
    up.add_argument("--gateways", type=int, help="market-data gateways on the ports behind the chain's; needs --redis")
    up.add_argument("--redis", help="URL of a Redis that carries public events to the gateways")
    up.add_argument("--feeds", type=int, help="signers of oracle rounds, started beside; a new deployment needs most")
    up.add_argument("--seed", type=int, help="seed of demo prices, bots and chain accounts (default 1)")
    up.add_argument("--demo", action="store_true", default=None, help="list a demo market and run makers and takers")
    up.add_argument("--rpc", dest="rpc_url", help="JSON-RPC URL of a chain to settle on instead of the embedded one")
    up.add_argument("--rate", dest="orders_per_second", type=float, help="demo: orders per second of all bots")
    up.add_argument(
        "--no-settler",
        dest="settler",
        action="store_false",
        default=None,
        help="leave it to `offbook settle run`",
    )
    up.add_argument("--config", type=Path, help="TOML file with settings; `offbook config show` lists them")
    up.add_argument("--allow-reference", action="store_true", default=None, help="run without the compiled core")
    up.set_defaults(run=_up)
    for name, text, function in (
        ("down", "stop the exchange that runs on a data directory", _down),
        ("status", "say what runs and whether it is ready", _status),
        ("reset", "delete the data directory's state", _reset),
    ):
        verb = verbs.add_parser(name, help=text)
        add_data_option(verb)
        verb.set_defaults(run=function)
    config = verbs.add_parser("config", help="show every setting with its value")
    config.add_argument("show", choices=["show"])
    config.add_argument("--config", type=Path)
    config.set_defaults(run=_config)


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Every verb that touches state takes --data."""
    parser.add_argument("--data", type=Path, help="data directory (default .offbook)")


def _up(parsed: argparse.Namespace) -> int:
    given = {field.name: getattr(parsed, field.name, None) for field in fields(Settings)}
    settings = load_settings(given, parsed.config)
    if not COMPILED and not settings.allow_reference:
        raise Failure("the engine is not compiled: run `make build`, or give --allow-reference to run the slow one")
    asyncio.run(Supervisor(settings).run())
    return 0


def _down(parsed: argparse.Namespace) -> int:
    directory = DataDirectory(_data(parsed))
    # The lock, not its file: a killed supervisor leaves the file, and its process id may be another's by now.
    holder = lock_holder(directory)
    if not holder:
        sys.stdout.write("nothing runs here\n")
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    for _ in range(300):
        if lock_holder(directory) is None:
            sys.stdout.write("stopped\n")
            return 0
        time.sleep(0.1)
    raise Failure(f"process {holder} did not stop within 30 s; kill it and start again, the journal is safe")


def _status(parsed: argparse.Namespace) -> int:
    directory = DataDirectory(_data(parsed))
    if lock_holder(directory) is None or not directory.status.exists():
        sys.stdout.write("not running\n")
        return 1
    status = json.loads(directory.status.read_text())
    status["ready"] = fetch_json(f"http://127.0.0.1:{status['port']}/ready")
    sys.stdout.write(json.dumps(status, indent=2) + "\n")
    return 0 if status["ready"] else 1


def _reset(parsed: argparse.Namespace) -> int:
    directory = DataDirectory(_data(parsed))
    if not directory.root.exists():
        sys.stdout.write(f"{directory.root}: nothing to clear\n")
        return 0
    try:
        with DirectoryLock(directory), SettlerLease(directory, "offbook reset"):
            gone = directory.clear()
    except DirectoryBusy as busy:
        raise Failure(str(busy)) from busy
    sys.stdout.write(f"{directory.root}: cleared, {gone} entries deleted\n")
    return 0


def _config(parsed: argparse.Namespace) -> int:
    settings = load_settings({}, parsed.config)
    for field in fields(Settings):
        value = getattr(settings, field.name)
        sys.stdout.write(f"{field.name} = {json.dumps(str(value) if isinstance(value, Path) else value)}\n")
    return 0


def _data(parsed: argparse.Namespace) -> Path:
    return load_settings({"data": parsed.data}).data.resolve()
