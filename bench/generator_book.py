"""The book behind a workload's generator: just enough price-time matching to know which orders rest.

It is written apart from the matching core, so that a workload is the same whatever the core does. Orders that leave the
middle of a line stay there with nothing remaining and are passed over by the next match.
"""

from collections import deque
from heapq import heappop, heappush

__all__ = ["GeneratorBook", "LiveOrder"]


class LiveOrder:
    """One order; `place` is its index in `GeneratorBook.live`, -1 while it does not rest."""

    __slots__ = ("order_id", "place", "price", "remaining", "side")

    def __init__(self, order_id: int, side: int, price: int, remaining: int) -> None:
        self.order_id, self.side, self.price, self.remaining = order_id, side, price, remaining
        self.place = -1


class GeneratorBook:
    """One instrument. `live` appends what rests and fills a hole with its last order."""

    def __init__(self) -> None:
        self.live: list[LiveOrder] = []
        # By side: prices as keys of which the smallest is best (bids negated), and the line of orders at each.
        self._keys: tuple[list[int], list[int]] = ([], [])
        self._lines: tuple[dict[int, deque[LiveOrder]], dict[int, deque[LiveOrder]]] = ({}, {})

    @property
    def level_count(self) -> int:
        """Prices at which something rests, both sides."""
        return len({(order.side, order.price) for order in self.live})

    def submit(self, order: LiveOrder, *, rests: bool) -> None:
        """Match a new order; what is left of it rests, or is dropped."""
        self._match(order)
        if rests and order.remaining:
            order.place = len(self.live)
            self.live.append(order)
            self._join(order)

    def cancel(self, order: LiveOrder) -> None:
        """Take a resting order out."""
        order.remaining = 0
        self._forget(order)

    def modify(self, order: LiveOrder, price: int, quantity: int) -> None:
        """Remove and insert again at the back; it keeps its place in `live` unless the match uses it up."""
        again = LiveOrder(order.order_id, order.side, price, quantity)
        order.remaining = 0
        self._match(again)
        # The match may have filled holes with this very order: only now is its place known.
        again.place = order.place
        if again.remaining:
            self.live[again.place] = again
            self._join(again)
        else:
            self._forget(order)

    def _join(self, order: LiveOrder) -> None:
        key = order.price if order.side else -order.price
        lines = self._lines[order.side]
        line = lines.get(key)
        if line is None:
            line = lines[key] = deque()
            heappush(self._keys[order.side], key)
        line.append(order)

    def _forget(self, order: LiveOrder) -> None:
        last = self.live.pop()
        if last is not order:
            self.live[order.place] = last
            last.place = order.place

    def _match(self, taker: LiveOrder) -> None:
        keys, lines = self._keys[1 - taker.side], self._lines[1 - taker.side]
        limit = -taker.price if taker.side else taker.price
        while taker.remaining and keys and keys[0] <= limit:
            line = lines[keys[0]]
            self._match_line(taker, line)
            if not line:
                del lines[heappop(keys)]

    def _match_line(self, taker: LiveOrder, line: deque[LiveOrder]) -> None:
        while line and taker.remaining:
            maker = line[0]
            quantity = min(taker.remaining, maker.remaining)
            maker.remaining -= quantity
            taker.remaining -= quantity
            if maker.remaining == 0:
                line.popleft()
                if quantity:
                    self._forget(maker)
