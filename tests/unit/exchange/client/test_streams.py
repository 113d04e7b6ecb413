"""Bounded subscriptions: what happens to a reader that falls behind."""

import asyncio

import pytest

from exchange.client.errors import StreamBroken
from exchange.client.streams import Subscription


def test_private_stream_breaks_instead_of_dropping():
    """An account's channel never loses an item silently: queued items come out, then the stream ends."""

    async def run():
        stream = Subscription("7.trades", flatten=True, queue_items=2)
        stream.put(["a", "b", "c"])
        assert [await stream.next(1), await stream.next(1)] == ["a", "b"]
        with pytest.raises(StreamBroken, match="2 items behind"):
            await stream.next(1)

    asyncio.run(run())


def test_public_stream_drops_the_oldest_and_counts():
    """Market data is conflated: the newest survive."""

    async def run():
        stream = Subscription("orderbook.BTC-PERP.1.20", queue_items=2)
        for number in range(5):
            stream.put(number)
        assert [await stream.next(1), await stream.next(1), stream.dropped] == [3, 4, 3]

    asyncio.run(run())


def test_iteration_waits_for_items():
    """`async for` yields what arrives later, until the stream is ended."""

    async def run():
        stream = Subscription("batches")
        asyncio.get_running_loop().call_soon(stream.put, 1)
        async for item in stream:
            assert item == 1
            break
        stream.end("bye")
        with pytest.raises(StreamBroken, match="bye"):
            await stream.next(1)

    asyncio.run(run())
