"""Runs a pricer in real time: one tick each quarter second, so that every second gets its round."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from exchange.feeds.pricer import Pricer

__all__ = ["run_pricer"]

_TICK_S: Final = 0.25


async def run_pricer(pricer: Pricer, clock_ns: Callable[[], int], stop: asyncio.Event) -> None:
    """Tick until `stop` is set. Raises what the port raises when its connection is gone."""
    while not stop.is_set():
        pricer.tick(clock_ns())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S):
                await stop.wait()
