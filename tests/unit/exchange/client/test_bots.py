"""Makers and takers against the fake exchange: every order is signed and checked there."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from exchange.client.bot import Bot, Pace
from exchange.client.bots import run_bots, run_makers, run_takers
from exchange.client.maker import Maker
from exchange.client.signing import Credentials
from exchange.client.taker import Taker
from tests.unit.exchange.client import fake_exchange as fake

WHO = Credentials.parse(fake.OWNER, fake.SESSION_KEY, fake.SUBACCOUNT)


@pytest.fixture(autouse=True)
def _markets_stand_still(monkeypatch):
    """The fake lists everything at once."""
    monkeypatch.setattr(Bot, "settling_s", 0.0)


async def until(condition):
    """Wait for something that the other side does."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is the other side's state, nothing signals it
            await asyncio.sleep(0.01)


def sent(exchange, method):
    """Params of every request of a method."""
    return [params for name, params in exchange.received if name == method]


def with_bot(bot_class, steps, exchange=None, **options):
    """Run one bot against a fake exchange while `steps(bot, exchange)` looks on."""

    async def run():
        async with (exchange or fake.FakeExchange()).running() as served:
            bot = bot_class(served.url, WHO, Random(1), orders_per_s=500.0, **options)
            stop = asyncio.Event()
            running = asyncio.create_task(run_bots([bot], stop))
            try:
                await steps(bot, served)
            finally:
                stop.set()
                counts = await asyncio.wait_for(running, 10)
            return counts[0]

    return asyncio.run(run())


@pytest.mark.parametrize("bot_class", [Maker, Taker])
def test_bots_start_with_cancel_all(bot_class):
    """Whatever an earlier life left open is gone before the first order."""

    async def steps(_bot, exchange):
        await until(lambda: sent(exchange, "private/order"))
        methods = [method for method, _ in exchange.received]
        assert methods.index("private/cancel_all") < methods.index("private/order")

    with_bot(bot_class, steps)


@pytest.mark.parametrize("bot_class", [Maker, Taker])
def test_bots_survive_a_cut_connection(bot_class):
    """After a restart of the exchange they cancel everything and trade again."""

    async def steps(_bot, exchange):
        await until(lambda: sent(exchange, "private/order"))
        await exchange.drop_sockets()
        await until(lambda: len(sent(exchange, "private/cancel_all")) == 2)
        methods = [method for method, _ in exchange.received]
        again = len(methods) - 1 - methods[::-1].index("private/cancel_all")
        # Looked for behind the second cancel_all itself: a maker whose quotes all rest again sends nothing more.
        await until(lambda: "private/order" in [method for method, _ in exchange.received[again:]])

    assert with_bot(bot_class, steps).interruptions >= 1


def test_bots_wait_for_an_exchange_that_is_not_up_yet():
    """A refused connection is tried again."""

    async def run():
        exchange, stop = fake.FakeExchange(), asyncio.Event()
        async with exchange.running():
            port = int(exchange.url.split(":")[2].split("/")[0])
        running = asyncio.create_task(run_takers(exchange.url, [WHO], 1, stop, orders_per_s=100.0))
        await asyncio.sleep(0.05)
        async with exchange.running(port):
            await until(lambda: sent(exchange, "private/order"))
            stop.set()
            return await running

    assert asyncio.run(run())[0].interruptions >= 1


def test_maker_fills_both_sides_of_every_instrument():
    """Three levels of the perpetual and one of each option, post-only, within the limit of open orders."""

    async def steps(bot, exchange):
        await until(lambda: len(exchange.open_orders) == 10)
        await until(lambda: bot.open_orders == 10)
        orders = exchange.open_orders.values()
        assert {order["time_in_force"] for order in orders} == {"post_only"}
        assert {order["instrument_name"] for order in orders} == {
            "BTC-PERP",
            "BTC-20261225-84000-C",
            "BTC-20261225-86000-C",
        }

    with_bot(Maker, steps)


def test_maker_keeps_its_limit_of_open_orders():
    """No more orders than configured."""

    async def steps(bot, exchange):
        await until(lambda: bot.open_orders == 4)
        await asyncio.sleep(0.1)
        assert len(exchange.open_orders) == 4

    with_bot(Maker, steps, max_open_orders=4)


def test_maker_shares_the_options():
    """The second of two makers leaves the first's options alone."""

    async def steps(bot, exchange):
        await until(lambda: bot.open_orders == 8)
        names = {order["instrument_name"] for order in exchange.open_orders.values()}
        assert names == {"BTC-PERP", "BTC-20261225-86000-C"}

    with_bot(Maker, steps, place=1, makers=2)


def test_maker_follows_the_index_by_replace(monkeypatch):
    """When the index moves a perpetual's orders move with it and none is left behind; the mark alone moves nothing."""
    monkeypatch.setattr("exchange.client.bot._VIEW_LIFE_S", 0.0)

    async def steps(bot, exchange):
        await until(lambda: bot.open_orders == 10)
        exchange.mark = "83000"
        await asyncio.sleep(0.1)
        assert not sent(exchange, "private/replace")
        exchange.index = "85000"
        await until(lambda: len(sent(exchange, "private/replace")) >= 6)
        await until(
            lambda: all(
                abs(float(order["limit_price"]) - 85000) < 200
                for order in exchange.open_orders.values()
                if order["instrument_name"] == "BTC-PERP"
            )
        )
        assert len(exchange.open_orders) <= 10

    with_bot(Maker, steps)


def test_taker_mixes_orders_and_stays_small():
    """Market, immediate and resting orders; at most eight rest."""

    async def steps(bot, exchange):
        await until(lambda: len(sent(exchange, "private/order")) > 120)
        kinds = {(order["order_type"], order["time_in_force"]) for order in sent(exchange, "private/order")}
        assert kinds == {("market", "ioc"), ("limit", "ioc"), ("limit", "gtc")}
        assert bot.open_orders <= 8
        assert len(exchange.open_orders) <= 9

    counts = with_bot(Taker, steps)
    assert counts.fills > 30
    assert not counts.refused


def test_margin_refusals_shrink_the_orders():
    """Each 11000 halves the size until it fits."""

    class Poor(fake.FakeExchange):
        def on_order(self, _params, _after):
            raise fake.RefusalError(11000, "Insufficient margin")

    async def steps(bot, exchange):
        await until(lambda: len(sent(exchange, "private/order")) > 10)
        assert bot.size_ppm == 50_000

    assert with_bot(Taker, steps, Poor()).refused[11000] > 5


def test_makers_and_takers_run_until_stopped():
    """The entry points of the demo run one bot per account and return what each did."""

    async def run():
        async with fake.FakeExchange().running() as exchange:
            stop = asyncio.Event()
            running = [
                asyncio.create_task(start(exchange.url, [WHO, WHO], 1, stop, orders_per_s=200.0))
                for start in (run_makers, run_takers)
            ]
            await until(lambda: len(sent(exchange, "private/order")) > 20)
            stop.set()
            done = await asyncio.gather(*running)
            return *done, len(sent(exchange, "private/order"))

    makers, takers, sent_count = asyncio.run(run())
    assert [len(makers), len(takers)] == [2, 2]
    # The stop may meet each of the four between an order and its answer.
    assert sent_count - 4 <= sum(counts.orders for counts in makers + takers) <= sent_count


def test_a_broken_bot_is_not_hidden():
    """An error that no bot expects ends the run."""

    class Broken(Taker):
        async def act(self):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        with_bot(Broken, lambda _bot, _exchange: asyncio.sleep(1))


def test_pace_is_even():
    """Ten actions at 100 per second take at least nine intervals; a pause is not caught up."""

    async def run():
        pace, loop = Pace(100.0), asyncio.get_running_loop()
        start = loop.time()
        for _ in range(10):
            await pace.wait()
        return loop.time() - start

    with suppress(TimeoutError):
        assert asyncio.run(run()) >= 0.085


def test_taker_never_meets_its_own_orders():
    """An own resting order on the other side is canceled before a new order is sent."""

    class Watchful(fake.FakeExchange):
        def on_order(self, params, after):
            opposite = [
                order
                for order in self.open_orders.values()
                if order["instrument_name"] == params["instrument_name"] and order["direction"] != params["direction"]
            ]
            assert not opposite
            return super().on_order(params, after)

    async def steps(_bot, exchange):
        await until(lambda: len(sent(exchange, "private/order")) > 60)

    assert with_bot(Taker, steps, Watchful()).interruptions == 0
