"""What derive-py does against an exchange of ours, in an environment of its own: `python story.py FILE`.

FILE is JSON: address of the exchange, domain separator, two accounts. Prints one JSON line per step, `{"step": ...}`
with an `"error"` where the client raised, and one per channel with the number of items that it decoded. Replies are
decoded into the client's own types, so a member that is missing or of another type is an error here.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from derive_py import HTTPClient, WebSocketClient
from derive_py.config import CONFIGS
from derive_py.data_types import Chain, ClientConfig
from derive_py.data_types.generated_models import AssetType, Direction, OrderType, TimeInForce

PERP = "BTC-PERP"
FEE = Decimal(100)


def say(step: str, **members: Any) -> None:
    """One line of the protocol with the test."""
    sys.stdout.write(json.dumps({"step": step, **members}) + "\n")
    sys.stdout.flush()


class Undecoded(logging.Handler):
    """Counts what the client could not decode; it logs such frames and goes on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell the test."""
        say("log", error=record.getMessage()[:600])


async def attempt(step: str, call: Awaitable[Any]) -> Any:
    """Run one call of the client and say how it went."""
    try:
        result = await call
    except Exception as error:  # noqa: BLE001 - whatever it is, the test reads it
        say(step, error=f"{type(error).__name__}: {error}"[:600])
        return None
    say(step, result=type(result).__name__)
    return result


def config_of(world: dict[str, Any], account: dict[str, Any]) -> ClientConfig:
    """The client as its users configure it, but for one entry of its table of networks."""
    CONFIGS[Chain.SEPOLIA] = CONFIGS[Chain.SEPOLIA].model_copy(
        update={
            "base_url": f"http://{world['address']}/v3",
            "ws_address": f"ws://{world['address']}/v3/ws",
            "DOMAIN_SEPARATOR": world["separator"],
        }
    )
    return ClientConfig(
        session_key=account["session_key"],
        wallet=account["owner"],
        subaccount_id=account["subaccount_id"],
        chain=Chain.SEPOLIA,
        rpc_endpoints=(f"http://{world['address']}/rpc",),
    )


async def trade(client: WebSocketClient, other: WebSocketClient) -> None:
    """Every way to place, change and cancel an order, and one fill between the two."""
    orders = client.orders
    ticker = await attempt("get_ticker", client.markets.get_ticker(instrument_name=PERP))
    mark = Decimal(ticker.mark_price).quantize(Decimal(1))
    terms = {"instrument_name": PERP, "amount": Decimal("0.1"), "max_fee": FEE, "order_type": OrderType.limit}
    bid = {**terms, "direction": Direction.buy, "limit_price": mark - 1000}
    made = await attempt("order", orders.create(**bid, label="first", time_in_force=TimeInForce.post_only))
    await attempt("get_order", orders.get(order_id=made.order.order_id))
    await attempt("get_open_orders", orders.list_open())
    changed = {**bid, "limit_price": mark - 1001}
    moved = await attempt("replace", orders.replace(order_id_to_cancel=made.order.order_id, **changed))
    await attempt("cancel", orders.cancel(instrument_name=PERP, order_id=moved.order.order_id))
    made = await attempt("order again", orders.create(**bid, label="second"))
    await attempt("cancel_by_label", orders.cancel_by_label(label="second"))
    await attempt("cancel_by_nonce", orders.cancel_by_nonce(instrument_name=PERP, nonce=made.order.nonce))
    await attempt("cancel_by_instrument", orders.cancel_by_instrument(instrument_name=PERP))
    ask = {**terms, "direction": Direction.sell, "limit_price": mark}
    await attempt("resting ask", other.orders.create(**ask))
    await attempt("taking bid", orders.create(**{**bid, "limit_price": mark}))
    await attempt("cancel_all", orders.cancel_all())


async def trade_option(client: WebSocketClient, name: str) -> None:
    """An order on an option, whose signature covers strike and expiry."""
    terms = {"instrument_name": name, "amount": Decimal(1), "max_fee": FEE, "limit_price": Decimal(10)}
    made = await attempt(
        "option order", client.orders.create(**terms, direction=Direction.buy, order_type=OrderType.limit)
    )
    await attempt("option cancel", client.orders.cancel(instrument_name=name, order_id=made.order.order_id))


async def read(client: Any) -> None:
    """All reads of the client that the exchange offers."""
    markets, account, history = client.markets, client.account, client.history
    await attempt("get_all_currencies", markets.get_all_currencies())
    await attempt("get_currency", markets.get_currency(currency="BTC"))
    await attempt("get_instrument", markets.get_instrument(instrument_name=PERP))
    await attempt("get_all_live_instruments", markets.get_all_live_instruments())
    await attempt("get_risk_universes", markets.get_risk_universes())
    await attempt("get_tickers", markets.get_tickers(instrument_type=AssetType.perp, currency="BTC"))
    await attempt("public trades", markets.trade_history(instrument_name=PERP))
    for name in ("refresh", "session_keys", "get_all_portfolios", "get_subaccounts", "get"):
        await attempt(f"account.{name}", getattr(account, name)())
    await attempt("subaccount.refresh", client.active_subaccount.refresh())
    await attempt("positions", client.positions.list())
    await attempt("collaterals", client.collateral.get())
    kinds = (
        "deposits",
        "withdrawals",
        "erc20_transfers",
        "interest",
        "option_settlements",
        "funding",
        "orders",
        "trades",
    )
    for name in kinds:
        await attempt(f"history.{name}", getattr(history, name)())


async def protect(client: WebSocketClient) -> None:
    """Market-maker protection: set, read, reset."""
    mmp = client.mmp
    limits = {"mmp_amount_limit": Decimal(10), "mmp_delta_limit": Decimal(5)}
    await attempt("set_mmp_config", mmp.set_config(currency="BTC", mmp_frozen_time=1000, mmp_interval=1000, **limits))
    await attempt("get_mmp_config", mmp.get_config(currency="BTC"))
    await attempt("reset_mmp", mmp.reset(currency="BTC"))


class Channels:
    """Everything that the client's channels decoded."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._all = asyncio.Event()

    def counter(self, name: str) -> Callable[[Any], None]:
        """A callback that counts."""
        self.counts[name] = 0
        self._all.clear()

        def count(_: Any) -> None:
            self.counts[name] += 1
            if all(self.counts.values()):
                self._all.set()

        return count

    async def subscribe(self, client: WebSocketClient, subaccount_id: int) -> None:
        """Each channel that both sides know."""
        public, private, count = client.public_channels, client.private_channels, self.counter
        await attempt("on book", public.orderbook_group_depth_by_instrument_name(PERP, 10, 10, count("book")))
        await attempt("on ticker", public.ticker_slim_interval_by_instrument_name(PERP, 100, count("ticker")))
        await attempt("on trades", public.trades_by_instrument_name(PERP, count("trades")))
        await attempt("on perps", public.trades_by_instrument_type(AssetType.perp, "BTC", count("trades of perps")))
        await attempt("on spot", public.spot_feed_by_currency("BTC", count("spot")))
        await attempt("on orders", private.orders_by_subaccount_id(str(subaccount_id), count("orders")))
        await attempt("on fills", private.trades_by_subaccount_id(str(subaccount_id), count("fills")))
        await attempt("on balances", private.balances_by_subaccount_id(str(subaccount_id), count("balances")))

    async def all_heard(self, limit_s: float) -> None:
        """Wait until every channel brought something."""
        try:
            await asyncio.wait_for(self._all.wait(), limit_s)
        except TimeoutError:
            say("channels", error=f"silent: {[name for name, count in self.counts.items() if not count]}")
        say("channels", counts=self.counts)


async def over_sockets(world: dict[str, Any]) -> None:
    """Trade and listen."""
    client, other = (WebSocketClient(config_of(world, account)) for account in world["accounts"])
    channels = Channels()
    await attempt("connect", client.connect())
    await attempt("connect other", other.connect())
    await channels.subscribe(client, world["accounts"][0]["subaccount_id"])
    await trade(client, other)
    await trade_option(client, world["option"])
    await protect(client)
    await read(client)
    await channels.all_heard(20)
    await attempt("disconnect", client.disconnect())
    await attempt("disconnect other", other.disconnect())


async def over_rest(world: dict[str, Any]) -> None:
    """Place, read and cancel over REST; the client blocks."""

    def story() -> None:
        client = HTTPClient(config_of(world, world["accounts"][0]))
        client.connect()
        terms = {"instrument_name": PERP, "amount": Decimal("0.1"), "max_fee": FEE, "limit_price": Decimal(70_000)}
        made = client.orders.create(**terms, direction=Direction.buy, order_type=OrderType.limit)
        client.orders.get(order_id=made.order.order_id)
        client.orders.cancel(instrument_name=PERP, order_id=made.order.order_id)
        client.positions.list()
        client.history.trades()

    await attempt("rest", asyncio.to_thread(story))


async def main(world: dict[str, Any]) -> None:
    """Both transports, one after the other."""
    logging.getLogger("derive_py.utils.logger").addHandler(Undecoded(logging.ERROR))
    async with asyncio.timeout(120):
        await over_sockets(world)
        await over_rest(world)
    say("done")


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
