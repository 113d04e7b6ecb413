"""A task that loses a cancellation is ended all the same."""

import asyncio

import pytest

from exchange.bus.endings import end_tasks

pytestmark = pytest.mark.timeout(30)


def test_task_that_swallows_cancellations_ends():
    """The first three are lost, the fourth ends it."""
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if lost == 3:
                    raise
                lost += 1

    async def story() -> asyncio.Task[None]:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await end_tasks(task)
        return task

    assert asyncio.run(story()).cancelled()
    assert lost == 3


def test_failure_of_a_task_is_dropped():
    """Who ends a task does not care how it went; others end with it."""

    async def fail() -> None:
        raise ValueError("broken")

    async def story() -> list[bool]:
        tasks = [asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(60))]
        await asyncio.sleep(0)
        await end_tasks(*tasks)
        return [task.done() for task in tasks]

    assert asyncio.run(story()) == [True, True]


def test_nothing_to_end():
    """No task, no wait."""
    asyncio.run(end_tasks())
