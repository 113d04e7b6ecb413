"""What makers and takers share: an account's client that resumes after interruptions, a pace, and counted outcomes."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from exchange.client.client import OffbookClient
from exchange.client.errors import AnswerMissing, ConnectionLost, OffbookError, StreamBroken
from exchange.client.markets import decimal_e9
from exchange.client.quoting import View, view_of
from exchange.client.signing import Credentials

__all__ = ["Bot", "BotCounts", "Pace"]

_RETRY_S = 1.0
_VIEW_LIFE_S = 4.0
_MARKETS_LIFE_S = 60.0
_INSUFFICIENT_MARGIN = 11_000
_LEAST_SIZE_PPM = 50_000
_PPM = 1_000_000


@dataclass(slots=True)
class BotCounts:
    """What a bot did so far. `refused` counts error codes, `interruptions` lost connections."""

    orders: int = 0
    fills: int = 0
    interruptions: int = 0
    refused: Counter[int] = field(default_factory=Counter)


class Pace:
    """At most `per_second` actions, evenly spaced, without catching up after a pause."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._next_s = 0.0

    async def wait(self, *, faster: float = 1.0) -> None:
        """Return when the next action is due; `faster` shortens this one interval."""
        now_s = asyncio.get_running_loop().time()
        due_s = max(self._next_s, now_s)
        self._next_s = due_s + 1.0 / (self.per_second * faster)
        await asyncio.sleep(due_s - now_s)


class Bot(ABC):
    """One account that trades until it is cancelled. Subclasses say what one action is.

    A refusal is counted and the bot goes on; a lost connection makes it start over: cancel everything, read positions,
    trade again. `settling_s` is how long the list of instruments must stand still before the first order.
    """

    settling_s = 0.5

    def __init__(self, url: str, who: Credentials, source: Random, *, orders_per_s: float) -> None:
        self.client = OffbookClient(url, who)
        self.source = source
        self.pace = Pace(orders_per_s)
        self.counts = BotCounts()
        self.positions: dict[str, int] = {}
        self.size_ppm = _PPM
        """Shrinks when margin runs out and recovers slowly."""
        self._views: dict[str, tuple[float, View]] = {}
        self._markets_due_s = 0.0

    async def run(self) -> None:
        """Trade for ever; ends by cancellation and closes its client."""
        try:
            while True:
                await self._live()
                self.counts.interruptions += 1
                await asyncio.sleep(_RETRY_S)
                await self.client.close()
                self.client = OffbookClient(self.client.url, self.client.who)
        finally:
            await self.client.close()

    @abstractmethod
    async def begin(self) -> None:
        """Forget what was; called after cancel_all, with positions read."""

    @abstractmethod
    async def act(self) -> None:
        """Do the next action: wait for the pace and send one order or cancel."""

    @abstractmethod
    def take_order(self, order: dict[str, Any]) -> None:
        """Learn from a change of an own order."""

    async def view(self, name: str) -> View | None:
        """Mark and index of an instrument, a few seconds old at most; one request serves a whole option chain."""
        now_s = asyncio.get_running_loop().time()
        known = self._views.get(name)
        if known is None or now_s - known[0] > _VIEW_LIFE_S:
            for row, ticker in (await self._tickers(name)).items():
                view = view_of(ticker)
                if view is not None:
                    self._views[row] = (now_s, view)
            known = self._views.get(name)
        return known[1] if known is not None and now_s - known[0] <= _VIEW_LIFE_S else None

    async def _live(self) -> None:
        """Live one life of a connection."""
        try:
            await self.client.open()
            async with contextlib.AsyncExitStack() as stack:
                await self._listen(stack)
                await self._start()
                reconnections = self.client.reconnections
                while self.client.reconnections == reconnections:
                    await self._refresh_markets()
                    await self._guarded_act()
        except (ConnectionLost, AnswerMissing, StreamBroken, OffbookError):
            return

    async def _start(self) -> None:
        await self.client.cancel_all()
        self.positions = {}
        for row in await self.client.positions():
            market = self.client.markets.get(row["instrument_name"])
            if market is not None:
                self.positions[row["instrument_name"]] = decimal_e9(row["amount"]) // market.instrument.lot_e9
        await self._settled_markets()
        self._markets_due_s = asyncio.get_running_loop().time() + _MARKETS_LIFE_S
        await self.begin()

    async def _settled_markets(self) -> None:
        """Wait until there are instruments and no more are being added: a fresh exchange lists them one by one."""
        known = -1
        while not self.client.markets or len(self.client.markets) != known:
            known = len(self.client.markets)
            await asyncio.sleep(self.settling_s)
            await self.client.reload_markets()

    async def _refresh_markets(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._markets_due_s:
            await self.client.reload_markets()
            self._views = {name: known for name, known in self._views.items() if name in self.client.markets}
            self._markets_due_s = now_s + _MARKETS_LIFE_S

    async def _guarded_act(self) -> None:
        try:
            await self.act()
        except OffbookError as error:
            self.counts.refused[error.code] += 1
            if error.code == _INSUFFICIENT_MARGIN:
                self.size_ppm = max(self.size_ppm // 2, _LEAST_SIZE_PPM)
        else:
            self.size_ppm = min(self.size_ppm + _PPM // 1_000, _PPM)

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        streams = (await self.client.fills(), self._take_fill), (await self.client.order_updates(), self.take_order)
        for stream, take in streams:
            task = asyncio.create_task(_drain(stream, take))
            stack.push_async_callback(_end, task)

    def _take_fill(self, trade: dict[str, Any]) -> None:
        self.counts.fills += 1
        market = self.client.markets.get(trade["instrument_name"])
        if market is None:
            return
        lots = decimal_e9(trade["trade_amount"]) // market.instrument.lot_e9
        signed = lots if trade["direction"] == "buy" else -lots
        self.positions[trade["instrument_name"]] = self.positions.get(trade["instrument_name"], 0) + signed

    async def _tickers(self, name: str) -> dict[str, dict[str, Any]]:
        instrument = self.client.market(name).instrument
        if instrument.is_perpetual:
            return {name: await self.client.ticker(name)}
        params = {"instrument_type": "option", "currency": instrument.underlying, "expiry_date": name.split("-")[1]}
        result: dict[str, dict[str, dict[str, Any]]] = await self.client.request("public/get_tickers", params)
        return result["tickers"]


async def _drain(stream: Any, take: Any) -> None:
    with contextlib.suppress(StreamBroken):
        async for item in stream:
            take(item)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
