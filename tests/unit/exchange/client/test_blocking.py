"""The client without async, against the fake exchange on a loop of its own."""

import asyncio
import threading
from contextlib import contextmanager

import pytest

from exchange.client import BlockingClient, ConnectionLost
from tests.unit.exchange.client import fake_exchange as fake


@contextmanager
def exchange_in_thread():
    """Run a fake exchange beside the test."""
    exchange, started, loop = fake.FakeExchange(), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve():
        async with exchange.running():
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(5)
    try:
        yield exchange
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def test_refused_connection_leaves_no_thread():
    """The error arrives and the background thread ends."""
    before = threading.active_count()
    with pytest.raises(ConnectionLost):
        BlockingClient.connect("ws://127.0.0.1:1/", owner=fake.OWNER, session_key=fake.SESSION_KEY, subaccount_id=7)
    assert threading.active_count() == before


def test_trades_and_listens():
    """Buy, read the streamed fill, cancel, close."""
    with (
        exchange_in_thread() as exchange,
        BlockingClient.connect(exchange.url, owner=fake.OWNER, session_key=fake.SESSION_KEY, subaccount_id=7) as client,
    ):
        fills = client.listen("7.trades", flatten=True)
        client.buy("BTC-PERP", "0.1")
        assert next(fills)["trade_amount"] == "0.1"
        order = client.sell("BTC-PERP", "0.1", "90000")["order"]
        assert client.cancel(order["order_id"], "BTC-PERP")["order_status"] == "cancelled"
        assert (client.cancel_all(), client.positions()) == ("ok", [])
        assert client.subaccount()["subaccount_id"] == 7
        client.close()
