"""Makers and takers of the demo: they see nothing but the public websocket API and sign every order."""

import asyncio
from collections.abc import Sequence
from random import Random

from exchange.client.auctions import Liquidator
from exchange.client.bot import Bot, BotCounts
from exchange.client.maker import Maker
from exchange.client.quoting import seeded_opinion
from exchange.client.signing import Credentials
from exchange.client.taker import Taker

__all__ = ["run_bots", "run_liquidator", "run_makers", "run_takers"]


async def run_makers(
    url: str,
    accounts: Sequence[Credentials],
    seed: int,
    stop: asyncio.Event,
    *,
    orders_per_s: float = 16.0,
    max_open_orders: int = 200,
) -> list[BotCounts]:
    """Quote perpetuals and options with one maker per account until `stop`; `orders_per_s` is for all together."""
    opinion = seeded_opinion(seed)
    makers: list[Bot] = [
        Maker(
            url,
            who,
            Random(f"maker {seed} {place}"),  # noqa: S311 - reproducible, no secret
            orders_per_s=orders_per_s / len(accounts),
            place=place,
            makers=len(accounts),
            max_open_orders=max_open_orders,
            opinion=opinion,
        )
        for place, who in enumerate(accounts)
    ]
    return await run_bots(makers, stop)


async def run_takers(
    url: str, accounts: Sequence[Credentials], seed: int, stop: asyncio.Event, *, orders_per_s: float = 8.0
) -> list[BotCounts]:
    """Trade against the book with one taker per account until `stop`; `orders_per_s` is for all together."""
    takers: list[Bot] = [
        Taker(
            url,
            who,
            Random(f"taker {seed} {place}"),  # noqa: S311 - reproducible, no secret
            orders_per_s=orders_per_s / len(accounts),
        )
        for place, who in enumerate(accounts)
    ]
    return await run_bots(takers, stop)


async def run_liquidator(url: str, who: Credentials, stop: asyncio.Event) -> list[BotCounts]:
    """Bid in auctions with one account, which may trade otherwise too, until `stop`."""
    return await run_bots([Liquidator(url, who)], stop)


async def run_bots(bots: Sequence[Bot | Liquidator], stop: asyncio.Event) -> list[BotCounts]:
    """Run until `stop` is set. A bot that ends by itself ends all of them with its error."""
    tasks = [asyncio.create_task(bot.run()) for bot in bots]
    waiting = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiting}:
            task.result()
    finally:
        for pending in (waiting, *tasks):
            pending.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)
    return [bot.counts for bot in bots]
