"""Makers and takers of the demo, each group in its own process; they know the websocket's address and nothing else."""

import asyncio
import json

from exchange.app.config import Settings
from exchange.app.layout import DataDirectory
from exchange.app.link import stop_event
from exchange.client.bots import run_liquidator, run_makers, run_takers
from exchange.client.signing import Credentials, demo_accounts

__all__ = ["MAKERS", "TAKERS", "run"]

MAKERS = range(4)
"""Places in demo_accounts.json; the rest is free for users and tests."""
TAKERS = range(4, 7)
_MAKER_SHARE = 2 / 3


def run(settings: Settings, name: str) -> None:
    """Run the makers or the takers until SIGTERM."""
    path = DataDirectory(settings.data.resolve()).demo_accounts
    count = len(json.loads(path.read_text()))
    accounts = demo_accounts(path)[:count]
    url = f"ws://{settings.host}:{settings.port}/v3/ws"
    asyncio.run(_main(settings, name, url, accounts))


async def _main(settings: Settings, name: str, url: str, accounts: list[Credentials]) -> None:
    stop = stop_event()
    if name == "makers":
        rate = settings.orders_per_second * _MAKER_SHARE
        await run_makers(url, [accounts[place] for place in MAKERS], settings.seed, stop, orders_per_s=rate)
    else:
        rate = settings.orders_per_second * (1 - _MAKER_SHARE)
        takers = [accounts[place] for place in TAKERS]
        # The last of them bids in auctions too: another connection, the same account.
        await asyncio.gather(
            run_takers(url, takers, settings.seed, stop, orders_per_s=rate), run_liquidator(url, takers[-1], stop)
        )
