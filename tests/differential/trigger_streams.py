"""Seeded acts around triggers beside the core commands of `command_streams`: orders that wait, prices that move."""

from random import Random
from typing import Final, NamedTuple

from exchange.domain.commands import PriceSource, TriggerKind
from exchange.engine.triggers import SourceKey
from tests.differential.command_streams import INSTRUMENTS, CommandStream

__all__ = [
    "ACTS",
    "MIDDLES_E9",
    "Act",
    "CancelTrigger",
    "MovePrice",
    "MoveTrigger",
    "PlaceTrigger",
    "TriggerActs",
    "price_e9_of",
]

TICK_E9: Final = 10_000_000
LEAST_TICKS: Final = 100
"""Added to every price: triggers watch positive prices, and one instrument's band reaches below zero."""
UNDERLYINGS = {7: "ETH", 0x8000_0001: "BTC", 1234: "ETH"}
"""Two instruments of one underlying: one index fires triggers of both."""
ACTS = {"stop": 14, "take_profit": 14, "trailing": 12, "trailing_ppm": 12, "cancel": 14, "move": 14, "price": 26}
"""Weights of the drawn acts."""
WAITING = ("gtc", "ioc", "fok", "post_only", "reduce_only", "iceberg")
"""Kinds of core commands that a trigger may place."""
BANK: Final = 2048
YOUNG: Final = 48
"""Cancels and moves name one of this many last triggers; most have not fired."""


class PlaceTrigger(NamedTuple):
    """An order that waits: `command` is placed when the price of `key` is `distance_e9` from where it is now."""

    key: SourceKey
    kind: TriggerKind
    command: bytes
    distance_e9: int
    """Signed: a few are beyond the price already and fire at once. Of a trailing one its offset."""
    offset_ppm: int


class CancelTrigger(NamedTuple):
    """Cancel the trigger that was placed `back` before the last."""

    back: int


class MoveTrigger(NamedTuple):
    """Another trigger price, `distance_e9` from the present one of its source, or another offset of that size."""

    back: int
    distance_e9: int


class MovePrice(NamedTuple):
    """A mark or an index moves."""

    key: SourceKey
    price_e9: int


Act = PlaceTrigger | CancelTrigger | MoveTrigger | MovePrice


def price_e9_of(instrument: int, ticks: int) -> int:
    """Price of an instrument in 1e-9 USDC, above zero in the whole band."""
    return (ticks - min(0, INSTRUMENTS[instrument][0]) + LEAST_TICKS) * TICK_E9


def _middle_e9(instrument: int) -> int:
    return price_e9_of(instrument, sum(INSTRUMENTS[instrument]) // 2)


MIDDLES_E9: Final[dict[SourceKey, int]] = {
    **{(source, name): _middle_e9(name) for source in (PriceSource.MARK, PriceSource.LAST) for name in INSTRUMENTS},
    **{(PriceSource.INDEX, underlying): _middle_e9(name) for name, underlying in UNDERLYINGS.items()},
}
"""About where each price is: what a trigger that came before its first price is told."""
_MOVING: Final = [key for key in MIDDLES_E9 if key[0] is not PriceSource.LAST]


class TriggerActs:
    """Draws acts around a bank of new orders."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"triggers {seed}")
        self._commands = CommandStream(seed, weights=dict.fromkeys(WAITING, 1), bank=512).batch(BANK)

    def draw(self, count: int) -> list[Act]:
        """Return the next acts."""
        return [self._draw(kind) for kind in self._random.choices(list(ACTS), weights=ACTS.values(), k=count)]

    def _draw(self, kind: str) -> Act:
        match kind:
            case "cancel":
                return CancelTrigger(self._random.randrange(YOUNG))
            case "move":
                return MoveTrigger(self._random.randrange(YOUNG), self._ticks_e9(-20, 20))
            case "price":
                key = self._random.choice(_MOVING)
                spread = self._random.choice((2, 5, 20))
                return MovePrice(key, MIDDLES_E9[key] + self._ticks_e9(-spread, spread))
        return self._draw_order(kind)

    def _draw_order(self, kind: str) -> PlaceTrigger:
        random = self._random
        command = random.choice(self._commands)
        instrument = int.from_bytes(command[4:8], "little")
        source = random.choice((*PriceSource,))
        key = source, UNDERLYINGS[instrument] if source is PriceSource.INDEX else instrument
        if kind.startswith("trailing"):
            distance_e9 = self._ticks_e9(1, 25)
            offset_ppm = distance_e9 * 1_000_000 // MIDDLES_E9[key] if kind == "trailing_ppm" else 0
            return PlaceTrigger(
                key, TriggerKind.TRAILING, command, distance_e9, max(offset_ppm, kind == "trailing_ppm")
            )
        is_buy, is_stop = command[1] == 0, kind == "stop"
        distance_e9 = self._ticks_e9(-1, 20) * (1 if is_buy is is_stop else -1)
        return PlaceTrigger(key, TriggerKind.STOP if is_stop else TriggerKind.TAKE_PROFIT, command, distance_e9, 0)

    def _ticks_e9(self, low: int, high: int) -> int:
        """Whole ticks mostly, so that prices meet; triggers are on no grid."""
        return self._random.randint(low, high) * TICK_E9 + self._random.choice((0, 0, 0, -3, 1, 777))
