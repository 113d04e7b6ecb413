"""Clients that trade as fast as they are answered, over the public websocket API, and write down every promise.

Each life of a connection has several workers, one request in flight each. A lost connection ends the life; the next one
first asks about some of the orders that got no reply, sends others again (the same signed bytes), and leaves the rest.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, Final

from exchange.app.chaos_history import Entry, EntryState, History, Kind
from exchange.client import AnswerMissing, ClientError, ConnectionLost, OffbookClient, OffbookError, StreamBroken
from exchange.client.markets import Market, decimal_e9
from exchange.client.signing import Credentials, NonceSource, OrderTerms, signed_order
from exchange.client.streams import Subscription
from exchange.wire.errors import RpcCode

__all__ = ["ChaosClient"]

WORKERS: Final = 6
_RETRY_S: Final = 0.1
_LIFE_S: Final = 3_600
_MAX_OPEN: Final = 40
_MARK_LIFE_S: Final = 2.0
_QUEUE_ITEMS: Final = 1 << 20
_PPM: Final = 1_000_000
_INSTRUMENTS_PER_KIND: Final = 2


class ChaosClient:
    """One account. `run` trades until `stop`, then reads its open orders and returns."""

    def __init__(self, url: str, who: Credentials, place: int, source: Random, history: History) -> None:
        """Nothing is sent yet."""
        self._url = url
        self._who = who
        self._place = place
        self._source = source
        self._history = history
        self._nonces = NonceSource()
        self._stopping = False
        self._count = 0
        self._separator = b""
        self._names: list[str] = []
        self._marks: dict[str, tuple[float, int, int]] = {}
        self._resting: dict[str, str] = {}
        self._unsettled: list[tuple[Entry, dict[str, Any]]] = []

    def stop(self) -> None:
        """Send nothing new; `run` ends when everything sent is answered."""
        self._stopping = True

    async def run(self) -> None:
        """Live one connection after the other."""
        finished = False
        while not finished:
            client = OffbookClient(self._url, self._who)
            try:
                await client.open()
                finished = await self._live(client)
            except (ClientError, OSError):
                await asyncio.sleep(_RETRY_S)
            finally:
                await client.close()

    async def _live(self, client: OffbookClient) -> bool:
        """True when this life ended because trading stopped."""
        info = await client.request("public/get_info")
        self._separator = bytes.fromhex(info["domain_separator"].removeprefix("0x"))
        self._names = self._names or self._choose(client)
        drains = [
            asyncio.create_task(_drain(await client.order_updates(), self._take_order)),
            asyncio.create_task(_drain(await self._fills(client), self._history.streamed_trades.append)),
        ]
        try:
            await self._settle(client)
            await _all_or_first_failure([asyncio.create_task(self._work(client)) for _ in range(WORKERS)])
            await asyncio.sleep(2 * _RETRY_S)
            self._history.open_orders[self._who.subaccount_id] = await client.open_orders()
        finally:
            for task in drains:
                task.cancel()
            await asyncio.gather(*drains, return_exceptions=True)
        return self._stopping

    async def _fills(self, client: OffbookClient) -> Subscription:
        channel = f"{self._who.subaccount_id}.trades"
        return await client.subscribe(channel, flatten=True, queue_items=_QUEUE_ITEMS)

    def _choose(self, client: OffbookClient) -> list[str]:
        perpetuals = sorted(name for name, market in client.markets.items() if market.instrument.is_perpetual)
        options = sorted(name for name, market in client.markets.items() if market.instrument.is_option)
        middle = len(options) // 2
        chosen = perpetuals[:_INSTRUMENTS_PER_KIND] + options[middle : middle + _INSTRUMENTS_PER_KIND]
        if not chosen:
            raise ConnectionLost("no instruments are listed yet")
        return chosen

    async def _work(self, client: OffbookClient) -> None:
        """Act until told to stop. Raises ConnectionLost when the connection ends; other workers then end too."""
        while not self._stopping:
            draw = self._source.random()
            if self._resting and (draw < 0.15 or len(self._resting) > _MAX_OPEN):
                await self._cancel(client)
            elif self._resting and draw < 0.25:
                await self._replace(client)
            else:
                await self._place_order(client, is_immediate=draw > 0.8)

    async def _place_order(self, client: OffbookClient, *, is_immediate: bool) -> None:
        params = await self._order(client, self._source.choice(self._names))
        params["time_in_force"] = "ioc" if is_immediate else "gtc"
        entry = self._history.invoke(self._entry(Kind.PLACE, params))
        await self._send(entry, params, lambda: client.request("private/order", params))

    async def _replace(self, client: OffbookClient) -> None:
        target, name = self._take_resting()
        params = await self._order(client, name)
        params["order_id_to_cancel"] = target
        entry = self._history.invoke(self._entry(Kind.REPLACE, params, target))
        await self._send(entry, params, lambda: client.request("private/replace", params))

    async def _cancel(self, client: OffbookClient) -> None:
        target, name = self._take_resting()
        entry = self._history.invoke(self._entry(Kind.CANCEL, {}, target))
        await self._send(entry, {}, lambda: client.cancel(target, name))

    def _take_resting(self) -> tuple[str, str]:
        target = self._source.choice(list(self._resting))
        return target, self._resting.pop(target)

    def _entry(self, kind: Kind, params: dict[str, Any], target: str = "") -> Entry:
        return Entry(
            subaccount_id=self._who.subaccount_id,
            kind=kind,
            client_order_id=params.get("client_order_id", ""),
            target_order_id=target,
        )

    async def _send(self, entry: Entry, params: dict[str, Any], send: Callable[[], Awaitable[Any]]) -> None:
        """Send and note the outcome. Raises ConnectionLost, AnswerMissing after noting it."""
        try:
            reply = await send()
        except OffbookError as error:
            if error.code == RpcCode.RATE_LIMIT:
                await asyncio.sleep(_RETRY_S)
            if entry.was_unanswered and error.code == RpcCode.RATE_LIMIT:
                self._unanswered(entry, params)  # this one did not happen; the first one is as unknown as before
            else:
                entry.state, entry.code = EntryState.REFUSED, error.code
        except ConnectionLost as lost:
            if not lost.sent and not entry.was_unanswered:
                entry.state = EntryState.NOT_SENT
                raise
            self._unanswered(entry, params)
            raise
        except (AnswerMissing, asyncio.CancelledError):
            self._unanswered(entry, params)
            raise
        else:
            self._history.acknowledge(entry, reply)
            self._learn(reply.get("order", reply))

    def _unanswered(self, entry: Entry, params: dict[str, Any]) -> None:
        self._history.leave_unanswered(entry)
        if entry.kind is Kind.PLACE:
            self._unsettled.append((entry, params))

    async def _settle(self, client: OffbookClient) -> None:
        """Of the orders without a reply, repeat a third, look up a third, and leave a third."""
        waiting, self._unsettled = self._unsettled, []
        for entry, params in waiting:
            choice = self._source.randrange(3)
            if choice == 0:
                await self._send(entry, params, partial(client.request, "private/order", params))
            elif choice == 1:
                await self._look_up(client, entry)

    async def _look_up(self, client: OffbookClient, entry: Entry) -> None:
        own = {"subaccount_id": self._who.subaccount_id, "client_order_id": entry.client_order_id}
        try:
            order = await client.request("private/get_order", own)
        except OffbookError:
            entry.state = EntryState.ABSENT
            return
        self._history.acknowledge(entry, {"order": order})
        self._learn(order)

    def _learn(self, order: dict[str, Any] | None) -> None:
        if order and order["order_status"] == "open":
            self._resting[order["order_id"]] = order["instrument_name"]

    def _take_order(self, order: dict[str, Any]) -> None:
        self._history.streamed_orders.append(order)
        if order["order_status"] != "open":
            self._resting.pop(order["order_id"], None)

    async def _order(self, client: OffbookClient, name: str) -> dict[str, Any]:
        """Signed members of an order near the mark, with a client order id of its own."""
        market = client.market(name)
        mark_e9, index_e9 = await self._mark(client, name)
        is_buy = self._source.random() < 0.5
        spread_ppm = 30_000 if market.instrument.is_option else 1_000
        price_e9 = mark_e9 * (_PPM + self._source.randint(-spread_ppm, spread_ppm)) // _PPM
        terms = OrderTerms(
            market=market,
            is_buy=is_buy,
            price_ticks=market.ticks_within(price_e9, up=is_buy),
            quantity_lots=self._lots(market),
            max_fee_e9=market.fee_cap_e9(index_e9, margin_ppm=_PPM),
            nonce=self._nonces.next(),
            expiry_s=int(time.time()) + _LIFE_S,
        )
        self._count += 1
        client_order_id = f"chaos-{self._place}-{self._count}"
        return {
            "order_type": "limit",
            "client_order_id": client_order_id,
            **signed_order(self._who, self._separator, terms),
        }

    def _lots(self, market: Market) -> int:
        return min(market.instrument.minimum_lots * self._source.randint(1, 20), market.instrument.maximum_lots)

    async def _mark(self, client: OffbookClient, name: str) -> tuple[int, int]:
        at_s, mark_e9, index_e9 = self._marks.get(name, (0.0, 0, 0))
        if time.monotonic() - at_s > _MARK_LIFE_S:
            ticker = await client.ticker(name)
            mark_e9, index_e9 = decimal_e9(ticker["M"]), decimal_e9(ticker["I"])
            if not mark_e9 or not index_e9:
                raise ConnectionLost("no prices yet")
            self._marks[name] = (time.monotonic(), mark_e9, index_e9)
        return mark_e9, index_e9


async def _all_or_first_failure(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for all; when one fails, end the others before raising its error."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        failed = [task for task in tasks if task.done() and not task.cancelled() and task.exception() is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in failed:
        task.result()


async def _drain(stream: Subscription, take: Callable[[dict[str, Any]], None]) -> None:
    try:
        async for item in stream:
            take(item)
    except StreamBroken:
        return
