"""The verb that watches a deployment: `offbook watch`.

The watcher loads an Ethereum library, so it is imported by the verb that needs it: the other verbs start at once.
"""

import argparse
import sys
from typing import Any

from exchange.app.config import load_settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory, lock_holder
from exchange.app.link import stop_flag
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]

_INTERVAL_S = 1.0


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    watch = verbs.add_parser("watch", help="check every posted batch against calldata and journal, prove what is wrong")
    add_data_option(watch)
    watch.add_argument("--port", type=int, help="port of the exchange whose embedded chain is watched (default 8700)")
    watch.add_argument("--seed", type=int, help="seed of the chain accounts (default 1)")
    watch.add_argument("--rpc", dest="rpc_url", help="JSON-RPC URL of the chain instead of the embedded one")
    watch.add_argument("--once", action="store_true", help="check what is there and end")
    watch.set_defaults(run=_watch)


def _watch(parsed: argparse.Namespace) -> int:
    """Exit code 1 when a fraud was found. One watcher per key and folder: `up` runs one itself."""
    from exchange.app.watch_process import Watch  # noqa: PLC0415 - see above

    names = ("data", "port", "seed", "rpc_url")
    settings = load_settings({name: getattr(parsed, name) for name in names})
    directory = DataDirectory(settings.data.resolve())
    if lock_holder(directory) is not None:
        raise Failure(f"`offbook up` runs here, and its watcher with it: see {directory.watcher / 'report.json'}")
    found: list[str] = []

    def say(line: str) -> None:
        found.append(line)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    watch = Watch(settings, say)
    stopped, checked = stop_flag(), -1
    while True:
        reached = watch.step()
        if reached != checked:
            checked = reached
            sys.stdout.write(f"checked up to batch {checked}\n")
            sys.stdout.flush()
        if parsed.once and watch.trouble:
            raise Failure(watch.trouble)
        if parsed.once or stopped.wait(_INTERVAL_S):
            return 1 if found else 0
