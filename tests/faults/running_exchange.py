"""Helpers for tests that run `offbook` as its users do: commands, a fill between two accounts, what is left behind."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from exchange.app.chaos_host import ExchangeUnderTest
from exchange.client import OffbookClient
from exchange.client.markets import decimal_e9
from exchange.journal.disk import RealDisk
from exchange.journal.segment import segment_path
from exchange.journal.walk import Walk

__all__ = ["NAMES", "await_true", "journal_end", "offbook", "processes_of", "trade"]

NAMES = ("chain", "exchange", "pricer", "settler", "watcher")
_PERPETUAL = "BTC-PERP"


def offbook(*arguments, timeout_s=60, env=None, prelude=""):
    """Run one command; (exit code, stdout, stderr). `prelude`: Python that runs first."""
    code = f"{prelude}\nimport sys\nfrom exchange.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout_s, check=False, env=os.environ | (env or {}),
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def trade(exchange: ExchangeUnderTest, fills=1):
    """Account 1 sells to account 0, `fills` times, a lot each; returns account 0's position in lots."""
    return asyncio.run(_trade(exchange, fills))


async def _trade(exchange, fills):
    path = exchange.directory.demo_accounts
    async with (
        OffbookClient.from_demo(path, url=exchange.url, index=0) as buyer,
        OffbookClient.from_demo(path, url=exchange.url, index=1) as seller,
    ):
        market = buyer.market(_PERPETUAL)
        amount = market.instrument.quantity_text(market.instrument.minimum_lots)
        for _ in range(fills):
            mark_e9 = decimal_e9((await buyer.ticker(_PERPETUAL))["M"])
            price = market.instrument.price_text(market.ticks_within(mark_e9, up=True))
            await seller.sell(_PERPETUAL, amount, price)
            result = await buyer.buy(_PERPETUAL, amount, price, time_in_force="ioc")
            if not result["trades"]:
                raise AssertionError(f"no fill: {result}")
        rows = await buyer.positions()
        held = next(row["amount"] for row in rows if row["instrument_name"] == _PERPETUAL)
        return decimal_e9(held) // market.instrument.lot_e9


def await_true(look, limit_s, what):
    """Ask `look` until it says yes."""
    deadline_s = time.monotonic() + limit_s
    while not look():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{what} did not happen within {limit_s} s")
        time.sleep(0.05)


def processes_of(root: Path):
    """Process ids whose command line names the data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(root) in line:
                found.append(int(entry.name))
    return found


def journal_end(root: Path):
    """(segment file, offset behind the last whole group) of the journal below `root`/exchange."""
    walk = Walk(RealDisk(root / "exchange"), "journal", 1)
    for _ in walk:
        pass
    number, offset = walk.position
    return root / "exchange" / segment_path("journal", number), offset
