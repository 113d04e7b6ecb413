"""The trigger rules as one reads them, every waiting order looked at for every price: oracle of the trigger book.

A buy stop fires at or above its price, a sell stop at or below; a take-profit the other way round. A trailing order
remembers the best price since it was armed (a buy the lowest, a sell the highest) and fires as a stop at `offset` from
it, a part of the extreme rounded up. Prices are 1e-9 USDC.
"""

from dataclasses import dataclass

from exchange.domain.commands import Side, TriggerKind
from exchange.engine.triggers import SourceKey

__all__ = ["PlainTriggers", "Terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a trigger waits for: a price, or for a trailing one exactly one of the offsets."""

    key: SourceKey
    kind: TriggerKind
    side: Side
    price_e9: int = 0
    offset_e9: int = 0
    offset_ppm: int = 0


@dataclass(slots=True)
class Row:
    """A waiting order."""

    terms: Terms
    level_e9: int
    """Its trigger price; of a trailing one its offset, when that is a price."""
    extreme_e9: int = 0
    fired_e9: int = 0

    @property
    def is_trailing(self) -> bool:
        return self.terms.kind is TriggerKind.TRAILING

    def fires_at_e9(self) -> int:
        """Return the price at which it fires now."""
        if not self.is_trailing:
            return self.level_e9
        distance_e9 = self.level_e9 or -(-self.extreme_e9 * self.terms.offset_ppm // 1_000_000)
        return self.extreme_e9 + (distance_e9 if self.terms.side is Side.BUY else -distance_e9)

    def see(self, price_e9: int) -> bool:
        """Take a price; whether it fires the order."""
        is_buy = self.terms.side is Side.BUY
        if self.is_trailing:
            self.extreme_e9 = min(self.extreme_e9, price_e9) if is_buy else max(self.extreme_e9, price_e9)
        if is_buy is not (self.terms.kind is TriggerKind.TAKE_PROFIT):
            return price_e9 >= self.fires_at_e9()
        return price_e9 <= self.fires_at_e9()


class PlainTriggers:
    """All that waits, and what fired, by ascending number."""

    def __init__(self) -> None:
        self._armed: dict[SourceKey, dict[int, Row]] = {}
        self._fired: dict[int, Row] = {}
        self._keys: dict[int, SourceKey] = {}

    def place(self, number: int, terms: Terms, price_e9: int | None) -> None:
        """Let an order wait; at or beyond its trigger it fires at once. `price_e9` is that of its source now."""
        trails = terms.kind is TriggerKind.TRAILING
        row = Row(terms, terms.offset_e9 if trails else terms.price_e9, price_e9 or 0 if trails else 0)
        self._keys[number] = terms.key
        self._arm(number, row, price_e9)

    def cancel(self, number: int) -> bool:
        """Forget an order that waits or has fired; whether there was one."""
        key = self._keys.pop(number, None)
        if key is None:
            return False
        if self._fired.pop(number, None) is None:
            del self._armed[key][number]
        return True

    def move(self, number: int, level_e9: int, price_e9: int | None) -> bool:
        """Give an armed order another price, or a trailing one another offset from its extreme; whether it may have."""
        if number not in self._keys or number in self._fired:
            return False
        row = self._armed[self._keys[number]].pop(number)
        row.level_e9 = 0 if row.terms.offset_ppm else level_e9
        self._arm(number, row, price_e9)
        return True

    def observe(self, key: SourceKey, price_e9: int) -> list[int]:
        """Take a price; the numbers of the orders it fires, ascending."""
        armed = self._armed.get(key, {})
        numbers = sorted([number for number, row in armed.items() if row.see(price_e9)])
        for number in numbers:
            self._fire(number, armed.pop(number), price_e9)
        return numbers

    def take(self) -> int:
        """Number of the first order that fired, which is forgotten; 0 when none did."""
        number = min(self._fired, default=0)
        self.cancel(number)
        return number

    def rows(self) -> list[tuple[int, int, int]]:
        """(number, price at which it fires, price that fired it or 0), ascending."""
        armed = [(number, row.fires_at_e9(), 0) for rows in self._armed.values() for number, row in rows.items()]
        return sorted(armed + [(number, 0, row.fired_e9) for number, row in self._fired.items()])

    def _arm(self, number: int, row: Row, price_e9: int | None) -> None:
        if price_e9 is not None and row.see(price_e9):
            self._fire(number, row, price_e9)
        else:
            self._armed.setdefault(row.terms.key, {})[number] = row

    def _fire(self, number: int, row: Row, price_e9: int) -> None:
        row.fired_e9 = price_e9
        self._fired[number] = row
