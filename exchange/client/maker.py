"""The demo's market maker: rests post-only orders in turn over its instruments, around the index of perpetuals.

Options are quoted around the maker's own opinion where it has one: all marks are made of such quotes.
"""

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Any

from exchange.client.bot import Bot
from exchange.client.errors import OffbookError
from exchange.client.markets import Market, decimal_e9
from exchange.client.quoting import Quote, Style, index_view, own_view, wanted_quotes
from exchange.client.signing import Credentials
from exchange.pricing.opinion import Opinion

__all__ = ["Maker"]

_FIRST_PASS_SPEED = 8.0
"""The first pass over all instruments runs this much faster, so that a fresh book fills within seconds."""
_GONE = frozenset({11_003, 11_004, 11_005, 11_006})
_NOT_TRADABLE = frozenset({11_021, 12_001})
_REMEMBERED_CLOSED = 512
_OPTIONS_PER_PERPETUAL = 3
Slot = tuple[str, bool, int]
"""Instrument, side, level."""


@dataclass(slots=True)
class _Resting:
    order_id: str
    price_ticks: int
    remaining_lots: int


class Maker(Bot):
    """Quotes every perpetual and its share of the options: those whose place is `place` modulo `makers`."""

    def __init__(
        self, url: str, who: Credentials, source: Random, *, orders_per_s: float, place: int = 0, makers: int = 1,
        max_open_orders: int = 200, opinion: Opinion | None = None,
    ) -> None:  # fmt: skip
        super().__init__(url, who, source, orders_per_s=orders_per_s)
        self._place, self._makers, self._max_open_orders = place, makers, max_open_orders
        self._opinion = opinion
        self._styles: dict[str, Style] = {}
        self._resting: dict[Slot, _Resting] = {}
        self._slots: dict[str, Slot] = {}
        self._closed: deque[str] = deque(maxlen=_REMEMBERED_CLOSED)
        self._turn: deque[str] = deque()
        self._todo: deque[tuple[str, Quote]] = deque()
        self._passes = 0

    @property
    def open_orders(self) -> int:
        """How many orders rest, as far as this bot knows."""
        return len(self._resting)

    async def begin(self) -> None:
        """Start with empty books of its own."""
        self._resting.clear()
        self._slots.clear()
        self._todo.clear()
        self._turn.clear()
        self._passes = 0

    async def act(self) -> None:
        """Bring one quote in line, or look for the next instrument that needs it."""
        if not self._todo:
            await self._plan(self._next_instrument())
            return
        name, quote = self._todo.popleft()
        if not self._needs(name, quote):
            return
        await self.pace.wait(faster=self._speed)
        try:
            await self._place_quote(name, quote)
        except OffbookError as error:
            if error.code in _NOT_TRADABLE:
                self.client.markets.pop(name, None)
            raise

    def take_order(self, order: dict[str, Any]) -> None:
        """Follow fills and closures of own orders."""
        if order["order_status"] != "open":
            self._closed.append(order["order_id"])
            self._forget(order["order_id"])
            return
        slot = self._slots.get(order["order_id"])
        if slot is not None:
            self._resting[slot].remaining_lots = self._remaining_lots(order)

    @property
    def _speed(self) -> float:
        return _FIRST_PASS_SPEED if self._passes <= 1 else 1.0

    def _next_instrument(self) -> str:
        while not self._turn or self._turn[0] not in self.client.markets:
            if self._turn:
                self._turn.popleft()
                continue
            self._turn.extend(self._one_pass())
            self._passes += 1
        return self._turn.popleft()

    def _one_pass(self) -> list[str]:
        """Perpetuals come around between every few options: their prices matter most."""
        markets = self.client.markets
        perpetuals = sorted(name for name, market in markets.items() if market.instrument.is_perpetual)
        options = sorted(name for name, market in markets.items() if market.instrument.is_option)
        mine = options[self._place :: self._makers]
        if not perpetuals:
            return mine
        names: list[str] = []
        for turn in range(max(-(-len(mine) // _OPTIONS_PER_PERPETUAL), len(perpetuals))):
            start = turn * _OPTIONS_PER_PERPETUAL
            names += [perpetuals[turn % len(perpetuals)], *mine[start : start + _OPTIONS_PER_PERPETUAL]]
        return names

    async def _plan(self, name: str) -> None:
        view = await self.view(name)
        if view is None:
            await self.pace.wait()
            return
        market = self.client.market(name)
        style = self._styles.setdefault(name, Style.drawn(self.source, market))
        held = self.positions.get(name, 0)
        if market.instrument.is_perpetual:
            view = index_view(view)
        elif self._opinion is not None:
            view = own_view(market, view, self._opinion)
        quotes = wanted_quotes(market, view, style, position_lots=held, size_ppm=self.size_ppm)
        await self._drop_unwanted(name, {(name, *quote.slot) for quote in quotes})
        self._todo.extend((name, quote) for quote in quotes if self._needs(name, quote))
        if not self._todo:
            await self.pace.wait(faster=self._speed)

    def _needs(self, name: str, quote: Quote) -> bool:
        resting = self._resting.get((name, *quote.slot))
        if resting is None:
            return len(self._resting) < self._max_open_orders
        is_near = abs(resting.price_ticks - quote.price_ticks) <= quote.slack_ticks
        return not is_near or 2 * resting.remaining_lots < quote.quantity_lots

    async def _drop_unwanted(self, name: str, wanted: set[Slot]) -> None:
        for slot in [slot for slot in self._resting if slot[0] == name and slot not in wanted]:
            order_id = self._resting[slot].order_id
            self._forget(order_id)
            try:
                await self.client.cancel(order_id, name)
            except OffbookError as error:
                if error.code not in _GONE:
                    raise

    async def _place_quote(self, name: str, quote: Quote) -> None:
        market = self.client.market(name)
        slot: Slot = (name, *quote.slot)
        terms = (
            "buy" if quote.is_buy else "sell",
            market.instrument.quantity_text(quote.quantity_lots),
            market.instrument.price_text(quote.price_ticks),
        )
        resting = self._resting.get(slot)
        if resting is None:
            result = await self.client.order(name, *terms, time_in_force="post_only", label="maker")
        else:
            self._forget(resting.order_id)
            result = await self.client.replace(resting.order_id, name, *terms, time_in_force="post_only", label="maker")
        self.counts.orders += 1
        self._remember(slot, market, result)

    def _remember(self, slot: Slot, market: Market, result: dict[str, Any]) -> None:
        order = result["order"]
        failure = result.get("create_order_error")
        if order is None:
            self.counts.refused[int(failure["code"]) if failure else 0] += 1
            return
        if order["order_status"] == "open" and order["order_id"] not in self._closed:
            price_ticks = market.price_ticks(order["limit_price"])
            self._resting[slot] = _Resting(order["order_id"], price_ticks, self._remaining_lots(order))
            self._slots[order["order_id"]] = slot

    def _remaining_lots(self, order: dict[str, Any]) -> int:
        open_e9 = decimal_e9(order["amount"]) - decimal_e9(order["filled_amount"])
        return open_e9 // self.client.market(order["instrument_name"]).instrument.lot_e9

    def _forget(self, order_id: str) -> None:
        slot = self._slots.pop(order_id, None)
        if slot is not None:
            self._resting.pop(slot, None)
