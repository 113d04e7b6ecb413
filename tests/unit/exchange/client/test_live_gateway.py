"""The client, the README's sample and the bots against the real gateway and engine in this process."""

import asyncio
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from exchange.client import OffbookClient, OffbookError
from exchange.client.bots import run_makers, run_takers
from exchange.client.client import DEMO_ACCOUNTS_FILE
from exchange.client.signing import Credentials
from tests.fakes.live_gateway import serve
from tests.fakes.small_exchange import SmallExchange

README = Path(__file__).parents[4] / "exchange" / "client" / "README.md"


def who(trader):
    """Client credentials of a trader."""
    return Credentials.parse(trader.owner, trader.session_key.hex(), trader.subaccount_id)


def url(live):
    """Address of the websocket."""
    return f"ws://127.0.0.1:{live.port}/v3/ws"


async def until(condition, seconds=20):
    """Wait for something that the exchange does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is the other side's state, nothing signals it
            await asyncio.sleep(0.02)


def with_clients(steps):
    """Run `steps(maker, taker)` with two connected clients."""

    async def run():
        async with serve() as live:
            maker, taker = (OffbookClient(url(live), who(trader)) for trader in live.exchange.traders[:2])
            await maker.open()
            await taker.open()
            try:
                await asyncio.wait_for(steps(maker, taker), 20)
            finally:
                await maker.close()
                await taker.close()

    asyncio.run(run())


def test_refusals_are_typed():
    """A post-only order that would cross and a margin that does not suffice."""

    async def steps(maker, taker):
        await maker.sell("BTC-PERP", "1", "84000")
        with pytest.raises(OffbookError) as caught:
            await taker.buy("BTC-PERP", "1", "84010", time_in_force="post_only")
        assert caught.value.code == 11008
        with pytest.raises(OffbookError) as caught:
            await taker.buy("BTC-PERP", "900", "84000", time_in_force="gtc")
        assert caught.value.code == 11000

    with_clients(steps)


def test_order_life_and_streams():
    """Rest, replace, fill, cancel; own fills and orders stream; positions and cash follow."""

    async def steps(maker, taker):
        fills, updates = await taker.fills(), await maker.order_updates()
        resting = (await maker.sell("BTC-PERP", "1", "84000", time_in_force="post_only"))["order"]
        moved = await maker.replace(resting["order_id"], "BTC-PERP", "sell", "1", "84010")
        bought = await taker.buy("BTC-PERP", "0.4")
        assert (bought["order"]["order_status"], bought["trades"][0]["trade_price"]) == ("filled", "84010")
        fill = await fills.next(5)
        assert (fill["trade_amount"], fill["trade_price"], fill["liquidity_role"]) == ("0.4", "84010", "taker")
        canceled = await maker.cancel(moved["order"]["order_id"], "BTC-PERP")
        assert (canceled["order_status"], canceled["filled_amount"]) == ("cancelled", "0.4")
        statuses = [(await updates.next(5))["order_status"] for _ in range(5)]
        assert sorted(statuses) == ["cancelled", "cancelled", "open", "open", "open"]
        assert [row["amount"] for row in await taker.positions()] == ["0.4"]
        assert await maker.open_orders() == []
        assert float((await taker.subaccount())["subaccount_value"]) < 5_000_000

    with_clients(steps)


def test_options_sign_their_asset_and_sub_id():
    """An option order passes the gateway's signature check."""

    async def steps(maker, taker):
        name = next(name for name, market in maker.markets.items() if market.instrument.is_option)
        await maker.sell(name, "1", "2600")
        assert (await taker.buy(name, "1", "2600"))["order"]["order_status"] == "filled"

    with_clients(steps)


def test_makers_and_takers_make_a_market():
    """Both sides of every instrument are quoted and trades happen, with signed orders alone."""

    async def run():
        exchange = SmallExchange(trader_count=5)
        async with serve(exchange) as live:
            bots, stop = [who(trader) for trader in exchange.traders], asyncio.Event()
            running = asyncio.gather(
                run_makers(url(live), bots[:2], 1, stop, orders_per_s=100.0),
                run_takers(url(live), bots[2:4], 1, stop, orders_per_s=50.0),
            )
            await until(lambda: exchange.port.state.trade_count > 20 or running.done())
            async with OffbookClient.connect(
                url(live), owner=exchange.traders[4].owner,
                session_key=exchange.traders[4].session_key.hex(), subaccount_id=bots[4].subaccount_id,
            ) as client:  # fmt: skip
                tickers = {name: await client.ticker(name) for name in client.markets}
            stop.set()
            return tickers, await running

    tickers, (makers, takers) = asyncio.run(run())
    assert all(ticker["a"] != "0" and ticker["b"] != "0" for ticker in tickers.values())
    assert sum(counts.fills for counts in makers + takers) > 20
    assert all(code in (11004, 11008) for counts in makers for code in counts.refused)


def test_readme_sample_runs_as_printed(tmp_path):
    """The sample has at most 15 lines and prints its streamed fill; only the address and the file stand elsewhere."""
    sample = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    assert len([line for line in sample.splitlines() if line.strip()]) <= 15

    async def run():
        exchange = SmallExchange()
        async with serve(exchange) as live:
            maker = OffbookClient(url(live), who(exchange.traders[1]))
            await maker.open()
            await maker.sell("BTC-PERP", "1", "84000")
            path = tmp_path / DEMO_ACCOUNTS_FILE
            path.parent.mkdir()
            row = exchange.traders[0]
            accounts = [{"owner": row.owner, "session_key": row.session_key.hex(), "subaccount_id": row.subaccount_id}]
            path.write_text(json.dumps(10 * accounts))
            prelude = f"""
                import functools
                from exchange.client import client
                connect = client.OffbookClient.from_demo
                client.OffbookClient.from_demo = functools.partial(connect, url={url(live)!r})
            """
            script = textwrap.dedent(prelude) + sample
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, cwd=tmp_path, stdout=subprocess.PIPE,
                env={"PYTHONPATH": str(README.parents[2])},
            )  # fmt: skip
            async with asyncio.timeout(20):
                output, _ = await process.communicate()
            await maker.close()
            return process.returncode, output.decode()

    assert asyncio.run(run()) == (0, "bought 0.01 BTC-PERP at 84000\n")


def test_a_bracket_protects_its_entry():
    """Entry, stop and take-profit; the fill arms both, an edit moves the entry's rest, a cancel takes the exits."""

    async def steps(maker, taker):
        orders = await maker.bracket("BTC-PERP", "buy", "0.2", "83000", stop_price="80000", take_profit_price="90000")
        entry = orders["entry"]["order"]
        assert [row["order_status"] for row in await maker.trigger_orders()] == ["untriggered", "untriggered"]
        await taker.sell("BTC-PERP", "0.1", "83000")
        rows = await maker.trigger_orders()
        assert [row["trigger_price"] for row in rows] == ["80000", "90000"]
        assert [row["limit_price"] for row in rows] == ["76000", "85500"]
        moved = await maker.edit(entry["order_id"], "BTC-PERP", "buy", "0.3", "82000", expected_filled_amount="0.1")
        assert (moved["order"]["order_id"], moved["order"]["remaining_amount"]) == (entry["order_id"], "0.2")
        assert (await maker.reduce(entry["order_id"], "0.2"))["order"]["amount"] == "0.2"
        assert (await maker.move_trigger(rows[0]["order_id"], "79000"))["order"]["trigger_price"] == "79000"
        assert await maker.cancel_trigger_orders() == "ok"
        assert await maker.trigger_orders() == []

    with_clients(steps)


def test_a_trailing_stop_needs_one_distance():
    """An offset or a percentage."""

    async def steps(maker, taker):
        with pytest.raises(ValueError, match="either"):
            await maker.trailing_stop("BTC-PERP", "sell", "0.1", "70000")
        result = await maker.trailing_stop("BTC-PERP", "sell", "0.1", "70000", percent="2")
        assert result["order"]["trigger_price"] == "82320"
        offset = await maker.trailing_stop(
            "BTC-PERP", "sell", "0.1", "70000", offset=500, oco_order_id=result["order"]["order_id"]
        )
        assert offset["order"]["trigger_price"] == "83500"

    with_clients(steps)
