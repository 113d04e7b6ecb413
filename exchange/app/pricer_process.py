"""The pricer's process: index and option prices once per interval, funding rates and listings, into the exchange."""

import asyncio
import time

from exchange.app.config import Settings
from exchange.app.layout import DataDirectory
from exchange.app.link import run_linked
from exchange.app.price_sources import index_feed
from exchange.bus.unix_socket import UnixPort
from exchange.feeds.catalogue import demo_catalogue
from exchange.feeds.listing import ListKeeper
from exchange.feeds.pricer import Pricer
from exchange.feeds.rounds import RoundFeed
from exchange.feeds.volatility import SeededSurface

__all__ = ["run"]

_POLL_S = 0.1


def run(settings: Settings, _name: str) -> None:
    """Run until SIGTERM; a restarted exchange gets its prices again."""
    asyncio.run(_main(settings))


async def _main(settings: Settings) -> None:
    index, live = index_feed(settings.prices, settings.seed, time.time_ns)
    polls = [asyncio.create_task(venue.run(settings.price_interval_s)) for venue in live]
    surface = SeededSurface.seeded(settings.seed)

    async def session(port: UnixPort) -> None:
        pricer, rounds = Pricer(port, index, surface, demo_catalogue), RoundFeed(port)
        keeper = ListKeeper(port, demo_catalogue, pricer.learn_again)
        while True:
            pricer.tick(time.time_ns())
            if pricer.is_ready:
                rounds.tick(time.time_ns())
                keeper.tick(time.time_ns())
            await asyncio.sleep(_POLL_S if not pricer.is_ready else settings.price_interval_s)

    try:
        await run_linked(DataDirectory(settings.data.resolve()).socket, session)
    finally:
        for poll in polls:
            poll.cancel()
