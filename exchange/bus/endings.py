"""Ends tasks that talk to Redis.

The `asyncio.wait_for` of Python 3.11 returns the value of a call that ends in the same pass of the loop as a
cancellation, and the cancellation is lost; the Redis library sends every command through it. A task that is cancelled
once may therefore run on for ever.
"""

import asyncio
from typing import Any, Final

__all__ = ["end_tasks"]

_AGAIN_S: Final = 0.2


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel `tasks` until all have ended; what they raise is dropped."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
