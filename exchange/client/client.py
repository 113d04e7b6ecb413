"""The client of the exchange: connect, trade, listen. Every order is signed here; the key never leaves the process.

    async with OffbookClient.connect(url, owner=..., session_key=..., subaccount_id=...) as client:
        result = await client.buy("BTC-PERP", "0.1")

Results are the protocol's own objects (api.md 7) as dicts. Errors: `exchange.client.errors`; off-grid prices and
sizes raise `exchange.domain.instrument.OffGrid` before anything is sent.
"""

import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from exchange.client.books import BookFeed
from exchange.client.conditional import ConditionalOrders
from exchange.client.connection import Connection
from exchange.client.errors import BadAccount, OffbookError
from exchange.client.histories import Export
from exchange.client.markets import Market, Number, QuoteInput, decimal_e9, parse_market, quote_line, quote_texts
from exchange.client.orders import OrderMirror
from exchange.client.signing import (
    ClockNs,
    Credentials,
    NonceSource,
    OrderTerms,
    QuoteTerms,
    demo_accounts,
    login_params,
    signed_order,
    signed_quotes,
)
from exchange.client.streams import DEFAULT_QUEUE_ITEMS, Subscription
from exchange.domain.money import ceil_div, floor_div
from settlement.protocol.signature import parse_address

__all__ = ["DEMO_ACCOUNTS_FILE", "DEMO_URL", "Connecting", "OffbookClient"]

DEMO_URL = "ws://127.0.0.1:8700/v3/ws"
DEMO_ACCOUNTS_FILE = ".offbook/demo_accounts.json"
"""Below the current directory, where `offbook up --demo` writes it."""
_FEE_MARGIN_PPM = 1_000_000
"""Fee caps are twice the current fee: the index may double before the order is refused."""
_SLIPPAGE_PPM = 50_000
"""Worst price of a market order without one: 5 % through the better of mark and best price."""
_NS_PER_S = 1_000_000_000
_PAGE_ROWS = 1_000


class OffbookClient(ConditionalOrders):
    """One logged-in websocket of one subaccount. Build it with `connect` or `from_demo`."""

    def __init__(
        self, url: str, who: Credentials, *, clock_ns: ClockNs = time.time_ns, valid_for_s: int = 86_400
    ) -> None:
        self.url = url
        self.who = who
        self.markets: dict[str, Market] = {}
        self.subaccount_ids: list[int] = []
        self._clock_ns = clock_ns
        self._valid_for_s = valid_for_s
        self._nonces = NonceSource(clock_ns)
        self._separator = b""
        self._contract = b""
        self._index_e9: dict[str, int] = {}
        self._connection = Connection(url, on_open=self._log_in)

    @classmethod
    def connect(cls, url: str, *, owner: str, session_key: str, subaccount_id: int) -> "Connecting":
        """Awaitable and async context manager. Raises ConnectionLost, OffbookError, BadAccount."""
        return Connecting(lambda: cls(url, Credentials.parse(owner, session_key, subaccount_id)))

    @classmethod
    def from_demo(cls, path: str | Path = DEMO_ACCOUNTS_FILE, *, url: str = DEMO_URL, index: int = 0) -> "Connecting":
        """Connect as account `index` of the demo's account file."""
        return Connecting(lambda: cls(url, _account(path, index)))

    async def open(self) -> "OffbookClient":
        """Connect, log in and load the instruments; called by `connect` for you."""
        try:
            await self._connection.open()
            await self.reload_markets()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Close the socket and end every subscription. Orders stay as they are. Idempotent."""
        await self._connection.close()

    async def ready(self) -> None:
        """Wait until the connection is up and logged in (again)."""
        await self._connection.ready()

    @property
    def reconnections(self) -> int:
        """How often the socket was replaced since `open`."""
        return self._connection.reconnections

    async def request(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Any method of the protocol, e.g. `request("public/get_time")`."""
        return await self._connection.request(method, params or {})

    async def buy(self, instrument: str, amount: Number, price: Number | None = None, **options: Any) -> dict[str, Any]:
        """Buy `amount`; without `price` at the market. Options and result: see `order`."""
        return await self.order(instrument, "buy", amount, price, **options)

    async def sell(
        self, instrument: str, amount: Number, price: Number | None = None, **options: Any
    ) -> dict[str, Any]:
        """Sell `amount`; without `price` at the market. Options and result: see `order`."""
        return await self.order(instrument, "sell", amount, price, **options)

    async def order(
        self, instrument: str, direction: str, amount: Number, price: Number | None = None, **options: Any
    ) -> dict[str, Any]:
        """Place an order; returns `{"order": Order, "trades": [Trade, ...]}` once it is durable.

        Without `price` it is a market order, bounded 5 % through the market. Options: `time_in_force` (gtc,
        post_only, fok, ioc), `reduce_only`, `label`, `client_order_id`, `worst_price`, `max_fee` (USDC per unit of the
        underlying), `valid_for_s`, and every other wire member of private/order. Raises OffGrid, OffbookError,
        ConnectionLost (with `sent`: unknown outcome).
        """
        params = await self.signed_params(instrument, direction, amount, price, options)
        return await self._orders("private/order", params)

    async def order_quote(
        self, instrument: str, direction: str, amount: Number, price: Number | None = None, **options: Any
    ) -> dict[str, Any]:
        """What `order` would do with the same arguments, and whether it would be taken; nothing is signed or placed."""
        market, is_buy = self.market(instrument), direction == "buy"
        worst = options.pop("worst_price", None) if price is None else price
        ticks = await self._price_ticks(market, is_buy=is_buy, price=worst, trigger=None)
        terms = {
            "instrument_name": instrument,
            "direction": direction,
            "amount": market.instrument.quantity_text(market.quantity_lots(amount)),
            "limit_price": market.instrument.price_text(ticks),
            "order_type": "market" if price is None else "limit",
        }
        quote: dict[str, Any] = await self.request("private/order_quote", self.own(**terms | options))
        return quote

    async def simulate(self, changes: dict[str, Number] | None = None) -> dict[str, Any]:
        """Margin of the subaccount if it held so much more (or less) of each instrument, bought at the mark.

        `inputs` of the result has every number it was computed from: `exchange.client.margin.margin_of` gives the same.
        """
        rows = [{"instrument_name": name, "amount": str(amount)} for name, amount in (changes or {}).items()]
        result: dict[str, Any] = await self.request("private/simulate", self.own(simulated_position_changes=rows))
        return result

    async def replace(
        self, order_id: str, instrument: str, direction: str, amount: Number, price: Number, **options: Any
    ) -> dict[str, Any]:
        """Cancel `order_id` and place a new order in one step; see `order`. Result: api.md 6.2, `replace`."""
        params = await self.signed_params(instrument, direction, amount, price, options)
        return await self._orders("private/replace", params | {"order_id_to_cancel": order_id})

    async def mass_quote(
        self,
        lines: Sequence[QuoteInput],
        *,
        group: int = 1,
        max_fee: Number | None = None,
        valid_for_s: int | None = None,
        detailed: bool = True,
    ) -> dict[str, Any]:
        """Quote up to 64 instruments under one signature: `(instrument, bid_price, bid_amount, ask_price, ask_amount)`.

        Each side takes the place of the group's quote there; an amount of None or 0 pulls it. The group needs limits
        first (private/set_mmp_config). Returns `{"quotes": [{"line", "direction", "status", "order_id", "error"}],
        "trades": []}`, without `detailed` the rejected sides only. Raises OffGrid, OffbookError, ConnectionLost.
        """
        signed = await self.signed_lines(lines, max_fee=max_fee, valid_for_s=valid_for_s)
        return await self._orders("private/mass_quote", signed | {"mmp_group": group, "detailed": detailed})

    async def signed_lines(
        self, lines: Sequence[QuoteInput], *, max_fee: Number | None = None, valid_for_s: int | None = None
    ) -> dict[str, Any]:
        """Sign quote lines and return the members of the call, lines included; see `mass_quote`. Raises OffGrid."""
        packed = tuple(quote_line(self.market(line[0]), line) for line in lines)
        terms = QuoteTerms(
            lines=packed,
            max_fee_e9=max([await self._max_fee_e9(line[0], max_fee) for line in lines], default=0),
            nonce=self._nonces.next(),
            expiry_s=floor_div(self._clock_ns(), _NS_PER_S) + (valid_for_s or self._valid_for_s),
        )
        texts = [quote_texts(self.market(name), line) for (name, *_), line in zip(lines, packed, strict=True)]
        return {"lines": texts} | signed_quotes(self.who, self._separator, self._contract, terms)

    async def pull_quotes(self, group: int = 1) -> dict[str, Any]:
        """Cancel every quote of a group, without a signature and never refused by a budget."""
        return await self._orders("private/mass_quote", self.own(mmp_group=group, cancel="all"))

    async def cancel(self, order_id: str, instrument: str) -> dict[str, Any]:
        """Cancel one order and return it. Raises OffbookError 11003 - 11006 when it is already closed."""
        return await self._orders("private/cancel", self.own(order_id=order_id, instrument_name=instrument))

    async def cancel_all(self, instrument: str | None = None) -> Any:
        """Cancel every open order of the subaccount, or those of one instrument."""
        if instrument is None:
            return await self.request("private/cancel_all", self.own())
        return await self.request("private/cancel_by_instrument", self.own(instrument_name=instrument))

    async def cancel_all_after(self, timeout_ms: int, *, spare_reduce_only: bool = False) -> dict[str, Any]:
        """Arm (0: disarm) a timer that cancels every order unless this is called again within 1,000 to 3,600,000 ms."""
        params = self.own(timeout_ms=timeout_ms, spare_reduce_only=spare_reduce_only)
        result: dict[str, Any] = await self.request("private/cancel_all_after", params)
        return result

    async def open_orders(self) -> list[dict[str, Any]]:
        """Open orders of the subaccount."""
        result: dict[str, list[dict[str, Any]]] = await self.request("private/get_open_orders", self.own())
        return result["orders"]

    async def positions(self) -> list[dict[str, Any]]:
        """Positions of the subaccount."""
        result: dict[str, list[dict[str, Any]]] = await self.request("private/get_positions", self.own())
        return result["positions"]

    async def subaccount(self) -> dict[str, Any]:
        """Cash, margins, positions and open orders of the subaccount."""
        return await self._orders("private/get_subaccount", self.own())

    async def ticker(self, instrument: str) -> dict[str, Any]:
        """Best prices, mark and index of an instrument (short member names: api.md 7)."""
        ticker: dict[str, Any] = await self.request("public/get_ticker", {"instrument_name": instrument})
        self._remember_index(instrument, ticker)
        return ticker

    async def subscribe(
        self, channel: str, *, flatten: bool = False, queue_items: int = DEFAULT_QUEUE_ITEMS
    ) -> Subscription:
        """Return an async iterator over a channel's data (with `flatten`: over the members of its lists)."""
        stream = Subscription(channel, flatten=flatten, queue_items=queue_items)
        await self._connection.subscribe(stream)
        return stream

    async def unsubscribe(self, stream: Subscription) -> None:
        """End a subscription."""
        await self._connection.unsubscribe(stream)

    async def fills(self) -> Subscription:
        """Own fills, one Trade at a time."""
        return await self.subscribe(f"{self.who.subaccount_id}.trades", flatten=True)

    async def account_events(self) -> Subscription:
        """Everything that happens to the subaccount, one item per `account_seq` without a gap.

        Over reconnections and restarts of the exchange too. StreamBroken with 20002 when the client was away for longer
        than the exchange remembers (a day): read the state anew.
        """
        return await self.subscribe(f"{self.who.subaccount_id}.account")

    async def order_updates(self) -> Subscription:
        """Own orders, one Order at each change."""
        return await self.subscribe(f"{self.who.subaccount_id}.orders", flatten=True)

    def order_mirror(self) -> OrderMirror:
        """Return a copy of the own orders; `async with` follows them, `reconcile` clears up what is uncertain."""
        return OrderMirror(self)

    def book(self, instrument: str, interval: str = "raw") -> BookFeed:
        """Return the whole order book after each change; `interval` is raw, 20ms or 100ms."""
        return BookFeed(f"book.{instrument}.{interval}", self.subscribe, self.unsubscribe)

    def export(self, kind: str, from_cursor: str | None = None) -> Export:
        """All that ever happened, oldest first, by `async for`: trades, orders (ended ones), cash or liquidations."""
        return Export(self.request, self.who.subaccount_id, kind, from_cursor)

    def market(self, instrument: str) -> Market:
        """Grid, fees and asset of an instrument. Raises OffbookError 12001 when it is unknown."""
        try:
            return self.markets[instrument]
        except KeyError:
            raise OffbookError(12001, "Instrument not found", instrument) from None

    async def reload_markets(self) -> None:
        """Load all live perpetuals and options."""
        markets: dict[str, Market] = {}
        for kind in ("perp", "option"):
            markets |= {market.instrument.name: market for market in await self._page_through(kind)}
        self.markets = markets

    async def _page_through(self, kind: str) -> list[Market]:
        markets: list[Market] = []
        page = pages = 1
        while page <= pages:
            params = {"instrument_type": kind, "expired": False, "page": page, "page_size": _PAGE_ROWS}
            result = await self.request("public/get_all_instruments", params)
            markets += [parse_market(row) for row in result["instruments"]]
            pages = result["pagination"]["num_pages"]
            page += 1
        return markets

    async def _log_in(self) -> None:
        call = self._connection.call
        info = await call("public/get_info", {})
        self._separator = bytes.fromhex(info["domain_separator"].removeprefix("0x"))
        self._contract = parse_address(info["settlement_contract"])
        self.subaccount_ids = await call("public/login", login_params(self.who, self._clock_ns()))
        if self.who.subaccount_id not in self.subaccount_ids:
            raise OffbookError(14001, "Subaccount not found", f"the key acts for {self.subaccount_ids}")

    async def signed_params(
        self, instrument: str, direction: str, amount: Number, price: Number | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        """Members of a signed order, as `order` sends them."""
        if direction not in ("buy", "sell"):
            raise ValueError(f"direction must be buy or sell, got {direction!r}")
        wire = dict(options)
        market, is_buy = self.market(instrument), direction == "buy"
        lots = market.quantity_lots(amount)
        worst = wire.pop("worst_price", None)
        valid_for_s = wire.pop("valid_for_s", self._valid_for_s)
        terms = OrderTerms(
            market=market,
            is_buy=is_buy,
            price_ticks=await self._price_ticks(
                market, is_buy=is_buy, price=worst if price is None else price, trigger=wire.get("trigger_price")
            ),
            quantity_lots=lots,
            max_fee_e9=await self._max_fee_e9(instrument, wire.pop("max_fee", None)),
            nonce=self._nonces.next(),
            expiry_s=floor_div(self._clock_ns(), _NS_PER_S) + valid_for_s,
        )
        kind = "market" if price is None else "limit"
        return {"order_type": kind} | wire | signed_order(self.who, self._separator, terms)

    async def _price_ticks(self, market: Market, *, is_buy: bool, price: Number | None, trigger: Number | None) -> int:
        """Ticks of `price`; without one, 5 % through the trigger or the market."""
        if price is not None:
            return market.price_ticks(price)
        if trigger is not None:
            ppm = 1_000_000 + (_SLIPPAGE_PPM if is_buy else -_SLIPPAGE_PPM)
            return market.ticks_within(_scaled(decimal_e9(trigger), ppm), up=is_buy)
        ticker = await self.ticker(market.instrument.name)
        mark_e9 = decimal_e9(ticker["M"])
        best_e9 = decimal_e9(ticker["a" if is_buy else "b"]) or mark_e9
        if is_buy:
            return market.ticks_within(_scaled(max(mark_e9, best_e9), 1_000_000 + _SLIPPAGE_PPM), up=True)
        return market.ticks_within(_scaled(min(mark_e9, best_e9), 1_000_000 - _SLIPPAGE_PPM), up=False)

    async def _max_fee_e9(self, name: str, max_fee: Number | None) -> int:
        if max_fee is not None:
            return decimal_e9(max_fee)
        market = self.market(name)
        underlying = market.instrument.underlying
        if underlying not in self._index_e9:
            await self.ticker(name)
        return market.fee_cap_e9(self._index_e9.get(underlying, 0), margin_ppm=_FEE_MARGIN_PPM)

    def _remember_index(self, name: str, ticker: dict[str, Any]) -> None:
        market, index_e9 = self.markets.get(name), decimal_e9(ticker["I"])
        if market is not None and index_e9:
            self._index_e9[market.instrument.underlying] = index_e9

    def own(self, **params: Any) -> dict[str, Any]:
        """Params of a method of the own subaccount."""
        return {"subaccount_id": self.who.subaccount_id} | params

    async def _orders(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = await self.request(method, params)
        return result


class Connecting:
    """What `connect` returns: `client = await ...` or `async with ... as client`, which also closes it."""

    def __init__(self, build: Callable[[], OffbookClient]) -> None:
        self._build = build
        self._client: OffbookClient | None = None

    def __await__(self) -> Generator[Any, None, OffbookClient]:
        opening: Awaitable[OffbookClient] = self._build().open()
        return opening.__await__()

    async def __aenter__(self) -> OffbookClient:
        self._client = await self
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()


def _account(path: str | Path, index: int) -> Credentials:
    accounts = demo_accounts(path)
    if not 0 <= index < len(accounts):
        raise BadAccount(f"{path} has {len(accounts)} accounts, there is no number {index}")
    return accounts[index]


def _scaled(price_e9: int, ppm: int) -> int:
    return ceil_div(price_e9 * ppm, 1_000_000)
