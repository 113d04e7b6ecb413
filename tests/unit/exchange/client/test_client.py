"""The client against a small exchange that checks every signature."""

import asyncio
from decimal import Decimal

import pytest

from exchange.client import BadAccount, ConnectionLost, OffbookClient, OffbookError, StreamBroken
from exchange.client.client import Credentials
from exchange.domain.instrument import OffGrid
from tests.unit.exchange.client import fake_exchange as fake


def scenario(steps, **options):
    """Run `steps(client, exchange)` against a fresh fake exchange."""

    async def run():
        async with fake.FakeExchange().running() as exchange:
            client = OffbookClient(
                exchange.url, Credentials.parse(fake.OWNER, fake.SESSION_KEY, fake.SUBACCOUNT), **options
            )
            await client.open()
            try:
                return await asyncio.wait_for(steps(client, exchange), 10)
            finally:
                await client.close()

    return asyncio.run(run())


def test_connect_refused_names_the_url():
    """Nobody listens: ConnectionLost, nothing was sent."""

    async def run():
        connecting = OffbookClient.connect(
            "ws://127.0.0.1:1/v3/ws", owner=fake.OWNER, session_key=fake.SESSION_KEY, subaccount_id=7
        )
        with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:1") as caught:
            await connecting
        assert not caught.value.sent

    asyncio.run(run())


@pytest.mark.parametrize(
    ("key", "subaccount", "code"),
    [("0x" + "11" * 32, 7, 14014), (fake.SESSION_KEY, 8, 14001)],
)
def test_login_refusals_are_typed(key, subaccount, code):
    """A key that is not the account's and an account that is not the key's."""

    async def run():
        async with fake.FakeExchange().running() as exchange:
            with pytest.raises(OffbookError) as caught:
                await OffbookClient.connect(exchange.url, owner=fake.OWNER, session_key=key, subaccount_id=subaccount)
            assert caught.value.code == code

    asyncio.run(run())


def test_bad_keys_are_refused_before_connecting():
    """A malformed key never reaches the network."""
    with pytest.raises(BadAccount, match="32-byte"):
        Credentials.parse(fake.OWNER, "0x1234", 7)


@pytest.mark.parametrize(
    ("amount", "price", "error"),
    [
        ("0.0005", "84000", OffGrid),
        ("0", "84000", OffGrid),
        ("1000", "84000", OffGrid),
        ("0.1", "84000.05", OffGrid),
        (0.1, "84000", TypeError),
        ("a lot", "84000", ValueError),
    ],
)
def test_off_grid_orders_are_not_sent(amount, price, error):
    """Size and price are checked before anything is signed."""

    async def steps(client, exchange):
        with pytest.raises(error):
            await client.buy("BTC-PERP", amount, price)
        assert "private/order" not in [method for method, _ in exchange.received]

    scenario(steps)


def test_unknown_instrument_is_12001():
    """A name that is not listed."""

    async def steps(client, _exchange):
        with pytest.raises(OffbookError) as caught:
            await client.buy("DOGE-PERP", "1", "1")
        assert caught.value.code == 12001

    scenario(steps)


def test_typed_error_carries_code_and_detail():
    """The exchange's refusal arrives with code, message and data."""

    async def steps(client, _exchange):
        with pytest.raises(OffbookError) as caught:
            await client.cancel("nothing", "BTC-PERP")
        assert (caught.value.code, caught.value.detail) == (11006, {"order_id": "nothing"})

    scenario(steps)


def test_refused_channel_raises_its_reason():
    """The reason in the subscribe status becomes StreamBroken."""

    async def steps(client, exchange):
        exchange.refused_channels["8.orders"] = "14022 private subscription refused"
        with pytest.raises(StreamBroken, match="14022"):
            await client.subscribe("8.orders")

    scenario(steps)


def test_market_order_is_bounded_and_its_fill_streams():
    """A buy without price signs a worst price 5 % through the market and yields one Trade."""

    async def steps(client, _exchange):
        fills = await client.fills()
        result = await client.buy("BTC-PERP", "0.1")
        fill = await fills.next(5)
        assert result["order"]["order_status"] == "filled"
        assert result["order"]["limit_price"] == "88201.1"
        assert (fill["trade_price"], fill["trade_amount"]) == ("84000", "0.1")

    scenario(steps)


def test_signed_texts_are_canonical_and_the_fee_cap_has_a_margin():
    """What is signed is what is sent: no trailing zeros, cap twice the taker fee on the index."""

    async def steps(client, _exchange):
        placed = await client.sell("BTC-PERP", "0.50", Decimal("84000.0"), time_in_force="post_only", label="a")
        order = placed["order"]
        assert (order["limit_price"], order["amount"], order["max_fee"]) == ("84000", "0.5", "50.4")
        assert (order["order_type"], order["time_in_force"], order["label"]) == ("limit", "post_only", "a")
        option = (await client.buy("BTC-20261225-84000-C", "1", "2000"))["order"]
        assert option["max_fee"] == "50.4"

    scenario(steps)


def test_nonces_rise_under_a_standing_clock():
    """A clock that stands still gives distinct nonces, and the expiry counts from it."""

    async def steps(client, _exchange):
        orders = [(await client.buy("BTC-PERP", "1", "1"))["order"] for _ in range(3)]
        assert [order["nonce"] for order in orders] == [str(1795357455000000000 + n) for n in range(3)]
        assert orders[0]["signature_expiry_sec"] == 1795357455 + 60

    scenario(steps, clock_ns=lambda: 1795357455000000000, valid_for_s=60)


def test_replace_cancel_and_lists():
    """The order life cycle: rest, replace, cancel, and the lists that show it."""

    async def steps(client, _exchange):
        first = (await client.buy("BTC-PERP", "1", "80000"))["order"]
        moved = await client.replace(first["order_id"], "BTC-PERP", "buy", "1", "80100")
        assert moved["cancelled_order"]["order_id"] == first["order_id"]
        assert [order["limit_price"] for order in await client.open_orders()] == ["80100"]
        canceled = await client.cancel(moved["order"]["order_id"], "BTC-PERP")
        assert canceled["order_status"] == "cancelled"
        assert await client.cancel_all() == "ok"
        assert await client.cancel_all("BTC-PERP") == {"cancelled_orders": 0}
        assert await client.positions() == []
        assert (await client.subaccount())["subaccount_value"] == "1000000"

    scenario(steps)


def test_instruments_are_paged_and_quantized():
    """All pages are read; quantize gives the texts that the exchange accepts."""

    async def steps(client, _exchange):
        assert sorted(client.markets) == ["BTC-20261225-84000-C", "BTC-20261225-86000-C", "BTC-PERP"]
        assert client.market("BTC-PERP").quantize("84000.10", "1.500") == ("84000.1", "1.5")

    scenario(steps)


def test_reconnects_logs_in_again_and_keeps_streams():
    """A cut socket fails open requests as sent; the stream goes on after the reconnection."""

    async def steps(client, exchange):
        stream = await client.subscribe("trades.BTC-PERP", flatten=True)
        exchange.silent_methods.add("public/get_time")
        waiting = asyncio.create_task(client.request("public/get_time"))
        await asyncio.sleep(0.05)
        await exchange.drop_sockets()
        with pytest.raises(ConnectionLost) as caught:
            await waiting
        assert caught.value.sent
        await client.ready()
        assert client.reconnections == 1
        await exchange.publish("trades.BTC-PERP", [{"trade_id": "1"}, {"trade_id": "2"}])
        assert [(await stream.next(5))["trade_id"] for _ in range(2)] == ["1", "2"]
        assert (await client.buy("BTC-PERP", "1", "1"))["order"]["order_status"] == "open"

    scenario(steps)


def test_close_ends_streams_and_requests():
    """After close a stream raises, a request raises, a second close is harmless."""

    async def steps(client, _exchange):
        stream = await client.subscribe("batches")
        await client.close()
        await client.close()
        with pytest.raises(StreamBroken, match="closed"):
            await stream.next(5)
        with pytest.raises(ConnectionLost):
            await client.positions()
        with pytest.raises(ConnectionLost):
            await client.ready()

    scenario(steps)


def test_unsubscribe_leaves_the_channel():
    """The exchange no longer sends after the last local reader left."""

    async def steps(client, exchange):
        first, second = await client.subscribe("batches"), await client.subscribe("batches")
        await client.unsubscribe(first)
        await exchange.publish("batches", {"seq": 1})
        assert await second.next(5) == {"seq": 1}
        await client.unsubscribe(second)
        assert not exchange.subscribed["batches"]

    scenario(steps)


def test_from_demo_reads_the_account_file(tmp_path):
    """Ten lines of setup become one: owner, key and subaccount come from the demo's file."""
    path = tmp_path / "demo_accounts.json"
    path.write_text(f'[{{"owner":"{fake.OWNER}","session_key":"{fake.SESSION_KEY}","subaccount_id":7}}]')

    async def run():
        async with fake.FakeExchange().running() as exchange, OffbookClient.from_demo(path, url=exchange.url) as client:
            return (await client.buy("BTC-PERP", "0.1"))["order"]["order_status"]

    assert asyncio.run(run()) == "filled"


@pytest.mark.parametrize(("text", "index", "message"), [(None, 0, "--demo"), ("[]", 0, "no account"), ("{", 0, "list")])
def test_demo_file_errors_name_the_fix(tmp_path, text, index, message):
    """A missing, empty or broken account file."""
    path = tmp_path / "demo_accounts.json"
    if text is not None:
        path.write_text(text)

    async def run():
        await OffbookClient.from_demo(path, index=index)

    with pytest.raises(BadAccount, match=message):
        asyncio.run(run())
