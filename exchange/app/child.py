"""`python -m exchange.app.child NAME SETTINGS PARENT`: the entry of every supervised process.

A name may end in a number: `gateway2` is the second `gateway`.

Exit codes: 0 done, 78 cannot run (one line on stderr names the fix), anything else is a crash and starts it again.
"""

import logging
import logging.handlers
import sys
from collections.abc import Callable
from importlib import import_module

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.app.processes import die_with, settings_from_json
from exchange.app.supervisor import FATAL_CODE

__all__ = ["main"]

_LOG_BYTES = 1 << 20
# Loaded by name, so that a bot does not carry the engine and the chain does not carry the gateway.
_PROCESSES = {
    "chain": "exchange.app.chain_process",
    "deploy": "exchange.app.deploy_process",
    "exchange": "exchange.app.exchange_process",
    "gateway": "exchange.app.market_gateway_process",
    "snapshot": "exchange.app.snapshot_process",
    "pricer": "exchange.app.pricer_process",
    "feed": "exchange.app.feed_process",
    "settler": "exchange.app.settler_process",
    "watcher": "exchange.app.watch_process",
    "historian": "exchange.app.historian_process",
    "accounts": "exchange.app.accounts_process",
    "makers": "exchange.app.bots_process",
    "takers": "exchange.app.bots_process",
}


def main(name: str, settings: Settings, parent: int) -> int:
    """Run process `name`, started by process `parent`, until it ends or is told to stop."""
    die_with(parent)
    _log_to(DataDirectory(settings.data.resolve()), name)
    try:
        run: Callable[[Settings, str], None] = import_module(_PROCESSES[name.rstrip("0123456789")]).run
        run(settings, name)
    except Failure as failure:
        sys.stderr.write(f"offbook: {failure}\n")
        return FATAL_CODE
    except KeyboardInterrupt:
        return 0
    return 0


def _log_to(directory: DataDirectory, name: str) -> None:
    """Warnings and worse to a rotating file; what a crash prints goes to the supervisor's log of this child."""
    handler = logging.handlers.RotatingFileHandler(
        directory.logs / f"{name}.events.log", maxBytes=_LOG_BYTES, backupCount=1
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], settings_from_json(sys.argv[2]), int(sys.argv[3])))
