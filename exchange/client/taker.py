"""The demo's taker: seeded market, immediate and resting limit orders, leaning toward a flat position."""

from collections import deque
from random import Random
from typing import Any

from exchange.client.bot import Bot
from exchange.client.errors import OffbookError
from exchange.client.markets import Market
from exchange.client.quoting import View, position_limit_lots
from exchange.client.signing import Credentials

__all__ = ["Taker"]

_PERPETUAL_SHARE = 0.7
_MARKET_SHARE = 0.45
_RESTING_SHARE = 0.25
_MOST_RESTING = 8
_PPM = 1_000_000
_GONE = frozenset({11_003, 11_004, 11_005, 11_006})
_QUIET = frozenset({11_007, 11_009})
"""Meeting an own order, or nobody: expected of a taker."""


class Taker(Bot):
    """Sends one order per turn, keeps at most eight of its limit orders open."""

    def __init__(self, url: str, who: Credentials, source: Random, *, orders_per_s: float) -> None:
        super().__init__(url, who, source, orders_per_s=orders_per_s)
        self._resting: dict[str, tuple[str, str]] = {}
        """Instrument and direction by order id, oldest first."""
        self._closed: deque[str] = deque(maxlen=64)

    @property
    def open_orders(self) -> int:
        """How many orders rest, as far as this bot knows."""
        return len(self._resting)

    async def begin(self) -> None:
        """Nothing rests after cancel_all."""
        self._resting.clear()

    async def act(self) -> None:
        """Cancel the oldest resting order when there are too many, else send an order."""
        await self.pace.wait()
        if len(self._resting) >= _MOST_RESTING:
            await self._cancel(next(iter(self._resting)))
            return
        name = self._choose_instrument()
        view = await self.view(name)
        if view is None:
            return
        self.counts.orders += 1
        try:
            await self._send(name, view)
        except OffbookError as error:
            if error.code not in _QUIET:
                raise

    def take_order(self, order: dict[str, Any]) -> None:
        """Follow closures of own orders."""
        if order["order_status"] != "open":
            self._closed.append(order["order_id"])
            self._resting.pop(order["order_id"], None)

    def _choose_instrument(self) -> str:
        markets = self.client.markets
        is_perpetual = self.source.random() < _PERPETUAL_SHARE
        names = sorted(name for name, market in markets.items() if market.instrument.is_perpetual == is_perpetual)
        return self.source.choice(names or sorted(markets))

    async def _send(self, name: str, view: View) -> None:
        market = self.client.market(name)
        limit_lots = position_limit_lots(market, view.index_e9)
        direction = self._direction(name, limit_lots)
        await self._cancel_opposite(name, direction)
        amount = market.instrument.quantity_text(self._lots(market, limit_lots))
        draw = self.source.random()
        if draw < _MARKET_SHARE:
            worst = self._price(market, view, is_buy=direction == "buy", through_ppm=50_000)
            await self.client.order(name, direction, amount, worst_price=worst, time_in_force="ioc", label="taker")
            return
        rests = draw > 1.0 - _RESTING_SHARE
        through_ppm = -self.source.randint(20, 400) if rests else self.source.randint(100, 3_000)
        if market.instrument.is_option:
            through_ppm *= 15
        result = await self.client.order(
            name,
            direction,
            amount,
            self._price(market, view, is_buy=direction == "buy", through_ppm=through_ppm),
            time_in_force="gtc" if rests else "ioc",
            label="taker",
        )
        order = result["order"]
        if order["order_status"] == "open" and order["order_id"] not in self._closed:
            self._resting[order["order_id"]] = name, direction

    def _direction(self, name: str, limit_lots: int) -> str:
        """Draw a side, more likely the one that reduces the position."""
        lean = max(-1.0, min(self.positions.get(name, 0) / limit_lots, 1.0))
        return "buy" if self.source.random() > 0.5 + 0.5 * lean else "sell"

    def _lots(self, market: Market, limit_lots: int) -> int:
        drawn = limit_lots * self.source.randint(5_000, 60_000) // _PPM * self.size_ppm // _PPM
        return max(market.instrument.minimum_lots, min(drawn, market.instrument.maximum_lots))

    def _price(self, market: Market, view: View, *, is_buy: bool, through_ppm: int) -> str:
        """Mark plus (buy) or minus (sell) `through_ppm`; a tick at least."""
        ppm = _PPM + through_ppm if is_buy else _PPM - through_ppm
        ticks = market.ticks_within(view.mark_e9 * ppm // _PPM, up=is_buy)
        return market.instrument.price_text(ticks)

    async def _cancel_opposite(self, name: str, direction: str) -> None:
        """Own orders must not meet: the resting one goes."""
        for order_id, (resting_name, resting_direction) in list(self._resting.items()):
            if resting_name == name and resting_direction != direction and order_id in self._resting:
                await self._cancel(order_id)

    async def _cancel(self, order_id: str) -> None:
        name, _ = self._resting.pop(order_id)
        try:
            await self.client.cancel(order_id, name)
        except OffbookError as error:
            if error.code not in _GONE:
                raise
